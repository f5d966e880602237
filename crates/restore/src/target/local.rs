//! A folder of this machine as the target of a restore. All calls to the operating system are here and in `new_file`.
//!
//! Every entry is reached from the folder's own handle, name by name, without following symbolic links: neither a link
//! that was in the folder nor one that the backup brings can lead a write out of it. Directories are made with mode
//! 0700 and get their own metadata last, so that a restore by an ordinary user can fill what will be read-only.
//!
//! Nothing is synced here: a restore that is cut off is run again with [`Existing::Overwrite`], finds what is
//! identical, and keeps it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{
    self, AtFlags, FallocateFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::{self, Errno};
use types::{FileKind, Timestamp};

use super::TargetError;
use crate::{Metadata, RelativePath, Warnings};

/// Handles of directories that are kept open; a fraction of the usual limit of 1024 per process.
const HANDLES_MAX: usize = 128;
/// The longest list of names of extended attributes that Linux gives (`XATTR_LIST_MAX`), in bytes.
const XATTR_LIST_MAX: usize = 65_536;
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::PATH);
const WORKING_MODE: Mode = Mode::RWXU;
const SET_ID_BITS: u32 = 0o6000;

/// What to do with what is already in the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The target must be empty or not be there yet.
    Refuse,
    /// Files in the way are replaced, identical ones are kept; what the backup does not have is left alone.
    Overwrite,
}

/// A folder that is restored into.
#[derive(Debug)]
pub struct LocalTarget {
    root: Arc<OwnedFd>,
    path: PathBuf,
    handles: Mutex<HashMap<RelativePath, Arc<OwnedFd>>>,
}

/// A file of the target that is open for writing.
#[derive(Debug)]
pub struct LocalFile {
    handle: OwnedFd,
    path: RelativePath,
}

/// What was found where a file is restored.
#[derive(Debug)]
pub enum Opened {
    /// Nothing that could be kept: the file is new and all holes.
    New(LocalFile),
    /// A regular file, which may hold some of the content already.
    Existing(LocalFile),
}

impl LocalTarget {
    /// Opens the folder, and makes it if it is not there. Its parent must exist.
    ///
    /// # Errors
    /// [`TargetError::NotEmpty`] if it holds something that must not be overwritten.
    pub fn open(path: &Path, existing: Existing) -> Result<Self, TargetError> {
        let fail = |action| move |source| TargetError::Root { path: path.to_owned(), action, source };
        match fs::mkdir(path, WORKING_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(source) => return Err(fail("make")(source)),
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = fs::open(path, flags | OFlags::RDONLY, Mode::empty()).map_err(fail("open"))?;
        if existing == Existing::Refuse && !is_empty(&root).map_err(fail("list"))? {
            return Err(TargetError::NotEmpty { path: path.to_owned() });
        }
        Ok(Self { root: Arc::new(root), path: path.to_owned(), handles: Mutex::default() })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in which the restore can write; one that is there is kept.
    ///
    /// # Errors
    /// Fails if something else is in the way that cannot be removed.
    pub fn make_directory(&self, path: &RelativePath) -> Result<(), TargetError> {
        let Some((parent, name)) = path.split() else { return Ok(()) };
        let parent = self.directory(&parent)?;
        let fail = |source| TargetError::Entry { path: path.clone(), action: "make directory", source };
        let name = OsStr::from_bytes(name);
        match fs::mkdirat(&parent, name, WORKING_MODE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(source) => return Err(fail(source)),
        }
        match kind_at(parent.as_fd(), name).map_err(fail)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                let mode = Mode::from_raw_mode(stat.st_mode) | WORKING_MODE;
                fs::chmodat(&parent, name, mode, AtFlags::empty()).map_err(fail)
            }
            _ => {
                fs::unlinkat(&parent, name, AtFlags::empty()).map_err(fail)?;
                fs::mkdirat(&parent, name, WORKING_MODE).map_err(fail)
            }
        }
    }

    /// Opens the file at a path for writing. A regular file that has as many names as the restored one will have is
    /// kept, to be compared; anything else that is in the way is removed.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the file cannot be made.
    pub fn open_file(&self, path: &RelativePath, names: &[RelativePath]) -> Result<Opened, TargetError> {
        let fail = |source| TargetError::Entry { path: path.clone(), action: "make file", source };
        let (parent, name) = self.parent_and_name(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || fs::openat(&parent, name, flags | OFlags::CREATE | OFlags::EXCL, Mode::RUSR | Mode::WUSR);
        let opened = |handle| LocalFile { handle, path: path.clone() };
        match create() {
            Ok(handle) => return Ok(Opened::New(opened(handle))),
            Err(Errno::EXIST) => {}
            Err(source) => return Err(fail(source)),
        }
        if self.can_be_kept(parent.as_fd(), name, names)?
            && let Ok(handle) = fs::openat(&parent, name, flags, Mode::empty())
        {
            return Ok(Opened::Existing(opened(handle)));
        }
        self.remove(path)?;
        create().map(|handle| Opened::New(opened(handle))).map_err(fail)
    }

    /// Makes a symbolic link with its metadata, in place of whatever is there.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the link cannot be made.
    pub fn make_symlink(
        &self,
        path: &RelativePath,
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<Warnings, TargetError> {
        let fail = |action| move |source| TargetError::Entry { path: path.clone(), action, source };
        let (parent, name) = self.parent_and_name(path)?;
        self.remove(path)?;
        fs::symlinkat(OsStr::from_bytes(target), &parent, name).map_err(fail("make symbolic link"))?;
        let mut warnings = Warnings::default();
        let owner = fs::chownat(&parent, name, uid(metadata), gid(metadata), AtFlags::SYMLINK_NOFOLLOW);
        if !permitted(owner).map_err(fail("set owner of"))? {
            warnings.owners += 1;
        }
        // `lsetxattr` has no form for a handle: the handle's own name in /proc leads to the directory, and the last
        // name is not followed.
        let mut through = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd()));
        through.push(name);
        for (key, value) in &metadata.xattrs {
            let set = fs::lsetxattr(&through, &key[..], value, XattrFlags::empty());
            if !supported(set).map_err(fail("set extended attribute of"))? {
                warnings.xattrs += 1;
            }
        }
        fs::utimensat(&parent, name, &times(metadata), AtFlags::SYMLINK_NOFOLLOW).map_err(fail("set times of"))?;
        Ok(warnings)
    }

    /// Gives the file at `first` another name, in place of whatever is there.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the target has no hard links.
    pub fn link(&self, first: &RelativePath, path: &RelativePath) -> Result<(), TargetError> {
        let fail = |source| TargetError::Entry { path: path.clone(), action: "link", source };
        let (first_parent, first_name) = self.parent_and_name(first)?;
        let (parent, name) = self.parent_and_name(path)?;
        let first_inode = kind_at(first_parent.as_fd(), first_name).map_err(fail)?;
        let there = kind_at(parent.as_fd(), name).map_err(fail)?;
        if let (Some(first_inode), Some(there)) = (first_inode, there) {
            if is_same_inode(&first_inode, &there) {
                return Ok(());
            }
            self.remove(path)?;
        }
        fs::linkat(&first_parent, first_name, &parent, name, AtFlags::empty()).map_err(fail)
    }

    /// Sets a directory's metadata; its entries must be complete, since each of them moves its times.
    ///
    /// # Errors
    /// Fails if the directory is gone or refuses its mode or times.
    pub fn finish_directory(&self, path: &RelativePath, metadata: &Metadata) -> Result<Warnings, TargetError> {
        let fail = |source| TargetError::Entry { path: path.clone(), action: "open directory", source };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let handle = match path.split() {
            None => fs::openat(&self.root, ".", flags, Mode::empty()).map_err(fail)?,
            Some((parent, name)) => {
                fs::openat(self.directory(&parent)?, OsStr::from_bytes(name), flags, Mode::empty()).map_err(fail)?
            }
        };
        set_metadata(handle.as_fd(), path, metadata)
    }

    pub(super) fn parent_and_name<'a>(&self, path: &'a RelativePath) -> Result<(Arc<OwnedFd>, &'a OsStr), TargetError> {
        let Some((parent, name)) = path.split() else {
            return Err(TargetError::DirectoryInTheWay { path: path.clone() });
        };
        Ok((self.directory(&parent)?, OsStr::from_bytes(name)))
    }

    fn directory(&self, path: &RelativePath) -> Result<Arc<OwnedFd>, TargetError> {
        let Some((parent, name)) = path.split() else { return Ok(self.root.clone()) };
        if let Some(handle) = self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(handle.clone());
        }
        let parent = self.walk(&parent)?;
        let handle = fs::openat(parent, OsStr::from_bytes(name), DIRECTORY, Mode::empty())
            .map_err(|source| TargetError::Entry { path: path.clone(), action: "open directory", source })?;
        let handle = Arc::new(handle);
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        if handles.len() >= HANDLES_MAX {
            handles.clear();
        }
        handles.insert(path.clone(), handle.clone());
        Ok(handle)
    }

    /// Opens a directory name by name, from the root or from the deepest ancestor whose handle is kept.
    fn walk(&self, path: &RelativePath) -> Result<Arc<OwnedFd>, TargetError> {
        let (mut known, mut names) = (path.clone(), Vec::new());
        let mut handle = loop {
            let Some((parent, name)) = known.split() else { break self.root.clone() };
            if let Some(handle) = self.handles.lock().unwrap_or_else(PoisonError::into_inner).get(&known) {
                break handle.clone();
            }
            names.push(Bytes::copy_from_slice(name));
            known = parent;
        };
        for name in names.iter().rev() {
            let next = fs::openat(&handle, OsStr::from_bytes(name), DIRECTORY, Mode::empty())
                .map_err(|source| TargetError::Entry { path: path.clone(), action: "open directory", source })?;
            handle = Arc::new(next);
        }
        Ok(handle)
    }

    /// Whether what is there is a regular file, all of whose names are names of the file to be restored: writing into
    /// it changes nothing else.
    fn can_be_kept(&self, parent: BorrowedFd<'_>, name: &OsStr, names: &[RelativePath]) -> Result<bool, TargetError> {
        let there = kind_at(parent, name).ok().flatten();
        let Some(there) = there.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_file()) else {
            return Ok(false);
        };
        if there.st_nlink == 1 {
            return Ok(true);
        }
        let mut shared = 0;
        for other in names {
            let (parent, name) = self.parent_and_name(other)?;
            let same = kind_at(parent.as_fd(), name).ok().flatten().is_some_and(|stat| is_same_inode(&stat, &there));
            shared += u64::from(same);
        }
        Ok(shared == there.st_nlink)
    }

    /// Removes what is at a path, unless it is a directory or not there.
    ///
    /// # Errors
    /// Fails if a directory is there, or the entry cannot be removed.
    pub fn remove(&self, path: &RelativePath) -> Result<(), TargetError> {
        let (parent, name) = self.parent_and_name(path)?;
        match fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(TargetError::DirectoryInTheWay { path: path.clone() }),
            Err(source) => Err(TargetError::Entry { path: path.clone(), action: "remove", source }),
        }
    }
}

impl LocalFile {
    pub(super) const fn new(handle: OwnedFd, path: RelativePath) -> Self {
        Self { handle, path }
    }

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// Fails if the disk is full or broken.
    pub fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), TargetError> {
        while !bytes.is_empty() {
            let written = match io::pwrite(&self.handle, bytes, offset) {
                Ok(0) => return Err(self.error("write", Errno::IO)),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(source) => return Err(self.error("write", source)),
            };
            bytes = bytes.get(written..).unwrap_or_default();
            offset += written as u64;
        }
        Ok(())
    }

    /// Reads a range; bytes beyond the end are missing from the answer.
    ///
    /// # Errors
    /// Fails if the disk is broken.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, TargetError> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match io::pread(&self.handle, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(source) => return Err(self.error("read", source)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Sets the length; what is added is a hole.
    ///
    /// # Errors
    /// Fails if the file cannot be that long.
    pub fn set_length(&self, length: u64) -> Result<(), TargetError> {
        fs::ftruncate(&self.handle, length).map_err(|source| self.error("set length of", source))
    }

    /// Makes a range read as zeros and gives its space back where the file system can.
    ///
    /// # Errors
    /// Fails if the disk is broken.
    pub fn punch_hole(&self, offset: u64, length: u64) -> Result<(), TargetError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fs::fallocate(&self.handle, flags, offset, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(offset, length),
            Err(source) => Err(self.error("punch hole into", source)),
        }
    }

    /// Sets owner, extended attributes, mode and times; the content must be complete.
    ///
    /// # Errors
    /// Fails if the file refuses its mode or times.
    pub fn finish(&self, metadata: &Metadata) -> Result<Warnings, TargetError> {
        set_metadata(self.handle.as_fd(), &self.path, metadata)
    }

    fn write_zeros(&self, offset: u64, length: u64) -> Result<(), TargetError> {
        const STEP: usize = 64 << 10;
        let zeros = [0; STEP];
        let end = offset + length;
        (offset..end).step_by(STEP).try_for_each(|at| {
            let step = usize::try_from(end - at).unwrap_or(STEP).min(STEP);
            self.write_at(zeros.get(..step).unwrap_or_default(), at)
        })
    }

    fn error(&self, action: &'static str, source: Errno) -> TargetError {
        TargetError::Entry { path: self.path.clone(), action, source }
    }
}

/// Sets what an open file or directory carries: the owner first, because that clears set-id bits and capabilities;
/// extended attributes while the mode still lets its owner write; the times last, because all else may move them.
fn set_metadata(handle: BorrowedFd<'_>, path: &RelativePath, metadata: &Metadata) -> Result<Warnings, TargetError> {
    let fail = |action| move |source| TargetError::Entry { path: path.clone(), action, source };
    let mut warnings = Warnings::default();
    let mut mode = metadata.mode;
    if !permitted(fs::fchown(handle, uid(metadata), gid(metadata))).map_err(fail("set owner of"))? {
        warnings.owners += 1;
        if metadata.kind == FileKind::File && mode & SET_ID_BITS != 0 {
            mode &= !SET_ID_BITS;
            warnings.set_id_bits += 1;
        }
    }
    remove_other_xattrs(handle, &metadata.xattrs);
    for (key, value) in &metadata.xattrs {
        let set = fs::fsetxattr(handle, &key[..], value, XattrFlags::empty());
        if !supported(set).map_err(fail("set extended attribute of"))? {
            warnings.xattrs += 1;
        }
    }
    fs::fchmod(handle, Mode::from_raw_mode(mode)).map_err(fail("set mode of"))?;
    fs::futimens(handle, &times(metadata)).map_err(fail("set times of"))?;
    Ok(warnings)
}

/// Removes extended attributes that a file had before it was overwritten. Labels that the system itself puts on every
/// file (`security.`) stay where it does not let them go.
fn remove_other_xattrs(handle: BorrowedFd<'_>, wanted: &[(Bytes, Bytes)]) {
    if !matches!(fs::flistxattr_query(handle), Ok(length) if length > 0) {
        return;
    }
    let mut list = vec![0; XATTR_LIST_MAX];
    let length = fs::flistxattr(handle, &mut list[..]).unwrap_or(0);
    for name in list.get(..length).unwrap_or_default().split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if !wanted.iter().any(|(key, _)| key == name) {
            // Refused for labels of the system alone; they were not the backup's.
            let _ = fs::fremovexattr(handle, name);
        }
    }
}

fn is_empty(directory: &OwnedFd) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = fs::RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

fn kind_at(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<Option<Stat>> {
    match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(source) => Err(source),
    }
}

const fn is_same_inode(one: &Stat, other: &Stat) -> bool {
    one.st_ino == other.st_ino && one.st_dev == other.st_dev
}

/// Whether the user was allowed to; any other failure is an error.
fn permitted(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL) => Ok(false),
        Err(source) => Err(source),
    }
}

/// Whether the user was allowed to and the file system can; any other failure is an error.
fn supported(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(Errno::OPNOTSUPP | Errno::ACCESS) => Ok(false),
        other => permitted(other),
    }
}

fn uid(metadata: &Metadata) -> Option<Uid> {
    Some(Uid::from_raw(metadata.uid))
}

fn gid(metadata: &Metadata) -> Option<Gid> {
    Some(Gid::from_raw(metadata.gid))
}

fn times(metadata: &Metadata) -> Timestamps {
    Timestamps { last_access: timespec(metadata.atime), last_modification: timespec(metadata.mtime) }
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) }
}
