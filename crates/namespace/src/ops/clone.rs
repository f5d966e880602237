//! Clones: ranges of files that share blocks, as `FICLONERANGE` of Linux makes them (rules P7 and P8).

use bytes::{Bytes, BytesMut};
use types::{CLONE_ALIGNMENT, CloneRange, OperationError, Outcome, Revision, SnapshotId};

use super::write::{check_length, inline_body};
use super::{check_times, snapshot};
use crate::changes::ChangeFlags;
use crate::error::{Failure, StoreError};
use crate::extents::{FileRange, end_of, piece};
use crate::history::{KeyAndVersion, Moment};
use crate::inode::Inode;
use crate::keys::{ContentKey, ExtentKey};
use crate::places::PlaceKey;
use crate::rows::{Body, InodeRow, RunRow};
use crate::tables::Extents;
use crate::transaction::Transaction;
use crate::tree;

/// Extents that one operation shares, and those that it takes the place of: about four gibibytes of a file.
const CLONED_AT_ONCE_MAX: usize = 4096;
/// Bytes of tails that one operation copies, because they have no block to be shared.
const COPIED_AT_ONCE_MAX: u64 = 1 << 20;
// Each extent has a byte at least, so that an operation goes on by one unit at least.
const _: () = assert!(CLONED_AT_ONCE_MAX as u64 >= CLONE_ALIGNMENT);

/// What is shared.
struct Source {
    moment: Moment,
    /// Its extents; a file that is kept inline has none.
    content: Option<ContentKey>,
    range: FileRange,
}

/// Lets the front of a range hold what another one does; gives how many bytes of it are left.
pub fn clone(tx: &mut Transaction<'_>, clone: &CloneRange) -> Result<Outcome, Failure> {
    check_times(&[clone.mtime])?;
    let moment = moment(tx, clone.snapshot)?;
    let from = tree::file(tx, moment, clone.from)?;
    let mut target = tx.file(clone.to)?;
    let (range, to) = ranges(clone, &from)?;
    if clone.length == 0 {
        return Ok(Outcome::Remaining(0));
    }
    let done = match (inline_part(&from.body, range), from.body) {
        (Some(bytes), _) => copy_inline(tx, clone, &mut target, &bytes, to)?,
        (None, Body::Extents(since)) => {
            let content = Some(ContentKey { lin: clone.from, since });
            share(tx, clone, &mut target, &Source { moment, content, range })?
        }
        (None, _) => share(tx, clone, &mut target, &Source { moment, content: None, range })?,
    };
    target.row.size = target.row.size.max(to.start + done);
    target.row.mtime = clone.mtime.unwrap_or(tx.now());
    tx.save(target, ChangeFlags::CONTENT | ChangeFlags::ATTRIBUTES)?;
    Ok(Outcome::Remaining(clone.length - done))
}

fn moment(tx: &Transaction<'_>, snapshot: Option<SnapshotId>) -> Result<Moment, Failure> {
    snapshot.map_or(Ok(Moment::Head), |id| Ok(Moment::At(snapshot::live(tx, id)?.revision)))
}

/// The ranges of both files, checked.
fn ranges(clone: &CloneRange, from: &InodeRow) -> Result<(FileRange, FileRange), Failure> {
    let end = clone.from_offset.saturating_add(clone.length);
    let to_end = check_length(clone.to_offset.saturating_add(clone.length))?;
    let uneven = |value: u64| !value.is_multiple_of(CLONE_ALIGNMENT);
    if end > from.size {
        return Err(not_cloneable(clone, format!("it reaches beyond the file's end, {}", from.size)));
    }
    if uneven(clone.from_offset) || uneven(clone.to_offset) || (uneven(clone.length) && end < from.size) {
        let reason = format!("offsets and lengths have to be multiples of {CLONE_ALIGNMENT}, but for the file's end");
        return Err(not_cloneable(clone, reason));
    }
    let itself = clone.from == clone.to && clone.snapshot.is_none();
    if itself && clone.from_offset.abs_diff(clone.to_offset) < clone.length {
        return Err(not_cloneable(clone, "it overlaps the range that it is to be cloned to"));
    }
    Ok((FileRange { start: clone.from_offset, end }, FileRange { start: clone.to_offset, end: to_end }))
}

/// The inline bytes in a range, if there are any.
fn inline_part(body: &Body, range: FileRange) -> Option<Bytes> {
    let Body::Inline(bytes) = body else { return None };
    let place = |offset: u64| usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()));
    let part = bytes.slice(place(range.start)..place(range.end));
    (!part.is_empty()).then_some(part)
}

/// Inline bytes have no block to share: they are copied to a file that is kept inline itself, or of which nothing else
/// is left. They lie at the begin of their file, and so of the range.
fn copy_inline(
    tx: &mut Transaction<'_>,
    clone: &CloneRange,
    target: &mut Inode,
    bytes: &Bytes,
    to: FileRange,
) -> Result<u64, Failure> {
    let whole = to.end >= target.row.size;
    let bytes = match &target.row.body {
        _ if to.start > 0 => None,
        Body::Inline(old) => Some(overlaid(old, bytes, to.end)),
        _ if whole => Some(bytes.clone()),
        _ => None,
    };
    let Some(bytes) = bytes else {
        let reason = "it is short and has no blocks, and the other file keeps some of its own: copy the bytes";
        return Err(not_cloneable(clone, reason));
    };
    tx.abandon_body(target.lin, &target.row.body)?;
    target.row.body = inline_body(tx, &bytes)?;
    Ok(clone.length)
}

/// Inline bytes of which the front is replaced by others, and zeros behind them.
fn overlaid(old: &Bytes, new: &Bytes, until: u64) -> Bytes {
    let until = usize::try_from(until).map_or(old.len(), |until| until.min(old.len()));
    let rest = old.slice(until..);
    if rest.is_empty() {
        return new.clone();
    }
    let mut bytes = BytesMut::zeroed(until);
    if let Some(front) = bytes.get_mut(..new.len()) {
        front.copy_from_slice(new);
    }
    bytes.extend_from_slice(&rest);
    bytes.freeze()
}

/// Puts rows of the shared blocks in the place of what the target has. Gives how many bytes are done.
fn share(tx: &mut Transaction<'_>, clone: &CloneRange, target: &mut Inode, source: &Source) -> Result<u64, Failure> {
    let to = FileRange { start: clone.to_offset, end: clone.to_offset + clone.length };
    let since = content_of(tx, clone, &target.row.body, to)?;
    let content = ContentKey { lin: clone.to, since };
    target.row.body = Body::Extents(since);
    let shared = shared_runs(tx, source)?;
    let reached = shared.reach(source.range).min(replaced_runs(tx, content, to)?.reach(to));
    let done = if reached < clone.length { reached - reached % CLONE_ALIGNMENT } else { reached };
    let cleared = FileRange { start: to.start, end: to.start + done };
    tx.clear_front(content, cleared, CLONED_AT_ONCE_MAX)?;
    for (key, old) in shared.rows {
        let start = key.offset.max(source.range.start);
        let Some(row) = piece(key.offset, &old, start, source.range.start + done) else { continue };
        let to = ExtentKey { content, offset: to.start + (start - source.range.start) };
        match (&old, row) {
            (RunRow::Block(old), RunRow::Block(row)) => tx.share(PlaceKey::of(key, old), to, row)?,
            (_, row) => tx.put_version::<Extents>(&to, row)?,
        }
    }
    Ok(done)
}

/// The content that extents are put into: the file's, or a new one if they take the place of all its inline bytes.
fn content_of(tx: &Transaction<'_>, clone: &CloneRange, body: &Body, to: FileRange) -> Result<Revision, Failure> {
    match body {
        Body::Extents(since) => Ok(*since),
        Body::Inline(bytes) if to.start > 0 || to.end < bytes.len() as u64 => {
            Err(not_cloneable(clone, "the other file is short and keeps some of its bytes: copy the bytes"))
        }
        _ => Ok(tx.revision()),
    }
}

/// The first extents and tails in a range, orphans included where they are in the way.
#[derive(Default)]
struct First {
    rows: Vec<(ExtentKey, RunRow)>,
    /// Bytes of the tails among them.
    tails: u64,
}

impl First {
    fn is_full(&self) -> bool {
        self.rows.len() >= CLONED_AT_ONCE_MAX || self.tails >= COPIED_AT_ONCE_MAX
    }

    /// Takes rows until there are none in the range, or as many as one operation takes.
    fn of(
        found: impl Iterator<Item = Result<KeyAndVersion<Extents>, StoreError>>,
        end: u64,
    ) -> Result<Self, StoreError> {
        let mut first = Self::default();
        for found in found {
            let (key, version) = found?;
            if key.offset >= end || first.is_full() {
                break;
            }
            first.tails += if let RunRow::Tail(bytes) = &version.row { bytes.len() as u64 } else { 0 };
            first.rows.push((key, version.row));
        }
        Ok(first)
    }

    /// How many bytes of the range are done with them: all, if they are fewer than one operation takes.
    fn reach(&self, range: FileRange) -> u64 {
        let last = self.rows.last().filter(|_| self.is_full());
        let end = last.map_or(range.end, |(key, row)| end_of(key.offset, row).min(range.end));
        end - range.start
    }
}

/// The first extents and tails of the source.
fn shared_runs(tx: &Transaction<'_>, source: &Source) -> Result<First, StoreError> {
    let Some(content) = source.content else { return Ok(First::default()) };
    let from = ExtentKey { content, offset: source.range.start };
    First::of(tree::runs(tx, source.moment, from)?, source.range.end)
}

/// The first extents and tails that the target has where the clone goes, orphans included.
fn replaced_runs(tx: &Transaction<'_>, content: ContentKey, to: FileRange) -> Result<First, StoreError> {
    let from = ExtentKey { content, offset: to.start };
    First::of(tree::stored_extents(tx, Moment::Head, from)?, to.end)
}

fn not_cloneable(clone: &CloneRange, reason: impl ToString) -> Failure {
    OperationError::NotCloneable { lin: clone.from, reason: reason.to_string() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_bytes_take_the_front_of_others_and_leave_what_lies_behind_the_range() {
        let laid = |old: &'static str, new: &'static str, until| {
            overlaid(&Bytes::from_static(old.as_bytes()), &Bytes::from_static(new.as_bytes()), until)
        };
        assert_eq!(laid("abcdef", "xy", 2), "xycdef");
        assert_eq!(laid("abcdef", "xy", 4), "xy\0\0ef", "the range ends in a hole");
        assert_eq!(laid("abcdef", "xy", 6), "xy");
        assert_eq!(laid("abcdef", "xy", 4096), "xy");
        assert_eq!(laid("", "xy", 2), "xy");
    }
}
