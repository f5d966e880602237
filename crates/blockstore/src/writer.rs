//! The one thread that changes a volume.
//!
//! It takes what waits in its queue, up to a bound, and makes it durable under one sync; while the medium is busy with
//! that, the next ones gather. Callers are answered after the sync and after the index has changed.

mod active;
mod carry;
mod command;
mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runtime::{Files, LockGuard};
use tokio::sync::mpsc;
use types::{BlockId, Digest, VolumeId};

pub(crate) use self::active::ActiveSegment;
pub(crate) use self::command::{Carried, Command, NewRecord, Put, Reply};
pub(crate) use self::log::{Failure, Log};
use crate::doubts::Doubts;
use crate::index::{Changes, Index, Row, RowState};
use crate::metrics::VolumeMetrics;
use crate::record::RecordHeader;
use crate::recovery::resume;
use crate::segment_files::SegmentFiles;
use crate::{BlockStoreError, Options};

/// The thread's state.
pub(crate) struct Writer {
    pub(crate) volume: VolumeId,
    pub(crate) options: Options,
    pub(crate) files: Files,
    pub(crate) index: Arc<Index>,
    pub(crate) log: Log,
    pub(crate) segments: Arc<SegmentFiles>,
    pub(crate) doubts: Arc<Doubts>,
    pub(crate) metrics: VolumeMetrics,
    pub(crate) queue: mpsc::Receiver<Command>,
    /// A command that was taken from the queue and did not fit the batch.
    pub(crate) next: Option<Command>,
    /// Bytes of the batch that the index does not count yet.
    pub(crate) uncounted: u64,
    pub(crate) _lock: Arc<LockGuard>,
}

impl Writer {
    /// Works until the volume is closed or nobody can send any more.
    pub(crate) fn run(mut self) -> Result<(), BlockStoreError> {
        while let Some(command) = self.next.take().or_else(|| self.queue.blocking_recv()) {
            match command {
                Command::Put(first) => self.put(first),
                Command::Remove { ids, reply } => reply.send(self.remove(&ids)),
                Command::Carry(carried) => self.carry(carried),
                Command::FillGraves { segment, ids, reply } => reply.send(self.fill_graves(segment, &ids)),
                Command::Forget { segment, reply } => reply.send(self.forget(segment)),
                Command::Judge { id, row, state } => self.judge(id, &row, state),
                Command::Reopen { reply } => reply.send(self.reopen()),
                Command::Close => break,
            }
        }
        self.index.flush()
    }

    fn put(&mut self, first: Put) {
        let index = Arc::clone(&self.index);
        let mut changes = index.changes();
        let (mut waiting, mut dead) = (Vec::new(), Vec::new());
        self.uncounted = 0;
        for put in self.gather(first) {
            match self.append_put(put.records, &mut changes, &mut dead) {
                Ok(()) => waiting.push((put.reply, put.permit)),
                Err(error) => put.reply.send(Err(error)),
            }
        }
        let failed = self.make_durable(changes).err();
        if failed.is_none() {
            self.bury(&dead);
        }
        for (reply, _permit) in waiting {
            reply.send(failed.as_ref().map_or(Ok(()), |failure| Err(self.error(failure))));
        }
    }

    /// The first put and those that wait behind it, as much as one sync should carry.
    ///
    /// No block is in a batch twice. The later record would replace the earlier one, whose bytes are then given back;
    /// after a crash before the next sync nothing would tell the hole from a write that never finished, and all that was
    /// acknowledged behind it would be cut off with it.
    fn gather(&mut self, first: Put) -> Vec<Put> {
        let mut bytes = first.bytes();
        let mut ids: BTreeSet<BlockId> = first.ids().collect();
        let mut batch = vec![first];
        while bytes < self.options.batch_bytes {
            match self.queue.try_recv() {
                Ok(Command::Put(put)) if put.ids().all(|id| !ids.contains(&id)) => {
                    bytes += put.bytes();
                    ids.extend(put.ids());
                    batch.push(put);
                }
                other => {
                    self.next = other.ok();
                    break;
                }
            }
        }
        batch
    }

    /// Appends the blocks of a put that are not held yet; none if one of them is refused. `dead` gets what they replace.
    fn append_put(
        &mut self,
        records: Vec<NewRecord>,
        changes: &mut Changes<'_>,
        dead: &mut Vec<Row>,
    ) -> Result<(), BlockStoreError> {
        let fresh = self.fresh(records, changes)?;
        self.check_room(fresh.iter().map(|record| record.header.record_length()).sum())?;
        for NewRecord { header, payload } in fresh {
            let row = self.append(header, &payload, changes)?;
            self.uncounted += header.record_length();
            dead.extend(changes.row(header.id)?);
            changes.set(header.id, row)?;
            self.metrics.puts.inc();
            self.metrics.put_bytes.inc_by(u64::from(header.payload_length));
        }
        Ok(())
    }

    /// The records of a put that have to be written, once each: those that are not held, are in doubt, or are for another
    /// placement group. The latter happens when a writer turns to another group with a block that some of its holders
    /// have already.
    fn fresh(&self, records: Vec<NewRecord>, changes: &Changes<'_>) -> Result<Vec<NewRecord>, BlockStoreError> {
        let mut seen = BTreeMap::new();
        let mut fresh = Vec::new();
        for record in records {
            let (id, given) = (record.header.id, record.header.digest);
            let row = changes.row(id)?;
            let known = seen.get(&id).copied().or(row.map(|row| row.digest));
            check_digest(id, known, given)?;
            let counts = |row: Row| row.is_held() && row.pg == record.header.pg && !self.doubts.has(&row);
            if !row.is_some_and(counts) && seen.insert(id, given).is_none() {
                fresh.push(record);
            }
        }
        Ok(fresh)
    }

    /// Writes tombstones for the blocks that are there, and gives their space back once those are safe.
    fn remove(&mut self, ids: &[BlockId]) -> Result<(), BlockStoreError> {
        let index = Arc::clone(&self.index);
        let mut changes = index.changes();
        let mut dead = Vec::new();
        let appended = ids.iter().try_for_each(|id| self.append_tombstone(*id, &mut changes, &mut dead));
        if dead.is_empty() && appended.is_ok() {
            // Nothing of these is here, which a volume that takes no writes can say as well.
            return Ok(());
        }
        // Also after an error, so that no tombstone waits in the log for the next batch.
        self.make_durable(changes).map_err(|failure| self.error(&failure))?;
        self.metrics.removals.inc_by(dead.len() as u64);
        self.bury(&dead);
        appended
    }

    /// Gives the space of records back that were replaced or removed.
    fn bury(&self, dead: &[Row]) {
        for row in dead {
            self.segments.give_back(row);
            self.doubts.end(row);
        }
    }

    fn append_tombstone(
        &mut self,
        id: BlockId,
        changes: &mut Changes<'_>,
        dead: &mut Vec<Row>,
    ) -> Result<(), BlockStoreError> {
        if let Some(row) = changes.row(id)? {
            let tombstone = self.append(RecordHeader::tombstone(id), &[], changes)?;
            changes.remove(id, tombstone.segment)?;
            dead.push(row);
        }
        Ok(())
    }

    fn judge(&self, id: BlockId, read: &Row, state: RowState) {
        if let Err(error) = self.try_judge(id, read, state) {
            tracing::error!(volume = %self.volume, block = %id, %error, ?state, "the state of a block is not changed");
        }
    }

    /// Says whether a block is held, unless it has changed since it was read.
    fn try_judge(&self, id: BlockId, read: &Row, state: RowState) -> Result<(), BlockStoreError> {
        let mut changes = self.index.changes();
        if changes.row(id)? == Some(*read) {
            changes.set(id, Row { state, ..*read })?;
            if state == RowState::Quarantined {
                self.metrics.quarantined.inc();
            }
        }
        changes.commit()
    }

    fn append(
        &mut self,
        header: RecordHeader,
        payload: &[u8],
        changes: &mut Changes<'_>,
    ) -> Result<Row, BlockStoreError> {
        let appended = self.log.append(header, payload, changes, &self.index);
        appended.map_err(|failure| self.error(&failure))
    }

    /// One sync for all that was appended, then the index.
    fn make_durable(&mut self, changes: Changes<'_>) -> Result<(), Failure> {
        let done = self.log.make_durable(changes);
        self.metrics.syncs.inc_by(self.log.take_syncs());
        done
    }

    /// What an open does, but for the index, which is at the state before what failed and stays as it is.
    fn reopen(&mut self) -> Result<(), BlockStoreError> {
        if !self.log.is_broken() {
            return Ok(());
        }
        let active = resume(&self.files, &self.options.folder, &self.index, &self.segments)?;
        self.log.resume(active);
        self.metrics.reopened.inc();
        tracing::info!(volume = %self.volume, "the volume takes writes again");
        Ok(())
    }

    fn check_room(&self, needed: u64) -> Result<(), BlockStoreError> {
        if needed == 0 {
            return Ok(());
        }
        self.check_capacity(needed)?;
        self.check_free(needed, self.options.reserve_bytes)
    }

    fn check_free(&self, needed: u64, reserve: u64) -> Result<(), BlockStoreError> {
        let (volume, free) = (self.volume, self.files.free_space(&self.options.folder)?.free);
        let wanted = needed.saturating_add(reserve).saturating_add(self.log.unwritten());
        if free >= wanted { Ok(()) } else { Err(BlockStoreError::NoSpace { volume, free, needed, reserve }) }
    }

    fn check_capacity(&self, needed: u64) -> Result<(), BlockStoreError> {
        let Some(capacity) = self.options.capacity_bytes else { return Ok(()) };
        let (_, used) = self.index.total_use()?;
        let free = capacity.saturating_sub(used.live_bytes).saturating_sub(self.uncounted);
        if free >= needed {
            return Ok(());
        }
        Err(BlockStoreError::NoSpace { volume: self.volume, free, needed, reserve: 0 })
    }

    fn error(&self, failure: &Failure) -> BlockStoreError {
        let (volume, reserve) = (self.volume, self.options.reserve_bytes);
        match failure {
            Failure::NoSpace { needed } => BlockStoreError::NoSpace { volume, free: 0, needed: *needed, reserve },
            Failure::Broken { reason } => BlockStoreError::Unwritable { volume, reason: reason.clone() },
        }
    }
}

fn check_digest(id: BlockId, known: Option<Digest>, given: Digest) -> Result<(), BlockStoreError> {
    match known.filter(|held| *held != given) {
        Some(held) => Err(BlockStoreError::OtherDigest { id, held, given }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "writer/tests.rs"]
mod tests;
