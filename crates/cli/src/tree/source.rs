//! Local files as a copy sees them. All reading calls to the operating system are here and in `scan`.

use std::fs::Metadata;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use client::{Piece, SMALL_FILE_LENGTH_MAX};
use runtime::{OnError, Tasks};
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use tokio::sync::mpsc;
use types::{Content, Device, FileKind, NewInode, Timestamp};

use crate::error::CliError;

/// Bytes of a larger file that are read at once.
const STEP: usize = 1 << 20;
/// Pieces of a larger file that wait to be sent.
const PIECES_WAITING: usize = 4;

/// Which file it is: device and inode number.
pub type FileId = (u64, u64);

/// The content of a file as it is read.
pub type Pieces = mpsc::Receiver<Result<Piece, CliError>>;

/// A local file of any kind.
#[derive(Debug)]
pub struct LocalInode {
    pub inode: NewInode,
    /// Which file it is, if it has several names.
    pub shared: Option<FileId>,
    pub body: Body,
    /// Whether it is known to have changed since it was inspected, so that the content may be of several moments.
    pub has_changed: bool,
}

/// The content of a local file.
#[derive(Debug)]
pub enum Body {
    /// It has none, or it is not wanted.
    None,
    /// All of it.
    Here(Vec<Piece>),
    /// Too much to hold: it is to be streamed.
    Large,
}

/// Reads what `lstat` and its like tell.
pub fn inspect(path: &Path) -> Result<LocalInode, CliError> {
    let metadata = path.symlink_metadata().map_err(|error| CliError::local("read", path, error))?;
    let kind = match FileType::from_raw_mode(metadata.mode()) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::Fifo => FileKind::Pipe,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice => FileKind::CharDevice,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::Unknown => return Err(CliError::local("tell the kind of", path, Errno::OPNOTSUPP)),
    };
    let shared = (kind != FileKind::Directory && metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()));
    let inode = new_inode(path, kind, &metadata)?;
    Ok(LocalInode { inode, shared, body: Body::None, has_changed: false })
}

/// Reads the content of a file, or says that it is too much to hold.
pub fn read(path: &Path, inode: &mut LocalInode) -> Result<(), CliError> {
    if inode.inode.kind != FileKind::File || inode.inode.size == 0 {
        return Ok(());
    }
    if inode.inode.size >= SMALL_FILE_LENGTH_MAX {
        inode.body = Body::Large;
        return Ok(());
    }
    let mut pieces = Vec::new();
    LocalFile::open(path)?.pieces(inode.inode.size, |piece| {
        pieces.push(piece);
        Ok(())
    })?;
    inode.body = Body::Here(pieces);
    inode.has_changed = has_changed(path, inode.inode.size, inode.inode.mtime);
    Ok(())
}

/// Whether a file has another length or time than it had when its content began to be read. One that went away
/// meanwhile was read whole.
pub fn has_changed(path: &Path, size: u64, mtime: Option<Timestamp>) -> bool {
    let changed = |now: Metadata| now.len() != size || Some(time(now.mtime(), now.mtime_nsec())) != mtime;
    path.symlink_metadata().is_ok_and(changed)
}

/// Streams a large file piece by piece, in a thread of its own.
pub fn read_large(tasks: &Tasks, path: PathBuf, size: u64) -> Pieces {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    tasks.spawn_blocking("read a file", OnError::Log, move || {
        let give = |piece| sender.blocking_send(Ok(piece)).map_err(|_| CliError::OutputClosed);
        if let Err(error) = LocalFile::open(&path).and_then(|file| file.pieces(size, give)) {
            // Whoever waited may have given up.
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// Streams standard input.
pub fn read_stream(tasks: &Tasks, name: PathBuf) -> Pieces {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    tasks.spawn_blocking("read standard input", OnError::Log, move || {
        let mut input = std::io::stdin().lock();
        let mut offset = 0;
        loop {
            let mut buffer = Vec::with_capacity(STEP);
            let read = input.by_ref().take(STEP as u64).read_to_end(&mut buffer);
            let piece = match read {
                Ok(0) => break,
                Ok(read) => {
                    let begin = offset;
                    offset += read as u64;
                    Ok(Piece { offset: begin, bytes: buffer.into() })
                }
                Err(error) => Err(CliError::local("read", &name, error)),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

fn new_inode(path: &Path, kind: FileKind, metadata: &Metadata) -> Result<NewInode, CliError> {
    let target = match kind {
        FileKind::Symlink => {
            let target = std::fs::read_link(path).map_err(|error| CliError::local("read the link", path, error))?;
            Bytes::copy_from_slice(target.as_os_str().as_bytes())
        }
        _ => Bytes::new(),
    };
    let number = metadata.rdev();
    let device = Device { major: rustix::fs::major(number), minor: rustix::fs::minor(number) };
    Ok(NewInode {
        kind,
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        atime: Some(time(metadata.atime(), metadata.atime_nsec())),
        mtime: Some(time(metadata.mtime(), metadata.mtime_nsec())),
        target,
        xattrs: xattrs(path)?,
        content: if kind.is_device() { Content::Device(device) } else { Content::Empty },
        size: if kind == FileKind::File { metadata.len() } else { 0 },
    })
}

/// A time of `stat`, whose nanoseconds always count upward and are below 10⁹.
fn time(seconds: i64, nanoseconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
}

/// Extended attributes of the file or link itself. One that goes away meanwhile is left out; a file system that has
/// none gives none.
fn xattrs(path: &Path) -> Result<Vec<(Bytes, Bytes)>, CliError> {
    let failed = |error| CliError::local("read the extended attributes of", path, error);
    let names = match xattr::list(path) {
        Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => return Ok(Vec::new()),
        names => names.map_err(failed)?,
    };
    let mut xattrs = Vec::new();
    for name in names {
        if let Some(value) = xattr::get(path, &name).map_err(failed)? {
            xattrs.push((Bytes::copy_from_slice(name.as_bytes()), value.into()));
        }
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

/// A regular file that is open for reading.
struct LocalFile {
    path: PathBuf,
    handle: OwnedFd,
}

impl LocalFile {
    fn open(path: &Path) -> Result<Self, CliError> {
        // Between `lstat` and here a link may have taken the name: it is not followed.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let handle =
            rustix::fs::open(path, flags, Mode::empty()).map_err(|error| CliError::local("open", path, error))?;
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Gives the data of the first `size` bytes in pieces and leaves the holes out.
    fn pieces(&self, size: u64, mut give: impl FnMut(Piece) -> Result<(), CliError>) -> Result<(), CliError> {
        let mut position = 0;
        while let Some((begin, end)) = self.next_data(position, size)? {
            position = begin;
            while position < end {
                let wanted = usize::try_from(end - position).unwrap_or(STEP).min(STEP);
                let bytes = self.read_at(position, wanted)?;
                if bytes.is_empty() {
                    // The file became shorter while it was read.
                    return Ok(());
                }
                let offset = position;
                position += bytes.len() as u64;
                give(Piece { offset, bytes })?;
            }
        }
        Ok(())
    }

    /// The next range that holds data, as the file system tells it (`SEEK_DATA`, `SEEK_HOLE`).
    fn next_data(&self, position: u64, size: u64) -> Result<Option<(u64, u64)>, CliError> {
        if position >= size {
            return Ok(None);
        }
        let begin = match rustix::fs::seek(&self.handle, SeekFrom::Data(position)) {
            Ok(begin) if begin < size => begin,
            Ok(_) | Err(Errno::NXIO) => return Ok(None),
            // The file system does not tell holes from data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((position, size))),
            Err(error) => return Err(CliError::local("seek in", &self.path, error)),
        };
        let end = rustix::fs::seek(&self.handle, SeekFrom::Hole(begin)).unwrap_or(size).min(size);
        Ok(Some((begin, end)))
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, CliError> {
        let mut buffer = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&self.handle, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(CliError::local("read", &self.path, error)),
            }
        }
        buffer.truncate(filled);
        Ok(buffer.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn pieces(inode: &LocalInode) -> &[Piece] {
        match &inode.body {
            Body::Here(pieces) => pieces,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn holes_are_left_out_and_data_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        file.seek(std::io::SeekFrom::Start(300_000)).unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        file.as_file().set_len(900_000).unwrap();
        let mut inode = inspect(file.path()).unwrap();
        read(file.path(), &mut inode).unwrap();
        assert_eq!(inode.inode.size, 900_000);
        let mut whole = vec![0; 900_000];
        for piece in pieces(&inode) {
            whole[piece.offset as usize..][..piece.bytes.len()].copy_from_slice(&piece.bytes);
        }
        assert!(whole[..300_000].iter().chain(&whole[400_000..]).all(|&byte| byte == 0));
        assert!(whole[300_000..400_000].iter().all(|&byte| byte == 7));
        let data: usize = pieces(&inode).iter().map(|piece| piece.bytes.len()).sum();
        assert!(data < 200_000, "the holes were read: {data}");
    }

    #[test]
    fn links_and_special_files_are_read_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere/at all", &link).unwrap();
        let inode = inspect(&link).unwrap();
        assert_eq!((inode.inode.kind, &inode.inode.target[..]), (FileKind::Symlink, &b"nowhere/at all"[..]));
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let inode = inspect(&socket).unwrap().inode;
        assert_eq!((inode.kind, inode.content, inode.size), (FileKind::Socket, Content::Empty, 0));
        let null = inspect(Path::new("/dev/null")).unwrap().inode;
        let device = Content::Device(Device { major: 1, minor: 3 });
        assert_eq!((null.kind, null.content), (FileKind::CharDevice, device));
    }

    #[test]
    fn several_names_of_one_file_have_the_same_id() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        runtime::Files::real().write_atomic(&first, b"x", 0o600).unwrap();
        assert_eq!(inspect(&first).unwrap().shared, None);
        std::fs::hard_link(&first, &second).unwrap();
        let ids = [&first, &second].map(|path| inspect(path).unwrap().shared);
        assert!(ids[0].is_some() && ids[0] == ids[1]);
    }

    #[test]
    fn a_file_that_is_written_while_it_is_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        file.write_all(b"as it was").unwrap();
        let mut inode = inspect(file.path()).unwrap();
        read(file.path(), &mut inode).unwrap();
        assert!(!inode.has_changed);
        file.as_file().set_len(3).unwrap();
        read(file.path(), &mut inode).unwrap();
        assert!(inode.has_changed);
        let path = file.path().to_owned();
        file.close().unwrap();
        assert!(!has_changed(&path, inode.inode.size, inode.inode.mtime), "what is gone was read whole");
    }

    #[test]
    fn a_file_from_the_limit_on_is_streamed() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        file.as_file().set_len(SMALL_FILE_LENGTH_MAX).unwrap();
        let mut inode = inspect(file.path()).unwrap();
        read(file.path(), &mut inode).unwrap();
        assert!(matches!(inode.body, Body::Large));
    }
}
