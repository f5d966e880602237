//! Changes of the index that are made as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rocksdb::WriteBatch;
use types::BlockId;

use super::{Covered, Index, Row, RowState, SegmentUse, keys};
use crate::BlockStoreError;
use crate::segment::SegmentNumber;

/// Changes that see each other, and that nobody else sees before they are committed.
pub(crate) struct Changes<'a> {
    index: &'a Index,
    rows: BTreeMap<BlockId, Change>,
    uses: BTreeMap<SegmentNumber, SegmentUse>,
    covered: Option<Covered>,
}

struct Change {
    before: Option<Row>,
    after: Option<Row>,
}

impl<'a> Changes<'a> {
    pub(super) const fn new(index: &'a Index) -> Self {
        Self { index, rows: BTreeMap::new(), uses: BTreeMap::new(), covered: None }
    }

    /// What the index will say about a block.
    pub(crate) fn row(&self, id: BlockId) -> Result<Option<Row>, BlockStoreError> {
        self.rows.get(&id).map_or_else(|| self.index.row(id), |change| Ok(change.after))
    }

    /// Says where a block is, or that it is gone.
    pub(crate) fn set(&mut self, id: BlockId, after: Option<Row>) -> Result<(), BlockStoreError> {
        let replaced = self.row(id)?;
        if let Some(row) = replaced.filter(Row::is_held) {
            self.segment_use(row.segment)?.subtract(&row);
        }
        if let Some(row) = after.filter(Row::is_held) {
            self.segment_use(row.segment)?.add(&row);
        }
        // What was there first is what the index still has.
        self.rows.entry(id).or_insert(Change { before: replaced, after }).after = after;
        Ok(())
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
        for (number, used) in &self.uses {
            batch.put(keys::segment(*number), used.to_bytes());
        }
        self.covered.iter().for_each(|covered| batch.put(keys::COVERED, covered.to_bytes()));
        self.index.write(batch)
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
