//! The disk as a file system of this machine, through FUSE.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use testkit::power::{Disk, Number, PAGE, Refusal, Taken};
use thiserror::Error;

/// Nothing changes but through this mount, so the kernel may believe what it was told; not for ever, because names
/// that it looked up are checked again that way.
const VALID: Duration = Duration::from_secs(1);
/// `FALLOC_FL_KEEP_SIZE` and `FALLOC_FL_PUNCH_HOLE` of `fallocate(2)`.
const KEEP_SIZE: i32 = 1;
const PUNCH_HOLE: i32 = 2;
/// Two, so that one long write does not hold up everything.
const THREADS: usize = 2;

/// The disk cannot be mounted, or not unmounted.
#[derive(Debug, Error)]
#[error("cannot {action} the lossy file system at {path}: {source}")]
pub struct MountError {
    /// What was done.
    action: &'static str,
    /// Where.
    path: PathBuf,
    /// What the kernel said.
    source: io::Error,
}

impl MountError {
    /// Whether this machine has no FUSE, or does not let us mount: nothing is wrong with us then.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
    }
}

/// A mounted disk; it is unmounted when this is dropped. Whoever has files open in it must have ended by then.
pub struct Mount {
    disk: Arc<Mutex<Disk>>,
    session: BackgroundSession,
    path: PathBuf,
}

impl Mount {
    /// Mounts a disk at a folder.
    ///
    /// # Errors
    /// When this machine has no FUSE, or we are not allowed to mount.
    pub fn new(disk: Disk, path: &Path) -> Result<Self, MountError> {
        let disk = Arc::new(Mutex::new(disk));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("lossyfs".to_owned())];
        config.n_threads = Some(THREADS);
        config.clone_fd = true;
        let session = fuser::spawn_mount(Lossy::new(&disk), path, &config);
        let session = session.map_err(|source| MountError { action: "mount", path: path.to_owned(), source })?;
        Ok(Self { disk, session, path: path.to_owned() })
    }

    /// The disk as it is at this moment; what runs on it goes on.
    #[must_use]
    pub fn disk(&self) -> Disk {
        lock(&self.disk).clone()
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// When a process still has files open in it.
    pub fn unmount(self) -> Result<(), MountError> {
        let Self { session, path, .. } = self;
        session.umount_and_join().map_err(|source| MountError { action: "unmount", path, source })
    }
}

/// Answers the kernel.
struct Lossy {
    disk: Arc<Mutex<Disk>>,
    /// What those see who are reading a directory now.
    listings: Mutex<Listings>,
}

/// A directory is listed as it was when the reader began, whatever comes and goes meanwhile: whoever removes what it
/// reads must not miss every other name.
#[derive(Default)]
struct Listings {
    open: BTreeMap<u64, Vec<(OsString, Number)>>,
    next: u64,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lossy {
    fn new(disk: &Arc<Mutex<Disk>>) -> Self {
        Self { disk: Arc::clone(disk), listings: Mutex::default() }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }
}

fn number(inode: INodeNo) -> Number {
    Number(inode.0)
}

fn errno(refusal: Refusal) -> Errno {
    match refusal {
        Refusal::NotFound => Errno::ENOENT,
        Refusal::Exists => Errno::EEXIST,
        Refusal::NotDirectory => Errno::ENOTDIR,
        Refusal::IsDirectory => Errno::EISDIR,
        Refusal::NotEmpty => Errno::ENOTEMPTY,
        Refusal::NoSpace => Errno::ENOSPC,
        Refusal::Invalid => Errno::EINVAL,
    }
}

fn kind(is_directory: bool) -> FileType {
    if is_directory { FileType::Directory } else { FileType::RegularFile }
}

fn permissions(mode: u32) -> u16 {
    // Twelve bits.
    (mode & 0o7777) as u16
}

fn attributes(disk: &Disk, number: Number) -> Result<FileAttr, Refusal> {
    let status = disk.status(number)?;
    let time = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(number.0),
        size: status.length,
        blocks: status.pages * (PAGE / 512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: kind(status.is_directory),
        perm: status.mode,
        nlink: if status.is_directory { 2 } else { u32::try_from(status.names).unwrap_or(u32::MAX) },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: PAGE as u32,
        flags: 0,
    })
}

fn reply_entry(reply: ReplyEntry, answer: Result<FileAttr, Refusal>) {
    match answer {
        Ok(attributes) => reply.entry(&VALID, &attributes, Generation(0)),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

fn reply_empty(reply: ReplyEmpty, answer: Result<(), Refusal>) {
    match answer {
        Ok(()) => reply.ok(),
        Err(refusal) => reply.error(errno(refusal)),
    }
}

impl Filesystem for Lossy {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let disk = self.disk();
        let found = disk.lookup(number(parent), name).and_then(|found| attributes(&disk, found));
        reply_entry(reply, found);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match attributes(&self.disk(), number(inode)) {
            Ok(attributes) => reply.attr(&VALID, &attributes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        length: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let (mut disk, number) = (self.disk(), number(inode));
        let moded = mode.map_or(Ok(()), |mode| disk.set_mode(number, permissions(mode)));
        let resized = moded.and_then(|()| length.map_or(Ok(()), |length| disk.resize(number, length)));
        match resized.and_then(|()| attributes(&disk, number)) {
            Ok(attributes) => reply.attr(&VALID, &attributes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mut disk = self.disk();
        let made = disk.create_directory(number(parent), name, permissions(mode & !umask));
        let answer = made.and_then(|made| attributes(&disk, made));
        reply_entry(reply, answer);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        let mut disk = self.disk();
        let made = disk.create(number(parent), name, permissions(mode & !umask));
        let opened = made.and_then(|made| disk.open(made).and_then(|()| attributes(&disk, made)));
        match opened {
            Ok(attributes) => reply.created(&VALID, &attributes, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().unlink(number(parent), name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().remove_directory(number(parent), name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let taken = match flags {
            flags if flags.is_empty() => Taken::Replace,
            RenameFlags::RENAME_NOREPLACE => Taken::Refuse,
            _ => return reply.error(Errno::EINVAL),
        };
        let (from, to) = ((number(parent), name), (number(new_parent), new_name));
        reply_empty(reply, self.disk().rename(from, to, taken));
    }

    fn link(&self, _: &Request, inode: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        let linked = disk.link(number(inode), number(parent), name);
        let answer = linked.and_then(|()| attributes(&disk, number(inode)));
        reply_entry(reply, answer);
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk().open(number(inode)) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.disk().close(number(inode));
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(number(inode), offset, size.into()) {
            Ok(bytes) => reply.data(&bytes),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(number(inode), offset, data) {
            // The kernel sends a few pages at a time.
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refusal) => reply.error(errno(refusal)),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let (mut disk, number) = (self.disk(), number(inode));
        reply_empty(
            reply,
            match mode {
                mode if mode == PUNCH_HOLE | KEEP_SIZE => disk.punch(number, offset, length),
                // Pages are given out when they are written; that there is room is all that is promised.
                KEEP_SIZE => disk.status(number).map(drop),
                0 => disk.status(number).and_then(|status| disk.resize(number, status.length.max(offset + length))),
                _ => Err(Refusal::Invalid),
            },
        );
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().sync(number(inode)));
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(reply, self.disk().sync(number(inode)));
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let mut listings = lock(&self.listings);
        listings.next += 1;
        reply.opened(FileHandle(listings.next), FopenFlags::empty());
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        lock(&self.listings).open.remove(&handle.0);
        reply.ok();
    }

    fn readdir(&self, _: &Request, inode: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = self.disk();
        let mut listings = lock(&self.listings);
        if offset == 0 {
            match disk.list(number(inode)) {
                Ok(entries) => listings.open.insert(handle.0, entries.into_iter().collect()),
                Err(refusal) => return reply.error(errno(refusal)),
            };
        }
        let entries = listings.open.get(&handle.0).map_or(&[][..], Vec::as_slice);
        // An offset is the place in the listing of the next entry.
        for (next, (name, found)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            let is_directory = disk.status(*found).is_ok_and(|status| status.is_directory);
            if reply.add(INodeNo(found.0), next, kind(is_directory), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (all, free) = self.disk().space();
        reply.statfs(all, free, free, 1 << 20, 1 << 20, PAGE as u32, 255, PAGE as u32);
    }
}
