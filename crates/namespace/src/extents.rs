//! Extents as operations change them, and the death of blocks (rules P7 and P9).
//!
//! A block is published once, for one contiguous range of one file. So the rows that use it, in the head and in the
//! history, lie where that range is, and whether one is left is found by a scan of that range alone.

use types::{BLOCK_LENGTH_MAX, BlockId, NodeId, PublishedExtent, Revision};

use crate::database::Rows as _;
use crate::error::StoreError;
use crate::history::{Moment, split_history_key, versions};
use crate::keys::{ContentKey, ExtentKey, FreedKey, Key as _, KeyRange, short_prefix};
use crate::read::{Read as _, decode_key, decode_row};
use crate::rows::{Dated, ExtentRow, FreedRow, OrphanRow};
use crate::tables::{Extents, Freed, Orphans, Pgs, Short, Table as _, Versioned as _};
use crate::transaction::{LostExtent, Retired, Transaction};
use crate::tree;

/// Extents that are looked at together: a bound on memory, not on how many there may be.
const PAGE: usize = 1024;
/// Extents that go with a file in the operation that removes or empties it: about a gibibyte of it.
const DROPPED_AT_ONCE_MAX: usize = 1024;
/// Extents of orphans that any other operation drops.
const ORPHANS_DROPPED_MAX: usize = 256;

/// A range of a file, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one.
    pub end: u64,
}

impl Transaction<'_> {
    /// Makes a range of a file a hole. Extents that reach out of it keep what lies outside.
    pub fn clear_range(&mut self, content: ContentKey, range: FileRange) -> Result<(), StoreError> {
        let mut from = range.start;
        loop {
            let touched: Vec<_> = tree::extents(self, Moment::Head, ExtentKey { content, offset: from })?
                .take_while(|row| row.as_ref().map_or(true, |published| published.extent.offset < range.end))
                .take(PAGE)
                .collect::<Result<_, _>>()?;
            let Some(last) = touched.last() else { return Ok(()) };
            from = end_of(last);
            for published in touched {
                self.cut(content, &published, range)?;
            }
        }
    }

    /// Removes an extent and puts back what lies outside of a range.
    fn cut(&mut self, content: ContentKey, published: &PublishedExtent, range: FileRange) -> Result<(), StoreError> {
        let extent = &published.extent;
        let row = ExtentRow::new(extent, published.block_born);
        self.drop_extent(ExtentKey { content, offset: extent.offset }, &row, self.revision())?;
        if let Some(left) = piece(extent.offset, &row, extent.offset, range.start) {
            self.put_version::<Extents>(&ExtentKey { content, offset: extent.offset }, left)?;
        }
        if let Some(right) = piece(extent.offset, &row, range.end, end_of(published)) {
            self.put_version::<Extents>(&ExtentKey { content, offset: range.end }, right)?;
        }
        Ok(())
    }

    /// Takes all extents from a file, which goes on with another content or not at all. What cannot be dropped at once
    /// becomes an orphan that later operations drop.
    pub fn abandon(&mut self, content: ContentKey) -> Result<(), StoreError> {
        let death = self.revision();
        if self.drop_extents(content, death, DROPPED_AT_ONCE_MAX)? == DROPPED_AT_ONCE_MAX {
            self.put::<Orphans>(&content, &OrphanRow { death });
            self.progress.orphans += 1;
        }
        Ok(())
    }

    /// Drops some extents of an orphan, if there is one: every change of the file system pays a bounded share.
    pub fn drop_orphans(&mut self) -> Result<(), StoreError> {
        if self.progress.orphans == 0 {
            return Ok(());
        }
        let Some((content, orphan)) = self.rows::<Orphans>(KeyRange::all()).next().transpose()? else { return Ok(()) };
        if self.drop_extents(content, orphan.death, ORPHANS_DROPPED_MAX)? < ORPHANS_DROPPED_MAX {
            self.delete::<Orphans>(&content);
            self.progress.orphans = self.progress.orphans.saturating_sub(1);
        }
        Ok(())
    }

    /// Drops the first extents of a content, as of the operation that took it from its file; gives their number.
    fn drop_extents(&mut self, content: ContentKey, death: Revision, limit: usize) -> Result<usize, StoreError> {
        let first: Vec<_> = versions::<Extents>(self, Moment::Head, KeyRange::prefix(content.encode()))
            .take(limit)
            .collect::<Result<_, _>>()?;
        for (key, version) in &first {
            self.drop_extent(*key, &version.row, death)?;
        }
        Ok(first.len())
    }

    fn drop_extent(&mut self, key: ExtentKey, row: &ExtentRow, death: Revision) -> Result<(), StoreError> {
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

fn end_of(published: &PublishedExtent) -> u64 {
    published.extent.offset.saturating_add(u64::from(published.extent.length))
}

/// The part of an extent that lies in a range of the file, if any.
fn piece(offset: u64, row: &ExtentRow, start: u64, end: u64) -> Option<ExtentRow> {
    let end = end.min(offset.saturating_add(u64::from(row.length)));
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
