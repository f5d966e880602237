//! The state that operations are being applied to.

use std::collections::BTreeMap;

use blake3::Hasher;
use rocksdb::WriteBatch;
use types::{Account, Revision, SessionId, SnapshotId, SnapshotState, Timestamp};

use crate::accounts::Counted;
use crate::database::{Database, Direction, Pairs, Rows};
use crate::error::StoreError;
use crate::family::Family;
use crate::history::history_key;
use crate::keys::{DeadKey, Key, KeyRange};
use crate::meta::PROGRESS_KEY;
use crate::overlay::Overlay;
use crate::places::PlaceKey;
use crate::read::Read as _;
use crate::rows::{
    Dated, ExtentRow, Present, ProgressRow, QuotaCounts, Usage, encode, revision_and_rest, with_revision,
};
use crate::tables::{Deadlist, Snapshots, Table, Versioned};

/// The state in the midst of a batch. An operation ends with [`Transaction::commit`] or [`Transaction::rollback`].
pub struct Transaction<'a> {
    overlay: Overlay<'a>,
    /// How far the store will be with this batch.
    pub progress: ProgressRow,
    /// What the tree held when the operation began, how many orphans there were, and what there was of quotas.
    before: (Usage, u64, QuotaCounts),
    /// The live snapshots, oldest first, once they have been read.
    snapshots: Option<Vec<SnapshotId>>,
    /// Rows of extents that the operation removed for good, one for each place of a block.
    pub lost: BTreeMap<PlaceKey, ExtentRow>,
    /// The session in whose name the operation is carried out; none for one of the cluster's own.
    pub caller: Option<SessionId>,
    /// What the operation has counted, until it is settled.
    pub accounts: BTreeMap<Account, Counted>,
    hasher: Hasher,
}

impl<'a> Transaction<'a> {
    /// Starts a batch over a state.
    pub fn new(database: &'a Database, progress: ProgressRow) -> Self {
        let before = (progress.usage, progress.orphans, progress.quotas);
        Self {
            overlay: Overlay::new(database),
            progress,
            before,
            snapshots: None,
            lost: BTreeMap::new(),
            caller: None,
            accounts: BTreeMap::new(),
            hasher: Hasher::new(),
        }
    }

    /// The operation that is being applied.
    pub const fn revision(&self) -> Revision {
        self.progress.revision
    }

    /// State time.
    pub const fn now(&self) -> Timestamp {
        self.progress.time.now
    }

    /// Counts the next operation, whether it will succeed or not (rule P1).
    pub fn begin(&mut self, caller: Option<SessionId>) {
        self.caller = caller;
        self.progress.revision = self.progress.revision.next();
    }

    /// Keeps what was written since the last commit.
    pub fn commit(&mut self) {
        debug_assert!(self.accounts.is_empty(), "what was counted is settled");
        self.overlay.commit(&mut self.hasher);
        self.before = (self.progress.usage, self.progress.orphans, self.progress.quotas);
    }

    /// Undoes what was written since the last commit.
    pub fn rollback(&mut self) {
        self.overlay.rollback();
        (self.progress.usage, self.progress.orphans, self.progress.quotas) = self.before;
        self.snapshots = None;
        self.lost.clear();
        self.accounts.clear();
    }

    /// Ends a log entry: chains the hash of its writes to that of the entries before it.
    pub fn end_entry(&mut self) {
        let writes = std::mem::take(&mut self.hasher).finalize();
        let chained = [&self.progress.digest[..], writes.as_bytes()].concat();
        self.progress.digest = *blake3::hash(&chained).as_bytes();
    }

    /// Everything that was committed, with the row that says how far the store is.
    pub fn finish(mut self) -> (ProgressRow, WriteBatch) {
        self.overlay.write(Family::Meta, PROGRESS_KEY.to_vec(), Some(encode(&self.progress)));
        (self.progress, self.overlay.into_batch())
    }

    /// Writes a row of a table without versions.
    pub fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) {
        self.write(T::FAMILY, key.encode(), Some(encode(row)));
    }

    /// Deletes a row of a table without versions.
    pub fn delete<T: Table>(&mut self, key: &T::Key) {
        self.write(T::FAMILY, key.encode(), None);
    }

    /// Deletes a row by the bytes of its key.
    pub fn delete_raw(&mut self, family: Family, key: Vec<u8>) {
        self.write(family, key, None);
    }

    /// Writes a row of the head; the one before it goes to the history if a snapshot sees it.
    pub fn put_version<T: Versioned>(&mut self, key: &T::Key, row: T::Row) -> Result<(), StoreError> {
        let key = key.encode();
        self.retire::<T>(&key, self.revision())?;
        let row = encode(&Dated { revision: self.revision(), row });
        self.write(T::FAMILY, key, Some(row));
        Ok(())
    }

    /// Removes a row of the head; it goes to the history if a snapshot sees it. Tells whether one does.
    pub fn delete_version<T: Versioned>(&mut self, key: &T::Key) -> Result<Retired, StoreError> {
        self.delete_version_as_of::<T>(key, self.revision())
    }

    /// Removes a row that nothing of the head has referred to since an earlier operation.
    pub fn delete_version_as_of<T: Versioned>(&mut self, key: &T::Key, death: Revision) -> Result<Retired, StoreError> {
        let key = key.encode();
        let retired = self.retire::<T>(&key, death)?;
        self.write(T::FAMILY, key, None);
        Ok(retired)
    }

    /// Keeps the head's row for the newest snapshot that sees it: the newest one before its death, if the row was born
    /// by then (rule P8). Its bytes move as they are, with the death in the birth's place.
    fn retire<T: Versioned>(&mut self, key: &[u8], death: Revision) -> Result<Retired, StoreError> {
        let newest = self.live_snapshots()?.iter().rev().find(|snapshot| snapshot.0 < death.0).copied();
        let Some(newest) = newest else { return Ok(Retired::Gone) };
        let Some(value) = self.overlay.get(T::FAMILY, key)? else { return Ok(Retired::Gone) };
        let corrupt = |reason| StoreError::corrupt(T::FAMILY.name(), key, reason);
        let (birth, row) = revision_and_rest(&value).map_err(corrupt)?;
        if birth.0 > newest.0 {
            return Ok(Retired::Gone);
        }
        let old = with_revision(death, row);
        self.write(T::HISTORY, history_key(key, birth), Some(old));
        self.put_dead(DeadKey { snapshot: newest, family: T::HISTORY, key: key.to_vec(), birth });
        Ok(Retired::Kept)
    }

    /// Notes that a row dies with a snapshot.
    pub fn put_dead(&mut self, key: DeadKey) {
        self.put::<Deadlist>(&key, &Present);
    }

    /// The newest live snapshot.
    pub fn newest_snapshot(&mut self) -> Result<Option<SnapshotId>, StoreError> {
        Ok(self.live_snapshots()?.last().copied())
    }

    /// The live snapshots, oldest first.
    pub fn live_snapshots(&mut self) -> Result<&[SnapshotId], StoreError> {
        if self.snapshots.is_none() {
            let rows = self.overlay.rows::<Snapshots>(KeyRange::all());
            let live = rows.filter_map(|row| match row {
                Ok((id, row)) => (row.snapshot.state == SnapshotState::Live).then_some(Ok(id)),
                Err(error) => Some(Err(error)),
            });
            self.snapshots = Some(live.collect::<Result<_, _>>()?);
        }
        Ok(self.snapshots.as_deref().unwrap_or_default())
    }

    fn write(&mut self, family: Family, key: Vec<u8>, value: Option<Vec<u8>>) {
        if family == Family::Snapshot {
            self.snapshots = None;
        }
        self.overlay.write(family, key, value);
    }
}

/// What became of a row of the head that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// A snapshot sees it, so the history has it.
    Kept,
    /// Nobody sees it any more.
    Gone,
}

impl Rows for Transaction<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.overlay.get(family, key)
    }

    fn walk(&self, family: Family, range: KeyRange, direction: Direction) -> Pairs<'_> {
        self.overlay.walk(family, range, direction)
    }
}
