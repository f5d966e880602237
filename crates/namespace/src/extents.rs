//! Extents and tails as operations change them.

use types::{BLOCK_LENGTH_MAX, BlockId, NodeId, OperationError, Revision};

use crate::error::{Failure, StoreError};
use crate::history::{KeyAndVersion, Moment, versions};
use crate::keys::{ContentKey, ExtentKey, FreedKey, Key as _, KeyRange};
use crate::publish::EXTENTS_MAX;
use crate::rows::{ExtentRow, RunRow};
use crate::tables::{Extents, Freed};
use crate::transaction::{Retired, Transaction};
use crate::tree;

/// Extents that are looked at together.
const PAGE: usize = 1024;

/// A range of a file, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

/// The front of a range that became a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front {
    /// Where it ends.
    pub end: u64,
    /// How many extents were there.
    pub met: usize,
}

impl Transaction<'_> {
    /// Makes a range of a file a hole. Extents that reach out of it keep what lies outside. Gives the number of those
    /// that it met; more than `limit` are refused.
    pub fn clear_range(&mut self, content: ContentKey, range: FileRange, limit: usize) -> Result<usize, Failure> {
        let (mut start, mut met) = (range.start, 0);
        while start < range.end {
            let front = self.clear_front(content, FileRange { start, ..range }, PAGE)?;
            start = front.end;
            met += front.met;
            if met > limit {
                return Err(too_many_replaced(met).into());
            }
        }
        Ok(met)
    }

    /// Makes a range of a file a hole, from its front on, until so many extents are met.
    pub fn clear_front(&mut self, content: ContentKey, range: FileRange, limit: usize) -> Result<Front, StoreError> {
        if range.start >= range.end {
            return Ok(Front { end: range.end, met: 0 });
        }
        let taken = self.taken(content)?;
        let touched: Vec<_> = tree::stored_extents(self, Moment::Head, ExtentKey { content, offset: range.start })?
            .take_while(|row| row.as_ref().map_or(true, |(key, _)| key.offset < range.end))
            .take(limit)
            .collect::<Result<_, _>>()?;
        let met = touched.len();
        let last = touched.last().filter(|_| met == limit);
        let end = last.map_or(range.end, |(key, last)| end_of(key.offset, &last.row).min(range.end));
        for (key, extent) in touched {
            match taken.death(key.offset, extent.revision) {
                Some(death) => self.drop_extent(key, &extent.row, death)?,
                None => self.cut(key, &extent.row, range)?,
            }
        }
        Ok(Front { end, met })
    }

    /// Removes an extent and puts back what lies outside of a range.
    pub fn cut(&mut self, key: ExtentKey, row: &RunRow, range: FileRange) -> Result<(), StoreError> {
        let ExtentKey { content, offset } = key;
        self.drop_extent(key, row, self.revision())?;
        if let Some(left) = piece(offset, row, offset, range.start) {
            self.put_version::<Extents>(&key, left)?;
        }
        if let Some(right) = piece(offset, row, range.end, end_of(offset, row)) {
            self.put_version::<Extents>(&ExtentKey { content, offset: range.end }, right)?;
        }
        Ok(())
    }

    /// The first extents of a content that begin at an offset or behind it, orphans included.
    pub fn extents_from(&self, from: ExtentKey, limit: usize) -> Result<Vec<KeyAndVersion<Extents>>, StoreError> {
        let behind = KeyRange::prefix(from.content.encode()).from(&from);
        versions::<Extents>(self, Moment::Head, behind).take(limit).collect()
    }

    /// Drops an extent as of an operation.
    pub fn drop_extent(&mut self, key: ExtentKey, row: &RunRow, death: Revision) -> Result<(), StoreError> {
        if self.delete_version_as_of::<Extents>(&key, death)? == Retired::Gone {
            self.lose_run(key, row);
        }
        Ok(())
    }

    /// Forgets copies that a holder has taken out of use.
    pub fn acknowledge_freed(&mut self, holder: NodeId, blocks: &[BlockId]) {
        for &block in blocks {
            self.delete::<Freed>(&FreedKey { holder, block });
        }
    }
}

/// Where an extent ends.
pub const fn end_of(offset: u64, row: &RunRow) -> u64 {
    offset.saturating_add(row.length())
}

fn too_many_replaced(met: usize) -> OperationError {
    let what = "the number of extents that the write replaces (write less at once)".to_owned();
    OperationError::OutOfRange { what, value: met as u64, limit: EXTENTS_MAX as u64 }
}

/// The part of an extent or a tail that lies in a range of the file, if any.
pub fn piece(offset: u64, row: &RunRow, start: u64, end: u64) -> Option<RunRow> {
    let end = end.min(end_of(offset, row));
    let skipped = u32::try_from(start.saturating_sub(offset)).ok()?;
    let length = u32::try_from(end.checked_sub(start)?).ok().filter(|&length| length > 0)?;
    debug_assert!(skipped <= BLOCK_LENGTH_MAX, "no run is longer than a block");
    Some(match row {
        RunRow::Block(row) => {
            RunRow::Block(ExtentRow { length, block_offset: row.block_offset.checked_add(skipped)?, ..row.clone() })
        }
        RunRow::Tail(bytes) => {
            let begin = skipped as usize;
            RunRow::Tail(bytes.slice(begin..begin + length as usize))
        }
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::{Digest, PgId, Revision};

    use super::*;

    fn row() -> RunRow {
        RunRow::Block(ExtentRow {
            length: 100,
            block: BlockId::default(),
            block_offset: 7,
            block_length: 200,
            digest: Digest::default(),
            pg: PgId(1),
            block_born: Revision(3),
        })
    }

    fn piece_of_block(start: u64, end: u64) -> ExtentRow {
        match piece(1000, &row(), start, end) {
            Some(RunRow::Block(row)) => row,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_piece_keeps_its_bytes_of_the_block_and_the_blocks_birth() {
        let left = piece_of_block(1000, 1040);
        assert_eq!((left.length, left.block_offset, left.block_born), (40, 7, Revision(3)));
        let right = piece_of_block(1040, 1100);
        assert_eq!((right.length, right.block_offset, right.block_born), (60, 47, Revision(3)));
    }

    #[test]
    fn a_piece_of_a_tail_keeps_the_bytes_that_lie_in_it() {
        let tail = RunRow::Tail(Bytes::from_static(b"0123456789"));
        let kept = |start, end| piece(1000, &tail, start, end);
        assert_eq!(kept(1000, 1003), Some(RunRow::Tail(Bytes::from_static(b"012"))));
        assert_eq!(kept(1007, u64::MAX), Some(RunRow::Tail(Bytes::from_static(b"789"))));
        assert_eq!(kept(1010, u64::MAX), None);
    }

    #[test]
    fn nothing_is_left_of_an_extent_that_is_covered() {
        assert_eq!(piece(1000, &row(), 1000, 1000), None);
        assert_eq!(piece(1000, &row(), 1000, 900), None);
        assert_eq!(piece(1000, &row(), 1100, 1100), None);
        assert_eq!(piece(1000, &row(), u64::MAX, 1100), None);
    }
}
