//! Making files of every kind.

use bytes::Bytes;
use types::{Content, Create, FileKind, Lin, NewInode, OperationError, Outcome, SYMLINK_LENGTH_MAX, XATTRS_MAX};

use super::depth::walk_up;
use super::write::{check_length, inline_body};
use super::xattr::check_xattr;
use super::{check_times, out_of_range};
use crate::error::Failure;
use crate::genesis::GENESIS;
use crate::inode::{entry_exists, entry_key};
use crate::keys::{ContentKey, EntryKey, XattrKey};
use crate::rows::{Body, EntryRow, InodeRow};
use crate::tables::Xattrs;
use crate::transaction::Transaction;

/// Makes an inode with its name, attributes and content.
pub fn create(tx: &mut Transaction<'_>, create: &Create) -> Result<Outcome, Failure> {
    let new = &create.inode;
    check_times(&[new.atime, new.mtime])?;
    tx.directory(create.parent)?;
    let key = entry_key(create.parent, &create.name);
    if let Some(existing) = tx.entry(&key)? {
        replace(tx, create, &key, existing)?;
    }
    if new.kind == FileKind::Directory {
        walk_up(tx, create.parent, |_| Ok(()))?;
    }
    let lin = Lin(tx.revision().0);
    let body = body(tx, new)?;
    let size = size(new, &body)?;
    if let Content::Extents(extents) = &new.content {
        let end = tx.publish(ContentKey { lin, since: tx.revision() }, extents)?;
        if end > size {
            return Err(
                OperationError::OutOfRange { what: "the end of the extents".into(), value: end, limit: size }.into()
            );
        }
    }
    put_xattrs(tx, lin, &new.xattrs)?;
    tx.add_entry(&key, EntryRow { lin, kind: new.kind })?;
    Ok(Outcome::Inode(tx.insert_inode(create.parent, row(tx, new, body, size))?))
}

/// Removes what has the name, if it may be replaced.
fn replace(tx: &mut Transaction<'_>, create: &Create, key: &EntryKey, existing: EntryRow) -> Result<(), Failure> {
    if !create.replace {
        return Err(entry_exists(key).into());
    }
    if existing.kind == FileKind::Directory {
        return Err(OperationError::IsDirectory { lin: existing.lin }.into());
    }
    tx.unlink(key, existing)
}

fn row(tx: &Transaction<'_>, new: &NewInode, body: Body, size: u64) -> InodeRow {
    InodeRow {
        kind: new.kind,
        mode: new.mode & 0o7777,
        uid: new.uid,
        gid: new.gid,
        nlink: if new.kind == FileKind::Directory { 2 } else { 1 },
        size,
        atime: new.atime.unwrap_or(tx.now()),
        mtime: new.mtime.unwrap_or(tx.now()),
        ctime: tx.now(),
        // Set when the row is put into the change index.
        changed: GENESIS,
        body,
    }
}

fn body(tx: &Transaction<'_>, new: &NewInode) -> Result<Body, OperationError> {
    let wrong = |what: &str| out_of_range(what, 1, 0);
    match (new.kind, &new.content) {
        (FileKind::Symlink, Content::Empty) => check_target(&new.target),
        (_, _) if !new.target.is_empty() => Err(wrong("a target of what is no symbolic link")),
        (FileKind::Directory, Content::Empty) => Ok(Body::Directory),
        (FileKind::File, Content::Inline(bytes)) => inline_body(tx, bytes),
        (FileKind::File, Content::Empty | Content::Extents(_)) => Ok(Body::Extents(tx.revision())),
        (FileKind::Pipe | FileKind::Socket, Content::Empty) => Ok(Body::Nothing),
        (FileKind::CharDevice | FileKind::BlockDevice, Content::Device(device)) => Ok(Body::Device(*device)),
        (FileKind::CharDevice | FileKind::BlockDevice, _) => Err(wrong("content of a device that is not its number")),
        (_, _) => Err(wrong("content of what is no file")),
    }
}

fn check_target(target: &Bytes) -> Result<Body, OperationError> {
    match target.len() {
        0 => Err(types::NameError::Empty.into()),
        1..=SYMLINK_LENGTH_MAX => Ok(Body::Target(target.clone())),
        length => Err(out_of_range("the length of the target", length, SYMLINK_LENGTH_MAX)),
    }
}

/// The length of the new inode: that of a file is given, and holds at least what is inline.
fn size(new: &NewInode, body: &Body) -> Result<u64, OperationError> {
    match body {
        Body::Directory | Body::Nothing | Body::Device(_) => Ok(0),
        Body::Target(target) => Ok(target.len() as u64),
        Body::Inline(bytes) if new.size < bytes.len() as u64 => {
            let what = "the length of the inline content".into();
            Err(OperationError::OutOfRange { what, value: bytes.len() as u64, limit: new.size })
        }
        Body::Inline(_) | Body::Extents(_) => check_length(new.size),
    }
}

fn put_xattrs(tx: &mut Transaction<'_>, lin: Lin, xattrs: &[(Bytes, Bytes)]) -> Result<(), Failure> {
    if xattrs.len() > XATTRS_MAX {
        return Err(out_of_range("the number of extended attributes", xattrs.len(), XATTRS_MAX).into());
    }
    for (name, value) in xattrs {
        check_xattr(name, value)?;
        tx.put_version::<Xattrs>(&XattrKey { lin, name: name.clone() }, value.clone())?;
    }
    Ok(())
}
