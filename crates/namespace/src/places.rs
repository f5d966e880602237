//! Where blocks are used, and the death of blocks (rules P7 to P9).
//!
//! A *place* of a block is a content, and where in it the block's first byte lies or would lie. A block is published in
//! one place. The rows that use it there, in the head and in the history, begin within the block's length from there on:
//! so whether one is left is found by a scan of that range alone. A clone gives a block further places, and from then on
//! each of its places has a row in `reference`. A place that lost its last use loses that row, and the block dies with its
//! last place. The places are named and not counted: to name one again does no harm, and a check can look at each.

use types::{BLOCK_LENGTH_MAX, BlockId, NodeId, Revision};

use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::split_history_key;
use crate::keys::{ContentKey, ExtentKey, FreedKey, Key, KeyRange, short_prefix};
use crate::read::{Read as _, decode_key, decode_row};
use crate::rows::{Dated, ExtentRow, FreedRow, Present, RunRow};
use crate::tables::{Blocks, Extents, Freed, Pgs, References, Short, Table as _, Versioned as _};
use crate::transaction::Transaction;

/// The key of a place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceKey {
    /// The block.
    pub block: BlockId,
    /// What has it.
    pub content: ContentKey,
    /// Where it begins there, plus the length of the longest block: only the end of a block may be used at the beginning
    /// of a file.
    pub start: u64,
}

impl Key for PlaceKey {
    fn encode(&self) -> Vec<u8> {
        let start = ExtentKey { content: self.content, offset: self.start };
        [self.block.encode(), start.encode()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (block, start) = bytes.split_first_chunk::<16>()?;
        let ExtentKey { content, offset: start } = ExtentKey::decode(start)?;
        Some(Self { block: BlockId::from_bytes(*block), content, start })
    }
}

impl PlaceKey {
    /// The place of which an extent uses a part.
    pub fn of(key: ExtentKey, row: &ExtentRow) -> Self {
        let start = key.offset.saturating_add(u64::from(BLOCK_LENGTH_MAX.saturating_sub(row.block_offset)));
        Self { block: row.block, content: key.content, start }
    }

    /// The keys of all rows that may use the block here.
    fn range(&self, block_length: u32) -> KeyRange {
        let end = self.start.saturating_add(block_length.into());
        let key = |shifted: u64| {
            let offset = shifted.saturating_sub(BLOCK_LENGTH_MAX.into());
            ExtentKey { content: self.content, offset }
        };
        KeyRange::prefix(self.content.encode()).from(&key(self.start)).until(&key(end))
    }
}

/// A row of an extent, of the head or of the history. Tails have no block, and so no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which of both.
    pub family: Family,
    /// Its key there.
    pub key: Vec<u8>,
    /// The operation that wrote it.
    pub birth: Revision,
    /// Where it has its block.
    pub place: PlaceKey,
    /// The row.
    pub row: ExtentRow,
}

/// The rows of extents in a range of their keys: those of the head, then those of the history.
pub fn uses(rows: &impl Rows, range: KeyRange) -> impl Iterator<Item = Result<Use, StoreError>> + '_ {
    let families = [Extents::FAMILY, Extents::HISTORY];
    families.into_iter().flat_map(move |family| {
        rows.scan(family, range.clone()).filter_map(move |pair| decoded(family, pair).transpose())
    })
}

fn decoded(family: Family, pair: Result<(Vec<u8>, Vec<u8>), StoreError>) -> Result<Option<Use>, StoreError> {
    let (key, value) = pair?;
    let Dated { revision, row }: Dated<RunRow> = decode_row(family, &key, &value)?;
    let RunRow::Block(row) = row else { return Ok(None) };
    let (head_key, birth) =
        if family == Extents::HISTORY { split_history_key::<Extents>(&key)? } else { (&key[..], revision) };
    let place = PlaceKey::of(decode_key(family, head_key)?, &row);
    Ok(Some(Use { family, key, birth, place, row }))
}

/// The first row that uses a block in a place.
pub fn first_use(rows: &impl Rows, place: PlaceKey, block_length: u32) -> Result<Option<Use>, StoreError> {
    let of_place = |found: &Result<Use, _>| found.as_ref().map_or(true, |found| found.place == place);
    uses(rows, place.range(block_length)).find(of_place).transpose()
}

impl Transaction<'_> {
    /// Notes that a row of an extent is gone for good. With a tail goes nothing else.
    pub fn lose_run(&mut self, key: ExtentKey, row: &RunRow) {
        if let RunRow::Block(row) = row {
            self.lost.insert(PlaceKey::of(key, row), row.clone());
        }
    }

    /// Notes the loss of an extent that was in the history.
    pub fn lose_old_extent(&mut self, history_key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let row: Dated<RunRow> = decode_row(Extents::HISTORY, history_key, value)?;
        let (key, _) = split_history_key::<Extents>(history_key)?;
        self.lose_run(decode_key(Extents::HISTORY, key)?, &row.row);
        Ok(())
    }

    /// Puts an extent of a block that another place has already.
    pub fn share(&mut self, from: PlaceKey, key: ExtentKey, row: ExtentRow) -> Result<(), StoreError> {
        let to = PlaceKey::of(key, &row);
        if from != to {
            self.put::<References>(&from, &Present);
            self.put::<References>(&to, &Present);
        }
        self.put_version::<Extents>(&key, RunRow::Block(row))
    }

    /// Frees the blocks that lost their last use in this operation: each holder is to delete its copy.
    pub fn free_unused_blocks(&mut self) -> Result<(), StoreError> {
        for (place, row) in std::mem::take(&mut self.lost) {
            if first_use(self, place, row.block_length)?.is_none() && !self.has_other_places(place)? {
                self.free_block(&row)?;
            }
        }
        Ok(())
    }

    /// Gives up a place of a block; whether the block has others.
    fn has_other_places(&mut self, place: PlaceKey) -> Result<bool, StoreError> {
        let named = self.rows::<References>(KeyRange::prefix(place.block.encode())).take(2);
        let named: Vec<_> = named.map(|row| row.map(|(named, _)| named)).collect::<Result<_, _>>()?;
        if named.is_empty() {
            return Ok(false);
        }
        self.delete::<References>(&place);
        Ok(named.iter().any(|other| *other != place))
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
}

#[cfg(test)]
mod tests {
    use types::{Digest, Lin, PgId, SessionId};

    use super::*;

    const LENGTH: u32 = 100;

    fn extent(offset: u64, block_offset: u32) -> (ExtentKey, ExtentRow) {
        let block = BlockId { session: SessionId(2), sequence: 3 };
        let (digest, pg, block_born) = (Digest::default(), PgId(1), Revision(3));
        let row = ExtentRow { length: 10, block, block_offset, block_length: LENGTH, digest, pg, block_born };
        (ExtentKey { content: ContentKey { lin: Lin(5), since: Revision(6) }, offset }, row)
    }

    #[test]
    fn the_key_of_a_place_comes_back_from_its_bytes() {
        let (key, row) = extent(0, 40);
        let place = PlaceKey::of(key, &row);
        assert_eq!(PlaceKey::decode(&place.encode()), Some(place));
        assert_eq!(PlaceKey::decode(&place.encode()[1..]), None);
    }

    #[test]
    fn extents_have_one_place_if_the_block_begins_at_one_offset_of_one_content() {
        let place = |offset, block_offset| {
            let (key, row) = extent(offset, block_offset);
            PlaceKey::of(key, &row)
        };
        assert_eq!(place(1000, 0), place(1070, 70));
        assert_ne!(place(1000, 0), place(1001, 0));
        assert_ne!(place(0, 0), place(0, 1), "a block may begin before the file does");
        assert_ne!(place(1000, 0).content.since, Revision(7));
    }

    #[test]
    fn the_range_of_a_place_holds_every_row_of_it_and_none_behind_its_block() {
        for (offset, block_offset) in [(1000, 0), (1090, 90), (0, 40), (59, 99), (u64::MAX >> 1, 0)] {
            let (key, row) = extent(offset, block_offset);
            let range = PlaceKey::of(key, &row).range(LENGTH);
            let holds = |offset| {
                let key = ExtentKey { offset, ..key }.encode();
                key >= range.start && range.end.as_ref().is_some_and(|end| key < *end)
            };
            assert!(holds(offset), "{offset} {block_offset}");
            let last = offset + u64::from(LENGTH - 1 - block_offset);
            assert!(holds(last) && !holds(last + 1), "{offset} {block_offset}");
            if let Some(start) = offset.checked_sub(block_offset.into()) {
                assert!(holds(start) && start.checked_sub(1).is_none_or(|before| !holds(before)));
            }
        }
    }
}
