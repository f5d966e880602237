//! Reads and writes what a directory tree says about one inode, links not followed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags};

use crate::error::{Context, FileOperation, TestkitError};

/// Extended attributes by name.
pub(crate) type Xattrs = BTreeMap<OsString, Vec<u8>>;

/// The type of an inode, for messages and comparison.
pub(crate) fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "directory",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_block_device() => "block device",
        () => "character device",
    }
}

/// The attributes of a path itself.
pub(crate) fn inspect(path: &Path) -> Result<Metadata, TestkitError> {
    std::fs::symlink_metadata(path).context(FileOperation::Inspect, path)
}

/// The mode bits that a mode can set: permissions, set-id and sticky.
pub(crate) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

/// Seconds and nanoseconds of the last change of the content.
pub(crate) fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

/// All extended attributes of the path itself that this process may see.
pub(crate) fn xattrs(path: &Path) -> Result<Xattrs, TestkitError> {
    let mut names = vec![0; rustix::fs::llistxattr_query(path).context(FileOperation::Inspect, path)?];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).context(FileOperation::Inspect, path)?;
    names.truncate(length);
    let mut found = Xattrs::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        let length = rustix::fs::lgetxattr_query(path, name).context(FileOperation::Inspect, path)?;
        let mut value = vec![0; length];
        let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).context(FileOperation::Inspect, path)?;
        value.truncate(length);
        found.insert(OsString::from_vec(name.as_bytes().to_vec()), value);
    }
    Ok(found)
}

/// Sets an extended attribute of the path itself.
pub(crate) fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result<(), TestkitError> {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).context(FileOperation::Describe, path)
}

/// Sets permissions, set-id and sticky bits; not for symlinks, which have none.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), TestkitError> {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, permissions).context(FileOperation::Describe, path)
}

/// Gives the path itself to a user and a group. Clears set-id bits, so it comes before [`set_mode`].
pub(crate) fn set_owner(path: &Path, user: u32, group: u32) -> Result<(), TestkitError> {
    std::os::unix::fs::lchown(path, Some(user), Some(group)).context(FileOperation::Describe, path)
}

/// Sets the time of the last change of the path itself, and the time of the last access with it.
pub(crate) fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) -> Result<(), TestkitError> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).context(FileOperation::Describe, path)
}

/// Whether this process is root, and may give files away.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
