//! Extents as operations change them, and the death of blocks (rules P7 and P9).
//!
//! A block is published once, for one contiguous range of one file. So the rows that use it, in the head and in the
//! history, lie where that range is, and whether one is left is found by a scan of that range alone.

use types::{BLOCK_LENGTH_MAX, BlockId, NodeId, OperationError, Revision};

use crate::database::Rows as _;
use crate::error::{Failure, StoreError};
use crate::history::{KeyAndVersion, Moment, split_history_key, versions};
use crate::keys::{ContentKey, ExtentKey, FreedKey, Key as _, KeyRange, short_prefix};
use crate::publish::EXTENTS_MAX;
use crate::read::{Read as _, decode_key, decode_row};
use crate::rows::{Dated, ExtentRow, FreedRow};
use crate::tables::{Blocks, Extents, Freed, Pgs, Short, Table as _, Versioned as _};
use crate::transaction::{LostExtent, Retired, Transaction};
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
    pub fn cut(&mut self, key: ExtentKey, row: &ExtentRow, range: FileRange) -> Result<(), StoreError> {
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
    pub fn drop_extent(&mut self, key: ExtentKey, row: &ExtentRow, death: Revision) -> Result<(), StoreError> {
        if self.delete_version_as_of::<Extents>(&key, death)? == Retired::Gone {
            self.lose(key, row.clone());
        }
        Ok(())
    }

    /// Notes that a row of an extent is gone for good.
    fn lose(&mut self, key: ExtentKey, row: ExtentRow) {
        self.lost.insert(row.block, LostExtent { key, row });
    }

    /// Frees the blocks that lost their last use in this operation: each holder is to delete its copy.
    pub fn free_unused_blocks(&mut self) -> Result<(), StoreError> {
        for lost in std::mem::take(&mut self.lost).into_values() {
            if !self.block_is_used(&lost)? {
                self.free_block(&lost.row)?;
            }
        }
        Ok(())
    }

    /// Whether a row in the head or in the history uses the block of a lost extent.
    fn block_is_used(&self, lost: &LostExtent) -> Result<bool, StoreError> {
        let ExtentKey { content, offset } = lost.key;
        let start = offset.saturating_sub(u64::from(lost.row.block_offset));
        let rest = lost.row.block_length.saturating_sub(lost.row.block_offset);
        let end = offset.saturating_add(u64::from(rest));
        let range = KeyRange::prefix(content.encode())
            .from(&ExtentKey { content, offset: start })
            .until(&ExtentKey { content, offset: end });
        for family in [Extents::FAMILY, Extents::HISTORY] {
            for pair in self.scan(family, range.clone()) {
                let (key, value) = pair?;
                let row: Dated<ExtentRow> = decode_row(family, &key, &value)?;
                if row.row.block == lost.row.block {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Tells each holder of a block to delete it, and forgets which of them lacked it.
    fn free_block(&mut self, row: &ExtentRow) -> Result<(), StoreError> {
        self.delete::<Blocks>(&row.block);
        let missing: Vec<_> =
            self.rows::<Short>(KeyRange::prefix(short_prefix(row.pg, row.block))).collect::<Result<_, _>>()?;
        for (key, _) in missing {
            self.delete::<Short>(&key);
        }
        for holder in self.holders(row)? {
            let freed = FreedRow { pg: row.pg, revision: self.revision() };
            self.put::<Freed>(&FreedKey { holder, block: row.block }, &freed);
        }
        Ok(())
    }

    fn holders(&self, row: &ExtentRow) -> Result<Vec<NodeId>, StoreError> {
        let pg = self.row::<Pgs>(&row.pg)?;
        Ok(pg.map(|pg| pg.seats.iter().map(|seat| seat.node).collect()).unwrap_or_default())
    }

    /// Forgets copies that a holder has taken out of use.
    pub fn acknowledge_freed(&mut self, holder: NodeId, blocks: &[BlockId]) {
        for &block in blocks {
            self.delete::<Freed>(&FreedKey { holder, block });
        }
    }

    /// Notes the loss of an extent that was in the history.
    pub fn lose_old_extent(&mut self, history_key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let row: Dated<ExtentRow> = decode_row(Extents::HISTORY, history_key, value)?;
        let (key, _) = split_history_key::<Extents>(history_key)?;
        self.lose(decode_key(Extents::HISTORY, key)?, row.row);
        Ok(())
    }
}

fn end_of(offset: u64, row: &ExtentRow) -> u64 {
    offset.saturating_add(u64::from(row.length))
}

fn too_many_replaced(met: usize) -> OperationError {
    let what = "the number of extents that the write replaces (write less at once)".to_owned();
    OperationError::OutOfRange { what, value: met as u64, limit: EXTENTS_MAX as u64 }
}

/// The part of an extent that lies in a range of the file, if any.
fn piece(offset: u64, row: &ExtentRow, start: u64, end: u64) -> Option<ExtentRow> {
    let end = end.min(end_of(offset, row));
    let skipped = u32::try_from(start.saturating_sub(offset)).ok()?;
    let length = u32::try_from(end.checked_sub(start)?).ok().filter(|&length| length > 0)?;
    debug_assert!(skipped <= BLOCK_LENGTH_MAX, "an extent is no longer than a block");
    Some(ExtentRow { length, block_offset: row.block_offset.checked_add(skipped)?, ..row.clone() })
}

#[cfg(test)]
mod tests {
    use types::{Digest, PgId, Revision};

    use super::*;

    fn row() -> ExtentRow {
        ExtentRow {
            length: 100,
            block: BlockId::default(),
            block_offset: 7,
            block_length: 200,
            digest: Digest::default(),
            pg: PgId(1),
            block_born: Revision(3),
        }
    }

    #[test]
    fn a_piece_keeps_its_bytes_of_the_block_and_the_blocks_birth() {
        let left = piece(1000, &row(), 1000, 1040).unwrap();
        assert_eq!((left.length, left.block_offset, left.block_born), (40, 7, Revision(3)));
        let right = piece(1000, &row(), 1040, 1100).unwrap();
        assert_eq!((right.length, right.block_offset, right.block_born), (60, 47, Revision(3)));
    }

    #[test]
    fn nothing_is_left_of_an_extent_that_is_covered() {
        assert_eq!(piece(1000, &row(), 1000, 1000), None);
        assert_eq!(piece(1000, &row(), 1000, 900), None);
        assert_eq!(piece(1000, &row(), 1100, 1100), None);
        assert_eq!(piece(1000, &row(), u64::MAX, 1100), None);
    }
}
