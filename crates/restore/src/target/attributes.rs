//! What an inode of the target carries besides its content.

use std::os::fd::BorrowedFd;

use bytes::Bytes;
use rustix::fs::{self, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::{self, Errno};
use types::{FileKind, Timestamp};

use super::TargetError;
use crate::{Metadata, RelativePath, Warnings};

/// The longest list of names of extended attributes that Linux gives (`XATTR_LIST_MAX`), in bytes.
const XATTR_LIST_MAX: usize = 65_536;
const SET_ID_BITS: u32 = 0o6000;

/// Sets what an open file or directory carries: the owner first, because that clears set-id bits and capabilities;
/// extended attributes while the mode still lets its owner write; the times last, because all else may move them.
pub(super) fn set_metadata(
    handle: BorrowedFd<'_>,
    path: &RelativePath,
    metadata: &Metadata,
) -> Result<Warnings, TargetError> {
    let fail = |action| move |source| TargetError::Entry { path: path.clone(), action, source };
    let mut warnings = Warnings::default();
    let mut mode = metadata.mode;
    if !set_owner(metadata, |uid, gid| fs::fchown(handle, uid, gid)).map_err(fail("set owner of"))? {
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

/// Whether the user was allowed to; any other failure is an error.
fn permitted(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::INVAL) => Ok(false),
        Err(source) => Err(source),
    }
}

/// Whether the user was allowed to set an extended attribute and the file system has it and room for it; any other
/// failure is an error. Room is no matter of the disk alone: ext4 has 4 KiB for all attributes of a file together, where
/// a cluster has 64 MiB.
pub(super) fn supported(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Err(
            Errno::OPNOTSUPP | Errno::ACCESS | Errno::NOSPC | Errno::DQUOT | Errno::TOOBIG | Errno::RANGE | Errno::FBIG,
        ) => Ok(false),
        other => permitted(other),
    }
}

/// Sets owner and group. The largest number is nobody's: the system takes it for one that is to stay as it is, and a file
/// with set-id bits would stay with whoever restores.
pub(super) fn set_owner(
    metadata: &Metadata,
    set: impl Fn(Option<Uid>, Option<Gid>) -> io::Result<()>,
) -> io::Result<bool> {
    if metadata.uid == u32::MAX || metadata.gid == u32::MAX {
        return Ok(false);
    }
    permitted(set(Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid))))
}

pub(super) fn times(metadata: &Metadata) -> Timestamps {
    Timestamps { last_access: timespec(metadata.atime), last_modification: timespec(metadata.mtime) }
}

fn timespec(time: Timestamp) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: i64::from(time.nanoseconds) }
}
