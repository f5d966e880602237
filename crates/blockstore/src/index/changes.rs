//! Changes of the index that are made as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rocksdb::WriteBatch;
use types::BlockId;

use super::{Covered, Index, Row, RowState, SegmentUse, keys, row};
use crate::BlockStoreError;
use crate::segment::SegmentNumber;

/// Changes that see each other, and that nobody else sees before they are committed.
pub(crate) struct Changes<'a> {
    index: &'a Index,
    rows: BTreeMap<BlockId, Change>,
    graves: BTreeMap<(BlockId, SegmentNumber), Grave>,
    tombstones: BTreeMap<BlockId, Option<SegmentNumber>>,
    uses: BTreeMap<SegmentNumber, SegmentUse>,
    forgotten: Vec<SegmentNumber>,
    covered: Option<Covered>,
}

struct Change {
    before: Option<Row>,
    after: Option<Row>,
}

/// Whether a segment has dead records of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grave {
    Dug,
    Filled,
}

impl<'a> Changes<'a> {
    pub(super) const fn new(index: &'a Index) -> Self {
        Self {
            index,
            rows: BTreeMap::new(),
            graves: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            uses: BTreeMap::new(),
            forgotten: Vec::new(),
            covered: None,
        }
    }

    /// What the index will say about a block.
    pub(crate) fn row(&self, id: BlockId) -> Result<Option<Row>, BlockStoreError> {
        self.rows.get(&id).map_or_else(|| self.index.row(id), |change| Ok(change.after))
    }

    /// Where the index will say that the tombstone of a block is, if one is needed.
    pub(crate) fn tombstone(&self, id: BlockId) -> Result<Option<SegmentNumber>, BlockStoreError> {
        self.tombstones.get(&id).map_or_else(|| self.index.tombstone(id), |changed| Ok(*changed))
    }

    /// Says where a block is.
    pub(crate) fn set(&mut self, id: BlockId, row: Row) -> Result<(), BlockStoreError> {
        if self.replace(id, Some(row))?.is_none() {
            self.drop_tombstone(id)?;
        }
        Ok(())
    }

    /// Says that a block is gone, by a tombstone in that segment. It is needed for as long as there are older records.
    pub(crate) fn remove(&mut self, id: BlockId, tombstone: SegmentNumber) -> Result<(), BlockStoreError> {
        self.replace(id, None)?;
        self.drop_tombstone(id)?;
        if self.has_grave(id)? {
            self.segment_use(tombstone)?.tombstones += 1;
            self.tombstones.insert(id, Some(tombstone));
        }
        Ok(())
    }

    /// Says that a segment has no records of a block any more: it is gone. If it was the last one with dead records, the
    /// tombstone is needless.
    pub(crate) fn fill_grave(&mut self, id: BlockId, number: SegmentNumber) -> Result<(), BlockStoreError> {
        self.graves.insert((id, number), Grave::Filled);
        if self.has_grave(id)? { Ok(()) } else { self.drop_tombstone(id) }
    }

    /// Forgets a segment that is gone.
    pub(crate) fn forget(&mut self, number: SegmentNumber) {
        self.forgotten.push(number);
    }

    /// Says how far the segments are in the index with these changes.
    pub(crate) fn cover(&mut self, covered: Covered) -> Result<(), BlockStoreError> {
        self.segment_use(covered.segment)?.length = covered.offset;
        self.covered = Some(covered);
        Ok(())
    }

    /// Makes the changes.
    pub(crate) fn commit(self) -> Result<(), BlockStoreError> {
        let mut batch = WriteBatch::default();
        for (id, change) in &self.rows {
            change.before.iter().for_each(|row| remove(&mut batch, *id, row));
            change.after.iter().for_each(|row| insert(&mut batch, *id, row));
        }
        for ((id, number), grave) in &self.graves {
            match grave {
                Grave::Dug => batch.put(keys::grave(*id, *number), []),
                Grave::Filled => batch.delete(keys::grave(*id, *number)),
            }
        }
        for (id, tombstone) in &self.tombstones {
            match tombstone {
                Some(segment) => batch.put(keys::tombstone(*id), row::tombstone_to_bytes(*segment)),
                None => batch.delete(keys::tombstone(*id)),
            }
        }
        for (number, used) in &self.uses {
            batch.put(keys::segment(*number), used.to_bytes());
        }
        self.forgotten.iter().for_each(|number| batch.delete(keys::segment(*number)));
        self.covered.iter().for_each(|covered| batch.put(keys::COVERED, covered.to_bytes()));
        self.index.write(batch)
    }

    /// Changes the row of a block, and gives the one before.
    fn replace(&mut self, id: BlockId, after: Option<Row>) -> Result<Option<Row>, BlockStoreError> {
        let replaced = self.row(id)?;
        if let Some(row) = replaced {
            self.segment_use(row.segment)?.subtract(&row);
            if after.is_none_or(|after| after.place() != row.place()) {
                self.graves.insert((id, row.segment), Grave::Dug);
            }
        }
        if let Some(row) = after {
            self.segment_use(row.segment)?.add(&row);
        }
        // What was there first is what the index still has.
        self.rows.entry(id).or_insert(Change { before: replaced, after }).after = after;
        Ok(replaced)
    }

    fn drop_tombstone(&mut self, id: BlockId) -> Result<(), BlockStoreError> {
        if let Some(segment) = self.tombstone(id)? {
            let used = self.segment_use(segment)?;
            used.tombstones = used.tombstones.saturating_sub(1);
            self.tombstones.insert(id, None);
        }
        Ok(())
    }

    fn has_grave(&self, id: BlockId) -> Result<bool, BlockStoreError> {
        let changed = self.graves.range((id, SegmentNumber(0))..=(id, SegmentNumber(u64::MAX)));
        if changed.map(|(_, grave)| grave).any(|grave| *grave == Grave::Dug) {
            return Ok(true);
        }
        let graves = self.index.graves(id)?;
        Ok(graves.into_iter().any(|number| !self.graves.contains_key(&(id, number))))
    }

    fn segment_use(&mut self, number: SegmentNumber) -> Result<&mut SegmentUse, BlockStoreError> {
        Ok(match self.uses.entry(number) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(self.index.segment_use(number)?),
        })
    }
}

fn insert(batch: &mut WriteBatch, id: BlockId, row: &Row) {
    batch.put(keys::block(id), row.to_bytes());
    match row.state {
        RowState::Held => batch.put(keys::in_group(row.pg, id), []),
        RowState::Quarantined => batch.put(keys::quarantined(id), []),
    }
}

fn remove(batch: &mut WriteBatch, id: BlockId, row: &Row) {
    batch.delete(keys::block(id));
    match row.state {
        RowState::Held => batch.delete(keys::in_group(row.pg, id)),
        RowState::Quarantined => batch.delete(keys::quarantined(id)),
    }
}
