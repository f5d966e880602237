//! Writing the content of a file.

use bytes::Bytes;
use types::{Content, INLINE_LENGTH_MAX, Lin, NewExtent, OperationError, Outcome, Timestamp};

use super::out_of_range;
use crate::changes::ChangeFlags;
use crate::error::Failure;
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
    let mut inode = tx.file(lin)?;
    match content {
        Content::Extents(extents) => {
            if let Body::Inline(bytes) = &inode.row.body {
                expect_covered(bytes, extents)?;
            }
            let end = tx.publish(lin, extents)?;
            inode.row.size = inode.row.size.max(end);
            inode.row.body = Body::Extents;
        }
        Content::Inline(bytes) => {
            inode.row.body = check_inline(bytes)?;
            inode.row.size = bytes.len() as u64;
            tx.clear_content(lin, 0)?;
        }
        Content::Empty => {
            inode.row.body = Body::Extents;
            tx.clear_content(lin, 0)?;
        }
    }
    inode.row.mtime = mtime.unwrap_or(tx.now());
    Ok(Outcome::Inode(tx.save(inode, ChangeFlags::CONTENT | ChangeFlags::ATTRIBUTES)?))
}

/// Inline bytes as a body; a file that has none has no extents.
pub fn check_inline(bytes: &Bytes) -> Result<Body, OperationError> {
    match bytes.len() {
        0 => Ok(Body::Extents),
        1..=INLINE_LENGTH_MAX => Ok(Body::Inline(bytes.clone())),
        length => Err(out_of_range("the length of the inline content", length, INLINE_LENGTH_MAX)),
    }
}

/// What is left of inline bytes when the file gets a length.
pub fn kept_inline(bytes: &Bytes, size: u64) -> Body {
    let kept = usize::try_from(size).map_or(bytes.len(), |size| size.min(bytes.len()));
    if kept == 0 { Body::Extents } else { Body::Inline(bytes.slice(..kept)) }
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
