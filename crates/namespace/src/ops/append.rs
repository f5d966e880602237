//! Appending to files (rule P16).

use bytes::Bytes;
use types::{Append, Content, INLINE_LENGTH_MAX, NewExtent, OperationError, Outcome, TAIL_LENGTH_MAX};

use super::write::check_length;
use super::{check_times, out_of_range};
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::inode::Inode;
use crate::keys::{ContentKey, ExtentKey};
use crate::rows::{Body, RunRow};
use crate::tables::Extents;
use crate::transaction::Transaction;

/// Puts content where the file ends.
pub fn append(tx: &mut Transaction<'_>, append: &Append) -> Result<Outcome, Failure> {
    check_times(&[append.mtime])?;
    let mut inode = tx.file(append.lin)?;
    match &append.content {
        Content::Empty => {}
        Content::Inline(bytes) => append_bytes(tx, &mut inode, bytes)?,
        Content::Extents(extents) => {
            let content = out_of_the_inode(tx, &mut inode)?;
            let end = tx.publish(content, &behind(inode.row.size, extents))?;
            inode.row.size = inode.row.size.max(end);
        }
        Content::Device(_) => {
            return Err(OperationError::WrongKind { lin: append.lin, kind: inode.row.kind }.into());
        }
    }
    inode.row.mtime = append.mtime.unwrap_or(tx.now());
    Ok(Outcome::Inode(tx.save(inode, ChangeFlags::CONTENT | ChangeFlags::ATTRIBUTES)?))
}

/// Extents that count their offsets from the end of a file. What would lie beyond all files is refused as such.
fn behind(end: u64, extents: &[NewExtent]) -> Vec<NewExtent> {
    let mut placed = extents.to_vec();
    for NewExtent { extent, .. } in &mut placed {
        extent.offset = extent.offset.saturating_add(end);
    }
    placed
}

/// Bytes stay in the inode as long as the whole file fits there, else they become part of the tail.
fn append_bytes(tx: &mut Transaction<'_>, inode: &mut Inode, bytes: &Bytes) -> Result<(), Failure> {
    if bytes.len() > TAIL_LENGTH_MAX {
        return Err(
            out_of_range("the number of bytes to append (put more into blocks)", bytes.len(), TAIL_LENGTH_MAX).into()
        );
    }
    if bytes.is_empty() {
        return Ok(());
    }
    let end = inode.row.size;
    let size = check_length(end.saturating_add(bytes.len() as u64))?;
    match inline_with(inode, bytes) {
        Some(inline) => {
            tx.abandon_body(inode.lin, &inode.row.body)?;
            inode.row.body = Body::Inline(inline);
        }
        None => {
            let content = out_of_the_inode(tx, inode)?;
            tx.append_tail(content, end, bytes)?;
        }
    }
    inode.row.size = size;
    Ok(())
}

/// The whole content of a file with bytes behind it, if that is inline.
fn inline_with(inode: &Inode, bytes: &Bytes) -> Option<Bytes> {
    let before = match &inode.row.body {
        Body::Inline(before) if before.len() as u64 == inode.row.size => &before[..],
        Body::Extents(_) if inode.row.size == 0 => &[],
        _ => return None,
    };
    (before.len() + bytes.len() <= INLINE_LENGTH_MAX).then(|| [before, bytes].concat().into())
}

/// The content that what is appended goes to. Inline bytes become the first tail of a new one.
fn out_of_the_inode(tx: &mut Transaction<'_>, inode: &mut Inode) -> Result<ContentKey, Failure> {
    let (lin, fresh) = (inode.lin, tx.revision());
    let since = match &inode.row.body {
        Body::Extents(since) => *since,
        Body::Inline(bytes) => {
            let key = ExtentKey { content: ContentKey { lin, since: fresh }, offset: 0 };
            tx.put_version::<Extents>(&key, RunRow::Tail(bytes.clone()))?;
            fresh
        }
        Body::Directory | Body::Target(_) | Body::Nothing | Body::Device(_) => fresh,
    };
    inode.row.body = Body::Extents(since);
    Ok(ContentKey { lin, since })
}
