//! Cutting tails into blocks, and merging blocks (rule P16): the same bytes, elsewhere.

use types::{NewExtent, OperationError, Outcome, Revision, Rewrite};

use super::clear;
use crate::changes::ChangeFlags;
use crate::error::{Failure, StoreError};
use crate::extents::{FileRange, end_of};
use crate::history::Moment;
use crate::keys::{ContentKey, ExtentKey};
use crate::publish::{EXTENTS_MAX, check_shape};
use crate::rows::Body;
use crate::transaction::Transaction;
use crate::tree;

/// Puts extents in the place of what a range holds, if it has not changed since they were made of it.
///
/// A row is never changed, but replaced by one that is born later. So if rows that are old enough cover the range without
/// a gap, they covered it when its bytes were read.
pub fn rewrite(tx: &mut Transaction<'_>, rewrite: &Rewrite) -> Result<Outcome, Failure> {
    let Rewrite { lin, offset, length, as_of, ref extents } = *rewrite;
    let inode = tx.file(lin)?;
    let range = clear::range(offset, length)?;
    expect_exact(extents, range)?;
    check_shape(extents)?;
    let changed = OperationError::RangeChanged { lin, offset };
    let Body::Extents(since) = inode.row.body else { return Err(changed.into()) };
    let content = ContentKey { lin, since };
    // Nobody has read what is to come.
    if as_of >= tx.revision() || !has_been_since(tx, content, range, as_of)? {
        return Err(changed.into());
    }
    tx.publish(content, extents)?;
    Ok(Outcome::Inode(tx.save_unseen(inode, ChangeFlags::CONTENT)?))
}

/// Whether rows that are no younger cover the range.
fn has_been_since(
    tx: &Transaction<'_>,
    content: ContentKey,
    range: FileRange,
    as_of: Revision,
) -> Result<bool, StoreError> {
    let mut runs = tree::runs(tx, Moment::Head, ExtentKey { content, offset: range.start })?.take(EXTENTS_MAX);
    let mut covered = range.start;
    while covered < range.end {
        let Some((key, version)) = runs.next().transpose()? else { return Ok(false) };
        if key.offset > covered || version.revision > as_of {
            return Ok(false);
        }
        covered = end_of(key.offset, &version.row);
    }
    Ok(true)
}

/// Refuses extents that leave some of the range, or reach out of it.
fn expect_exact(extents: &[NewExtent], range: FileRange) -> Result<(), OperationError> {
    let covered = extents.iter().try_fold(range.start, |covered, NewExtent { extent, .. }| {
        (extent.offset == covered).then(|| covered.saturating_add(extent.length.into()))
    });
    if covered == Some(range.end) && range.start < range.end {
        return Ok(());
    }
    let reason = format!("they do not cover the {} bytes at offset {}", range.end - range.start, range.start);
    Err(OperationError::MalformedExtents { reason })
}
