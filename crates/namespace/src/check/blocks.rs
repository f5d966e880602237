//! Blocks and their uses: that each block in use is known as such, and that all places of a block are named.
//!
//! There is no way from a block that has no `reference` rows to its places, and no memory for all blocks. So the blocks
//! are shared out among sums: each place that is found adds the block's hash, each `block` row takes it away. A block that
//! has no place or two leaves a remainder; then the blocks of that sum alone are counted one by one.

use std::collections::BTreeMap;

use types::{BLOCK_LENGTH_MAX, BlockId};

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{Key as _, KeyRange};
use crate::places::{Use, first_use, uses};
use crate::read::Read as _;
use crate::rows::ExtentRow;
use crate::tables::{Blocks, References};

/// Sums that the blocks are shared out among: of 10⁹ blocks each has 60,000.
const SUMS: usize = 1 << 14;

/// The hashes of the blocks in use, less those of the blocks that count as such; 0 if both agree.
struct Sums(Vec<u128>);

impl Sums {
    fn add(&mut self, block: BlockId) {
        if let Some(sum) = self.0.get_mut(sum_of(block)) {
            *sum = sum.wrapping_add(hash(block));
        }
    }

    fn take(&mut self, block: BlockId) {
        if let Some(sum) = self.0.get_mut(sum_of(block)) {
            *sum = sum.wrapping_sub(hash(block));
        }
    }
}

fn hash(block: BlockId) -> u128 {
    let hash = blake3::hash(&block.encode());
    hash.as_bytes().first_chunk().copied().map_or(0, u128::from_be_bytes)
}

fn sum_of(block: BlockId) -> usize {
    usize::try_from(hash(block) % SUMS as u128).unwrap_or(0)
}

impl<R: Rows> Checker<'_, R> {
    /// Every block that an extent uses counts as one in use, and none else; each place of it is named, or there is one.
    pub(super) fn blocks(&mut self) -> Result<(), StoreError> {
        let rows = self.rows;
        let mut sums = Sums(vec![0; SUMS]);
        for found in uses(rows, KeyRange::all()) {
            let found = found?;
            let block = found.row.block;
            let in_use = rows.row::<Blocks>(&block)?.is_some();
            self.expect(in_use, found.family, &found.key, "its block does not count as one in use");
            self.facts(&found)?;
            if self.has_references(block)? {
                let named = rows.row::<References>(&found.place)?.is_some();
                self.expect(named, found.family, &found.key, "its place is not among those of its block");
            } else if in_use && self.is_first(&found)? {
                sums.add(block);
            }
        }
        for row in rows.rows::<Blocks>(KeyRange::all()) {
            let (block, _) = row?;
            if !self.has_references(block)? {
                sums.take(block);
            }
        }
        match sums.0.iter().position(|sum| *sum != 0) {
            Some(sum) => self.count_places(sum),
            None => Ok(()),
        }
    }

    /// Counts the places of the blocks of one sum, and tells those that have not one.
    fn count_places(&mut self, sum: usize) -> Result<(), StoreError> {
        let mut places: BTreeMap<BlockId, u64> = BTreeMap::new();
        for row in self.rows.rows::<Blocks>(KeyRange::all()) {
            let (block, _) = row?;
            if sum_of(block) == sum && !self.has_references(block)? {
                places.insert(block, 0);
            }
        }
        for found in uses(self.rows, KeyRange::all()) {
            let found = found?;
            if let Some(count) = places.get_mut(&found.row.block)
                && self.is_first(&found)?
            {
                *count += 1;
            }
        }
        for (block, count) in places.into_iter().filter(|(_, count)| *count != 1) {
            let reason = match count {
                0 => "it counts as one in use, and no extent uses it".to_owned(),
                _ => format!("it has {count} places, and none of them is named"),
            };
            self.fault(Family::Block, &block.encode(), reason);
        }
        Ok(())
    }

    /// All rows of a block say the same of it, and none is older than its publication. Those of a place are compared with
    /// the first one there, and that with the first one of the first place.
    fn facts(&mut self, found: &Use) -> Result<(), StoreError> {
        let facts = |row: &ExtentRow| (row.block_length, row.digest, row.pg, row.block_born);
        let named = self.rows.rows::<References>(KeyRange::prefix(found.row.block.encode())).next().transpose()?;
        let place = named.map_or(found.place, |(place, _)| place);
        let first = match first_use(self.rows, place, BLOCK_LENGTH_MAX)? {
            Some(first) => Some(first),
            // The place that is named is none: that is told elsewhere.
            None => first_use(self.rows, found.place, BLOCK_LENGTH_MAX)?,
        };
        let same = first.is_some_and(|first| facts(&first.row) == facts(&found.row));
        self.expect(same, found.family, &found.key, "another extent says something else of its block");
        let born = found.row.block_born <= found.birth;
        self.expect(born, found.family, &found.key, "it is older than its block");
        Ok(())
    }

    fn has_references(&self, block: BlockId) -> Result<bool, StoreError> {
        Ok(self.rows.rows::<References>(KeyRange::prefix(block.encode())).next().transpose()?.is_some())
    }

    /// Whether a row is the first that uses its block in its place.
    fn is_first(&self, found: &Use) -> Result<bool, StoreError> {
        let first = first_use(self.rows, found.place, found.row.block_length)?;
        Ok(first.is_some_and(|first| (first.family, &first.key) == (found.family, &found.key)))
    }

    /// Every place that is named is one.
    pub(super) fn references(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<References>(KeyRange::all()) {
            let (place, _) = row?;
            let used = first_use(self.rows, place, BLOCK_LENGTH_MAX)?.is_some();
            self.expect(used, Family::Reference, &place.encode(), "no extent uses the block there");
        }
        Ok(())
    }
}
