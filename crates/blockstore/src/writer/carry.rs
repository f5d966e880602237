//! What a compaction asks of the writer.

use std::sync::Arc;

use types::BlockId;

use super::{Carried, NewRecord, Writer};
use crate::BlockStoreError;
use crate::compaction;
use crate::index::{Changes, Row};
use crate::record::RecordHeader;
use crate::segment::SegmentNumber;

impl Writer {
    /// Writes records of an old segment again at the end of the log, and gives the space of the old ones back.
    pub(super) fn carry(&mut self, carried: Carried) {
        let Carried { from, blocks, tombstones, permit, reply } = carried;
        let done = self.try_carry(from, blocks, &tombstones);
        drop(permit);
        reply.send(done);
    }

    fn try_carry(
        &mut self,
        from: SegmentNumber,
        blocks: Vec<(Row, NewRecord)>,
        tombstones: &[BlockId],
    ) -> Result<(), BlockStoreError> {
        let lengths = blocks.iter().map(|(row, _)| row.record_length());
        self.check_room_in_reserve(lengths.sum())?;
        let index = Arc::clone(&self.index);
        let mut changes = index.changes();
        let mut dead = Vec::new();
        let appended = self
            .append_blocks(blocks, &mut changes, &mut dead)
            .and_then(|()| self.append_tombstones(from, tombstones, &mut changes));
        // Also after an error, so that nothing waits in the log for the next batch.
        self.make_durable(changes).map_err(|failure| self.error(&failure))?;
        self.metrics.copied_bytes.inc_by(dead.iter().map(Row::record_length).sum());
        self.bury(&dead);
        appended
    }

    /// Copies those that are still where they were read.
    fn append_blocks(
        &mut self,
        blocks: Vec<(Row, NewRecord)>,
        changes: &mut Changes<'_>,
        dead: &mut Vec<Row>,
    ) -> Result<(), BlockStoreError> {
        for (read, NewRecord { header, payload }) in blocks {
            if changes.row(header.id)? == Some(read) {
                let row = self.append(header, &payload, changes)?;
                changes.set(header.id, row)?;
                dead.push(read);
            }
        }
        Ok(())
    }

    /// Copies those that are still needed and still there.
    fn append_tombstones(
        &mut self,
        from: SegmentNumber,
        ids: &[BlockId],
        changes: &mut Changes<'_>,
    ) -> Result<(), BlockStoreError> {
        for id in ids {
            if changes.tombstone(*id)? == Some(from) {
                let tombstone = self.append(RecordHeader::tombstone(*id), &[], changes)?;
                changes.remove(*id, tombstone.segment)?;
            }
        }
        Ok(())
    }

    pub(super) fn fill_graves(&self, segment: SegmentNumber, ids: &[BlockId]) -> Result<(), BlockStoreError> {
        compaction::fill_graves(&self.index, segment, ids)
    }

    pub(super) fn forget(&self, segment: SegmentNumber) -> Result<(), BlockStoreError> {
        compaction::forget(&self.index, segment)?;
        self.metrics.segments_removed.inc();
        Ok(())
    }

    /// Copying gives more space back than it takes, so it may use half of what puts leave alone: the other half is for
    /// removals and for the rest of the node.
    fn check_room_in_reserve(&self, needed: u64) -> Result<(), BlockStoreError> {
        self.check_free(needed, self.options.reserve_bytes / 2)
    }
}
