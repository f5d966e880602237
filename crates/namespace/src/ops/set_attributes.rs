//! Setting attributes, the length included.

use types::{AttributeChanges, FileKind, Lin, OperationError, Outcome};

use super::check_times;
use super::write::{check_length, kept_inline};
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::inode::Inode;
use crate::keys::ContentKey;
use crate::rows::Body;
use crate::transaction::Transaction;

/// Sets the attributes that are given.
pub fn set_attributes(tx: &mut Transaction<'_>, lin: Lin, changes: &AttributeChanges) -> Result<Outcome, Failure> {
    check_times(&[changes.atime, changes.mtime])?;
    let mut inode = tx.inode(lin)?;
    let mut flags = ChangeFlags::ATTRIBUTES;
    if let Some(size) = changes.size {
        resize(tx, &mut inode, size)?;
        inode.row.mtime = tx.now();
        flags = flags | ChangeFlags::CONTENT;
    }
    let row = &mut inode.row;
    row.mode = changes.mode.map_or(row.mode, |mode| mode & 0o7777);
    row.uid = changes.uid.unwrap_or(row.uid);
    row.gid = changes.gid.unwrap_or(row.gid);
    row.atime = changes.atime.unwrap_or(row.atime);
    row.mtime = changes.mtime.unwrap_or(row.mtime);
    Ok(Outcome::Inode(tx.save(inode, flags)?))
}

/// Cuts a file, or lets it end in a hole.
fn resize(tx: &mut Transaction<'_>, inode: &mut Inode, size: u64) -> Result<(), Failure> {
    let lin = inode.lin;
    match inode.row.kind {
        FileKind::File => check_length(size)?,
        FileKind::Directory => return Err(OperationError::IsDirectory { lin }.into()),
        kind => return Err(OperationError::WrongKind { lin, kind }.into()),
    };
    match &inode.row.body {
        Body::Inline(bytes) => inode.row.body = kept_inline(tx, bytes, size)?,
        body @ Body::Extents(_) if size == 0 => {
            tx.abandon_body(lin, body)?;
            inode.row.body = Body::Extents(tx.revision());
        }
        Body::Extents(since) if size < inode.row.size => {
            tx.cut_behind(ContentKey { lin, since: *since }, size)?;
        }
        _ => {}
    }
    inode.row.size = size;
    Ok(())
}
