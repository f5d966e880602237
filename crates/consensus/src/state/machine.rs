//! The state store as openraft uses it.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use namespace::Entry as StoreEntry;
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use runtime::{Clock, blocking};
use tokio::sync::watch;
use types::{AttributeChanges, Change, Create, Operation, Request};

use super::{Checkpoint, Shelf, StateError, Stores};
use crate::metrics::Metrics;
use crate::payload;
use crate::position::{self, MembershipRecord, Position};
use crate::progress::Progress;
use crate::raft_types::{Entry, EntryPayload, Group, LogId, Results, Snapshot, SnapshotMeta, StoredMembership};

/// Entries that are applied by one write. More would only delay the first results.
const ENTRIES_MAX: usize = 64;
/// Bytes of entries that are applied by one write.
const BYTES_MAX: usize = 8 << 20;

/// Bytes of entries that are applied where the task is, if their changes are quick: the few of a lone writer take less
/// time than the way to another thread and back, for which it would wait.
const BYTES_AT_ONCE: usize = 1 << 10;

/// What is sent to a member that is too far behind: shared, since it is also kept for the next one.
pub(crate) type Transfer = Arc<Checkpoint>;

/// The state store behind the log.
pub(crate) struct Machine {
    pub stores: Stores,
    pub shelf: Shelf,
    pub clock: Clock,
    pub metrics: Metrics,
    /// How long the state store has been at the write that is going on.
    pub progress: Progress,
    /// The number after the last applied entry.
    pub applied_end: Arc<watch::Sender<u64>>,
}

/// A copy that was taken when the builder was made, between two batches.
pub(crate) struct Builder {
    copied: Option<Result<Snapshot, StateError>>,
}

type Responder = Option<ApplyResponder<Group>>;

impl Machine {
    /// Applies entries by one write to the store, and answers those who wait.
    async fn apply_chunk(&self, chunk: Vec<EntryResponder<Group>>) -> Result<(), StateError> {
        let Some(end) = chunk.last().map(|(entry, _)| entry.index() + 1) else { return Ok(()) };
        let began = self.clock.now();
        let (entries, responders): (Vec<Entry>, Vec<Responder>) = chunk.into_iter().unzip();
        self.progress.begin(began);
        let results = self.write(entries).await;
        self.progress.end();
        let results = results?;
        self.count(&results, began);
        self.show_applied(end);
        self.applied_end.send_replace(end);
        for (results, responder) in results.into_iter().zip(responders) {
            if let Some(responder) = responder {
                responder.send(Results(results));
            }
        }
        Ok(())
    }

    /// Applies entries by one write, on a thread that may block unless they are few and quick. Should the disk hang under
    /// one of those, so does a thread that runs tasks: the others tell that this node does not get on, or do not, and it
    /// leads no more either way.
    async fn write(&self, entries: Vec<Entry>) -> Result<Vec<namespace::Results>, StateError> {
        let stores = self.stores.clone();
        if entries.iter().map(bytes_of).sum::<usize>() > BYTES_AT_ONCE {
            return blocking(move || stores.apply(&store_entries(&entries)?)).await;
        }
        let entries = store_entries(&entries)?;
        match entries.iter().all(is_quick) {
            true => stores.apply(&entries),
            false => blocking(move || stores.apply(&entries)).await,
        }
    }

    /// Tells how far the state is, and what it then is: equal on all members that are as far.
    pub fn show_applied(&self, end: u64) {
        let digest = self.stores.current().digest();
        let number = digest.iter().take(6).fold(0, |number, byte| number << 8 | i64::from(*byte));
        self.metrics.state_digest.set(number);
        self.metrics.applied_index.set(i64::try_from(end).unwrap_or(i64::MAX) - 1);
    }

    fn count(&self, results: &[namespace::Results], began: tokio::time::Instant) {
        let metrics = &self.metrics;
        metrics.apply_seconds.observe(self.clock.now().saturating_duration_since(began).as_secs_f64());
        metrics.applied_entries.inc_by(results.len() as u64);
        metrics.applied_operations.inc_by(results.iter().map(|results| results.len() as u64).sum());
    }

    /// Copies the state of this moment and keeps the copy.
    async fn copy(&self) -> Result<Snapshot, StateError> {
        let (stores, shelf) = (self.stores.clone(), self.shelf.clone());
        let copied = blocking(move || {
            let checkpoint = Arc::new(stores.checkpoint()?);
            shelf.put(Arc::clone(&checkpoint));
            Ok::<_, StateError>(checkpoint)
        })
        .await?;
        self.metrics.snapshots_built.inc();
        snapshot_of(copied)
    }
}

impl RaftStateMachine<Group> for Machine {
    type SnapshotData = Transfer;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.stores.applied()?;
        let membership = stored(applied.membership.as_ref())?;
        Ok((applied.position.map(LogId::from), membership))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Group>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            bytes += bytes_of(&entry);
            chunk.push((entry, responder));
            if chunk.len() >= ENTRIES_MAX || bytes >= BYTES_MAX {
                self.apply_chunk(std::mem::take(&mut chunk)).await?;
                bytes = 0;
            }
        }
        Ok(self.apply_chunk(chunk).await?)
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Self::SnapshotBuilder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        // Here, and not in the builder: openraft runs that beside the application of further entries.
        Builder { copied: Some(self.copy().await) }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMeta, snapshot: Transfer) -> Result<(), io::Error> {
        let end = snapshot.position().map_or(0, |position| position.index + 1);
        let (stores, shelf) = (self.stores.clone(), self.shelf.clone());
        blocking(move || {
            stores.install(snapshot)?;
            shelf.clear();
            Ok::<_, StateError>(())
        })
        .await?;
        self.metrics.snapshots_installed.inc();
        self.show_applied(end);
        self.applied_end.send_replace(end);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        if let Some(kept) = self.shelf.get() {
            return Ok(Some(snapshot_of(kept)?));
        }
        match self.stores.applied()?.position {
            Some(_) => Ok(Some(self.copy().await?)),
            None => Ok(None),
        }
    }
}

impl RaftSnapshotBuilder<Group> for Builder {
    type SnapshotData = Transfer;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        Ok(self.copied.take().unwrap_or(Err(StateError::CopyTaken))?)
    }
}

/// A copy with what openraft wants to know of it.
pub(crate) fn snapshot_of(checkpoint: Arc<Checkpoint>) -> Result<Snapshot, StateError> {
    let last_membership = stored(checkpoint.applied().membership.as_ref())?;
    let meta = SnapshotMeta { last_log_id: checkpoint.position().map(LogId::from), last_membership };
    Ok(Snapshot { meta, snapshot: checkpoint })
}

fn stored(membership: Option<&MembershipRecord>) -> Result<StoredMembership, StateError> {
    match membership {
        Some(record) => record.stored().ok_or(StateError::Position),
        None => Ok(StoredMembership::default()),
    }
}

/// How much an entry carries.
fn bytes_of(entry: &Entry) -> usize {
    if let EntryPayload::Normal(payload) = &entry.payload { payload.0.len() } else { 0 }
}

/// Whether all that an entry asks for is quick. A few bytes may also ask for thousands of rows: whatever replaces or cuts
/// something drops its extents, and a move looks at all directories above.
fn is_quick(entry: &StoreEntry) -> bool {
    let is_quick = |request: &Request| match &request.operation {
        Operation::Change(change) => matches!(
            change,
            Change::Create(Create { replace: false, .. })
                | Change::Link { .. }
                | Change::SetAttributes { changes: AttributeChanges { size: None, .. }, .. }
                | Change::SetXattr { .. }
                | Change::RemoveXattr { .. }
        ),
        operation => matches!(operation, Operation::Tick { .. }),
    };
    entry.batch.as_ref().is_none_or(|batch| batch.requests.iter().all(is_quick))
}

/// Translates entries for the store.
fn store_entries(entries: &[Entry]) -> Result<Vec<StoreEntry>, StateError> {
    entries.iter().map(store_entry).collect()
}

/// Translates an entry for the store.
fn store_entry(entry: &Entry) -> Result<StoreEntry, StateError> {
    let (index, position) = (entry.index(), Position::from(entry.log_id()));
    let membership = entry.get_membership().map(|membership| MembershipRecord::new(Some(position), &membership));
    let batch = match &entry.payload {
        EntryPayload::Normal(payload) => Some(payload::decode(&payload.0).ok_or(StateError::Payload { index })?),
        EntryPayload::Blank | EntryPayload::Membership(_) => None,
    };
    Ok(StoreEntry {
        index,
        position: position::encode(&position).into(),
        membership: membership.map(|record| position::encode(&record).into()),
        batch,
    })
}

#[cfg(test)]
mod tests {
    use types::{Batch, Lin, SnapshotId, Timestamp};

    use super::*;

    #[test]
    fn what_may_touch_thousands_of_rows_is_not_quick_however_few_bytes_ask_for_it() {
        let quick = Change::SetAttributes { lin: Lin::ROOT, changes: AttributeChanges::default() };
        let slow = Change::DropStep { snapshot: SnapshotId(7), rows_max: 10_000 };
        let entry = |changes: &[&Change]| {
            let request = |change: &&Change| Request { key: None, operation: Operation::Change((*change).clone()) };
            let requests = changes.iter().map(request).collect();
            let batch = Some(Batch { proposed_at: Timestamp::default(), requests });
            StoreEntry { index: 1, position: bytes::Bytes::new(), membership: None, batch }
        };
        assert!(is_quick(&entry(&[])));
        assert!(is_quick(&entry(&[&quick, &quick])));
        assert!(!is_quick(&entry(&[&quick, &slow])));
        let cut = AttributeChanges { size: Some(0), ..AttributeChanges::default() };
        assert!(!is_quick(&entry(&[&Change::SetAttributes { lin: Lin::ROOT, changes: cut }])));
    }
}
