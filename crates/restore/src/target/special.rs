//! Pipes, sockets and devices of the target.

use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{self, AtFlags, CWD, FileType, Mode, OFlags, XattrFlags};
use types::{Device, FileKind};

use super::TargetError;
use super::attributes::{set_owner, supported, times};
use super::file::Temporary;
use super::local::{FILE_MODE, LocalTarget, OPEN_FILES, in_the_way};
use crate::{Metadata, RelativePath, Warnings};

impl LocalTarget {
    /// Makes a pipe, a socket or a device with its metadata, in place of whatever is there.
    ///
    /// # Errors
    /// Fails if a directory is in the way or the user may not make it, as devices want a privileged one. What was there
    /// is there still.
    pub fn make_special(
        &self,
        path: &RelativePath,
        device: Device,
        metadata: &Metadata,
    ) -> Result<Warnings, TargetError> {
        let (parent, name) = self.parent_and_name(path)?;
        let temporary = self.temporary_name();
        let number = fs::makedev(device.major, device.minor);
        fs::mknodat(&parent, &temporary, file_type(metadata.kind), FILE_MODE, number)
            .map_err(|source| TargetError::Entry { path: path.clone(), action: "make", source })?;
        let mut made = Temporary { parent: Arc::clone(&parent), name: Some(temporary.clone()) };
        let warnings = finish(&parent, &temporary, path, metadata)?;
        fs::renameat(&parent, &temporary, &parent, name).map_err(|source| in_the_way(path, "make", source))?;
        made.name = None;
        Ok(warnings)
    }
}

/// What the system calls a kind of file.
const fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::File => FileType::RegularFile,
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Pipe => FileType::Fifo,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharacterDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
    }
}

/// Sets owner, extended attributes, mode and times. The file is never opened, for that could wait for a peer or wake a
/// device: a handle stands for its name alone, and what is done through the handle's own name is done to it.
fn finish(parent: &OwnedFd, name: &OsStr, path: &RelativePath, metadata: &Metadata) -> Result<Warnings, TargetError> {
    let fail = |action| move |source| TargetError::Entry { path: path.clone(), action, source };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = fs::openat(parent, name, flags, Mode::empty()).map_err(fail("look at"))?;
    let through = PathBuf::from(format!("{OPEN_FILES}/{}", handle.as_raw_fd()));
    let mut warnings = Warnings::default();
    let set = |uid, gid| fs::chownat(&handle, "", uid, gid, AtFlags::EMPTY_PATH);
    if !set_owner(metadata, set).map_err(fail("set owner of"))? {
        warnings.owners += 1;
    }
    for (key, value) in &metadata.xattrs {
        let set = fs::setxattr(&through, &key[..], value, XattrFlags::empty());
        if !supported(set).map_err(fail("set extended attribute of"))? {
            warnings.xattrs += 1;
        }
    }
    fs::chmodat(CWD, &through, Mode::from_raw_mode(metadata.mode), AtFlags::empty()).map_err(fail("set mode of"))?;
    fs::utimensat(CWD, &through, &times(metadata), AtFlags::empty()).map_err(fail("set times of"))?;
    Ok(warnings)
}
