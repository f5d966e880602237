//! Making ranges of a file holes, as `fallocate` of Linux does.

use bytes::{Bytes, BytesMut};
use types::{Clearing, Lin, OperationError, Outcome, Timestamp};

use super::check_times;
use super::write::{check_length, inline_body};
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::extents::FileRange;
use crate::keys::ContentKey;
use crate::rows::Body;
use crate::transaction::Transaction;

/// Extents that one operation clears: about four gibibytes of a file.
const CLEARED_AT_ONCE_MAX: usize = 4096;

/// Makes the front of a range a hole; gives how many bytes of it are left.
pub fn clear(
    tx: &mut Transaction<'_>,
    lin: Lin,
    range: FileRange,
    clearing: Clearing,
    mtime: Option<Timestamp>,
) -> Result<Outcome, Failure> {
    check_times(&[mtime])?;
    let mut inode = tx.file(lin)?;
    let mut cleared = range.end;
    match &inode.row.body {
        Body::Inline(bytes) => inode.row.body = inline_body(tx, &without(bytes, range))?,
        Body::Extents(since) => {
            cleared = tx.clear_front(ContentKey { lin, since: *since }, range, CLEARED_AT_ONCE_MAX)?.end;
        }
        Body::Directory | Body::Target(_) | Body::Nothing | Body::Device(_) => {}
    }
    if clearing == Clearing::Extend {
        inode.row.size = inode.row.size.max(range.end);
    }
    inode.row.mtime = mtime.unwrap_or(tx.now());
    tx.save(inode, ChangeFlags::CONTENT | ChangeFlags::ATTRIBUTES)?;
    Ok(Outcome::Remaining(range.end - cleared))
}

/// A range that lies in the longest file.
pub fn range(offset: u64, length: u64) -> Result<FileRange, OperationError> {
    let end = check_length(offset.saturating_add(length))?;
    Ok(FileRange { start: offset, end })
}

/// Inline bytes with zeros for a range; what ends in it ends before it, for behind inline bytes is a hole.
fn without(bytes: &Bytes, range: FileRange) -> Bytes {
    let place = |offset: u64| usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
    let (start, end) = (place(range.start), place(range.end));
    if end == bytes.len() {
        return bytes.slice(..start);
    }
    let mut kept = BytesMut::from(&bytes[..]);
    if let Some(cleared) = kept.get_mut(start..end) {
        cleared.fill(0);
    }
    kept.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_bytes_keep_what_lies_outside_and_end_before_a_range_that_reaches_their_end() {
        let bytes = Bytes::from_static(b"hello");
        let left = |start, end| without(&bytes, FileRange { start, end });
        assert_eq!(left(1, 3), "h\0\0lo");
        assert_eq!(left(0, 1), "\0ello");
        assert_eq!(left(3, 5), "hel");
        assert_eq!(left(3, u64::MAX), "hel");
        assert_eq!(left(0, 5), "");
        assert_eq!(left(2, 2), "hello");
        assert_eq!(left(7, 9), "hello");
        assert_eq!(left(5, 5), "hello");
    }
}
