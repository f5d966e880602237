//! A folder of this machine as the target of a restore. All calls to the operating system are in this module.
//!
//! Every entry is reached from the folder's own handle, name by name, without following symbolic links: neither a link
//! that was in the folder nor one that the backup brings can lead a write out of it. Directories are made with mode
//! 0700 and get their own metadata last, so that a restore by an ordinary user can fill what will be read-only.
//!
//! A file is written where nobody sees it, without a name where the file system has that, and takes the place of what
//! was there when it is complete, in one step. So do links. What fails leaves what was there as it was, and of a restore
//! that is cut off nothing half-written remains; on a file system without nameless files it leaves files whose names
//! begin with `.holdfast-`.
//!
//! Nothing is synced here: a restore that is cut off is run again with [`Existing::Overwrite`], finds what is
//! identical, and keeps it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use runtime::Seed;
use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::{self, Errno};

use super::TargetError;
use super::attributes::{set_metadata, set_owner, supported, times};
use super::file::{LocalFile, NewFile, Temporary};
use crate::{Metadata, RelativePath, Warnings};

/// Handles of directories that are kept open; a fraction of the usual limit of 1024 per process.
const HANDLES_MAX: usize = 128;
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::PATH);
const WORKING_MODE: Mode = Mode::RWXU;
pub(super) const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How the operating system names what a process has open.
pub(super) const OPEN_FILES: &str = "/proc/self/fd";

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
    pub(super) unfinished: Unfinished,
    /// Makes names of ours unlike all others: drawn once, and counted.
    token: u64,
    names: AtomicU64,
}

/// Where a file lies until it has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfinished {
    /// Nowhere, if the file system has that (`O_TMPFILE`).
    Nameless,
    /// Under a name of its own.
    Named,
}

/// What is there where a file is restored.
#[derive(Debug)]
pub enum Found {
    /// No file.
    Nothing,
    /// A file that the user may change and that has no names but those of the restored one: it may stay.
    Own(LocalFile),
    /// Another file: its content is of use, and it must not be changed.
    Foreign(LocalFile),
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
        let has_names = fs::access(OPEN_FILES, fs::Access::EXISTS).is_ok();
        Ok(Self {
            root: Arc::new(root),
            path: path.to_owned(),
            handles: Mutex::default(),
            unfinished: if has_names { Unfinished::Nameless } else { Unfinished::Named },
            token: Seed::from_os().u64(),
            names: AtomicU64::new(0),
        })
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
        let fail = |source| TargetError::Entry { path: path.clone(), action: "make", source };
        let Some((parent, name)) = path.split() else {
            let stat = fs::fstat(&self.root).map_err(fail)?;
            return fs::fchmod(&self.root, Mode::from_raw_mode(stat.st_mode) | WORKING_MODE).map_err(fail);
        };
        let parent = self.directory(&parent)?;
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
                // Made before anything is removed: a full disk costs nothing.
                let temporary = self.temporary_name();
                fs::mkdirat(&parent, &temporary, WORKING_MODE).map_err(fail)?;
                let removed = fs::unlinkat(&parent, name, AtFlags::empty());
                let named = removed.and_then(|()| fs::renameat(&parent, &temporary, &parent, name));
                if named.is_err() {
                    let _ = fs::unlinkat(&parent, &temporary, AtFlags::REMOVEDIR);
                }
                named.map_err(fail)
            }
        }
    }

    /// Opens the file at a path for reading, if there is one; `names` are all that the restored file will have.
    ///
    /// # Errors
    /// Fails if the directory cannot be opened.
    pub fn find_file(&self, path: &RelativePath, names: &[RelativePath]) -> Result<Found, TargetError> {
        let (parent, name) = self.parent_and_name(path)?;
        let there = kind_at(parent.as_fd(), name).ok().flatten();
        let Some(there) = there.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_file()) else {
            return Ok(Found::Nothing);
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(handle) = fs::openat(&parent, name, flags, Mode::empty()) else { return Ok(Found::Nothing) };
        let file = LocalFile { handle, path: path.clone() };
        let user = rustix::process::geteuid();
        let may_change = user.is_root() || user.as_raw() == there.st_uid;
        Ok(if may_change && self.has_no_other_names(&there, names)? { Found::Own(file) } else { Found::Foreign(file) })
    }

    /// Makes an empty file that is to be at a path.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the file cannot be made.
    pub fn new_file(&self, path: &RelativePath) -> Result<NewFile, TargetError> {
        let fail = |source| TargetError::Entry { path: path.clone(), action: "make", source };
        let (parent, name) = self.parent_and_name(path)?;
        let there = kind_at(parent.as_fd(), name).map_err(fail)?;
        if there.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()) {
            return Err(TargetError::DirectoryInTheWay { path: path.clone() });
        }
        let file = |handle| Arc::new(LocalFile { handle, path: path.clone() });
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        if self.unfinished == Unfinished::Nameless {
            match fs::openat(&parent, ".", flags | OFlags::TMPFILE, FILE_MODE) {
                Ok(handle) => return Ok(NewFile { file: file(handle), temporary: None }),
                // `EISDIR` is the answer of a kernel that does not know the flag.
                Err(Errno::OPNOTSUPP | Errno::ISDIR) => {}
                Err(source) => return Err(fail(source)),
            }
        }
        let name = self.temporary_name();
        let handle = fs::openat(&parent, &name, flags | OFlags::CREATE | OFlags::EXCL, FILE_MODE).map_err(fail)?;
        Ok(NewFile { file: file(handle), temporary: Some(Temporary { parent, name: Some(name) }) })
    }

    /// Gives a file its metadata, and then its name, in place of whatever is there; its content must be complete.
    ///
    /// # Errors
    /// Fails if the file refuses its mode or times, or a directory is in the way. What was there is there still.
    pub fn finish_file(&self, file: NewFile, metadata: &Metadata) -> Result<Warnings, TargetError> {
        let NewFile { file, temporary } = file;
        let warnings = file.finish(metadata)?;
        let (parent, name) = self.parent_and_name(&file.path)?;
        let named = match temporary {
            Some(mut temporary) => {
                let from = temporary.name.take().unwrap_or_default();
                let renamed = fs::renameat(&temporary.parent, &from, &parent, name);
                temporary.name = renamed.is_err().then_some(from);
                renamed
            }
            None => {
                let open = format!("{OPEN_FILES}/{}", file.handle.as_raw_fd());
                self.put(&parent, name, |name| fs::linkat(CWD, &open, &parent, name, AtFlags::SYMLINK_FOLLOW))
            }
        };
        named.map(|()| warnings).map_err(|source| in_the_way(&file.path, "name", source))
    }

    /// Makes a symbolic link with its metadata, in place of whatever is there.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the link cannot be made. What was there is there still.
    pub fn make_symlink(
        &self,
        path: &RelativePath,
        target: &[u8],
        metadata: &Metadata,
    ) -> Result<Warnings, TargetError> {
        let (parent, name) = self.parent_and_name(path)?;
        let temporary = self.temporary_name();
        fs::symlinkat(OsStr::from_bytes(target), &parent, &temporary).map_err(|source| TargetError::Entry {
            path: path.clone(),
            action: "make",
            source,
        })?;
        let mut made = Temporary { parent: Arc::clone(&parent), name: Some(temporary.clone()) };
        let warnings = finish_symlink(&parent, &temporary, path, metadata)?;
        fs::renameat(&parent, &temporary, &parent, name).map_err(|source| in_the_way(path, "make", source))?;
        made.name = None;
        Ok(warnings)
    }

    /// Gives the file at `first` another name, in place of whatever is there.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the target has no hard links. What was there is there still.
    pub fn link(&self, first: &RelativePath, path: &RelativePath) -> Result<(), TargetError> {
        let fail = |source| in_the_way(path, "link", source);
        let (first_parent, first_name) = self.parent_and_name(first)?;
        let (parent, name) = self.parent_and_name(path)?;
        let first_inode = kind_at(first_parent.as_fd(), first_name).map_err(fail)?;
        let there = kind_at(parent.as_fd(), name).map_err(fail)?;
        if let (Some(first_inode), Some(there)) = (first_inode, there)
            && is_same_inode(&first_inode, &there)
        {
            return Ok(());
        }
        let link = |name: &OsStr| fs::linkat(&first_parent, first_name, &parent, name, AtFlags::empty());
        self.put(&parent, name, link).map_err(fail)
    }

    /// Makes an entry of that name. If the name is taken, the entry is made under another one and renamed, so that there
    /// is always one of the two.
    fn put(&self, parent: &OwnedFd, name: &OsStr, make: impl Fn(&OsStr) -> io::Result<()>) -> io::Result<()> {
        match make(name) {
            Err(Errno::EXIST) => {}
            other => return other,
        }
        let temporary = self.temporary_name();
        make(&temporary)?;
        let renamed = fs::renameat(parent, &temporary, parent, name);
        if renamed.is_err() {
            let _ = fs::unlinkat(parent, &temporary, AtFlags::empty());
        }
        renamed
    }

    pub(super) fn temporary_name(&self) -> OsString {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!(".holdfast-{:016x}-{number}", self.token).into()
    }

    /// Sets a directory's metadata; its entries must be complete, since each of them moves its times.
    ///
    /// # Errors
    /// Fails if the directory is gone or refuses its mode or times.
    pub fn finish_directory(&self, path: &RelativePath, metadata: &Metadata) -> Result<Warnings, TargetError> {
        let fail = |source| TargetError::Entry { path: path.clone(), action: "open", source };
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
            .map_err(|source| TargetError::Entry { path: path.clone(), action: "open", source })?;
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
                .map_err(|source| TargetError::Entry { path: path.clone(), action: "open", source })?;
            handle = Arc::new(next);
        }
        Ok(handle)
    }

    /// Whether all names of a file are names of the file to be restored: changing it changes nothing else.
    fn has_no_other_names(&self, there: &Stat, names: &[RelativePath]) -> Result<bool, TargetError> {
        if there.st_nlink == 1 {
            return Ok(true);
        }
        let mut shared = 0;
        for other in names {
            let (parent, name) = self.parent_and_name(other)?;
            let same = kind_at(parent.as_fd(), name).ok().flatten().is_some_and(|stat| is_same_inode(&stat, there));
            shared += u64::from(same);
        }
        Ok(shared == there.st_nlink)
    }
}

fn finish_symlink(
    parent: &OwnedFd,
    name: &OsStr,
    path: &RelativePath,
    metadata: &Metadata,
) -> Result<Warnings, TargetError> {
    let fail = |action| move |source| TargetError::Entry { path: path.clone(), action, source };
    let mut warnings = Warnings::default();
    let set = |uid, gid| fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
    if !set_owner(metadata, set).map_err(fail("set owner of"))? {
        warnings.owners += 1;
    }
    // `lsetxattr` has no form for a handle: the handle's own name leads to the directory, and the last name is not
    // followed.
    let mut through = PathBuf::from(format!("{OPEN_FILES}/{}", parent.as_raw_fd()));
    through.push(name);
    for (key, value) in &metadata.xattrs {
        let set = fs::lsetxattr(&through, &key[..], value, XattrFlags::empty());
        if !supported(set).map_err(fail("set extended attribute of"))? {
            warnings.xattrs += 1;
        }
    }
    fs::utimensat(parent, name, &times(metadata), AtFlags::SYMLINK_NOFOLLOW).map_err(fail("set times of"))?;
    Ok(warnings)
}

/// What a rename over a directory says in the system's words.
pub(super) fn in_the_way(path: &RelativePath, action: &'static str, source: Errno) -> TargetError {
    match source {
        Errno::ISDIR | Errno::NOTEMPTY | Errno::EXIST => TargetError::DirectoryInTheWay { path: path.clone() },
        source => TargetError::Entry { path: path.clone(), action, source },
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
