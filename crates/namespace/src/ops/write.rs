//! Writing the content of a file.

use bytes::Bytes;
use types::{Content, INLINE_LENGTH_MAX, Lin, NewExtent, OperationError, Outcome, Revision, Timestamp};

use super::{check_times, out_of_range};
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::keys::ContentKey;
use crate::publish::FILE_LENGTH_MAX;
use crate::rows::Body;
use crate::transaction::Transaction;

/// Replaces ranges of a file by extents, or its whole content.
pub fn write(
    tx: &mut Transaction<'_>,
    lin: Lin,
    content: &Content,
    mtime: Option<Timestamp>,
) -> Result<Outcome, Failure> {
    check_times(&[mtime])?;
    let mut inode = tx.file(lin)?;
    match content {
        Content::Extents(extents) => {
            let since = content_of(tx, &inode.row.body, extents)?;
            let end = tx.publish(ContentKey { lin, since }, extents)?;
            inode.row.size = inode.row.size.max(end);
            inode.row.body = Body::Extents(since);
        }
        Content::Inline(bytes) => {
            tx.abandon_body(lin, &inode.row.body)?;
            inode.row.body = inline_body(tx, bytes)?;
            inode.row.size = bytes.len() as u64;
        }
        Content::Empty => {
            tx.abandon_body(lin, &inode.row.body)?;
            inode.row.body = Body::Extents(tx.revision());
        }
        Content::Device(_) => return Err(OperationError::WrongKind { lin, kind: inode.row.kind }.into()),
    }
    inode.row.mtime = mtime.unwrap_or(tx.now());
    Ok(Outcome::Inode(tx.save(inode, ChangeFlags::CONTENT | ChangeFlags::ATTRIBUTES)?))
}

/// The content that extents go to: the file's, or a new one in the place of its inline bytes.
fn content_of(tx: &Transaction<'_>, body: &Body, extents: &[NewExtent]) -> Result<Revision, OperationError> {
    match body {
        Body::Extents(since) => return Ok(*since),
        Body::Inline(bytes) => expect_covered(bytes, extents)?,
        Body::Directory | Body::Target(_) | Body::Nothing | Body::Device(_) => {}
    }
    Ok(tx.revision())
}

/// Inline bytes as a body; a file that has none has extents, and no extent yet.
pub fn inline_body(tx: &Transaction<'_>, bytes: &Bytes) -> Result<Body, OperationError> {
    match bytes.len() {
        0 => Ok(Body::Extents(tx.revision())),
        1..=INLINE_LENGTH_MAX => Ok(Body::Inline(bytes.clone())),
        length => Err(out_of_range("the length of the inline content", length, INLINE_LENGTH_MAX)),
    }
}

/// What is left of inline bytes when the file gets a length.
pub fn kept_inline(tx: &Transaction<'_>, bytes: &Bytes, size: u64) -> Result<Body, OperationError> {
    let kept = usize::try_from(size).map_or(bytes.len(), |size| size.min(bytes.len()));
    inline_body(tx, &bytes.slice(..kept))
}

/// A length that a file can have.
pub fn check_length(size: u64) -> Result<u64, OperationError> {
    if size <= FILE_LENGTH_MAX {
        return Ok(size);
    }
    Err(OperationError::OutOfRange { what: "the length of the file".into(), value: size, limit: FILE_LENGTH_MAX })
}

/// Refuses extents that would leave some of a file's inline bytes: a file has either, so that a reader never has to
/// lay one over the other. The writer reads the inline bytes and puts them into its first block.
fn expect_covered(inline: &Bytes, extents: &[NewExtent]) -> Result<(), OperationError> {
    // The extents are sorted, so one after a gap adds nothing.
    let reached = extents.iter().fold(0, |reached: u64, NewExtent { extent, .. }| {
        let end = extent.offset.saturating_add(extent.length.into());
        if extent.offset <= reached { reached.max(end) } else { reached }
    });
    if reached >= inline.len() as u64 {
        return Ok(());
    }
    let reason = format!("the file's first {} bytes are inline and not all covered", inline.len());
    Err(OperationError::MalformedExtents { reason })
}
