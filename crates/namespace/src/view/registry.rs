//! Reads of the cluster's records: nodes, placement groups, sites, policies, jobs, snapshots and sessions.

use std::collections::BTreeMap;

use types::{
    BlockId, Job, JobId, Node, NodeId, ObjectReport, OperationError, PgId, PlacementGroup, Policy, PolicyId, Pool,
    PoolId, SessionId, ShortCopy, Site, SiteId, Snapshot, SnapshotId, Timestamp,
};

use super::View;
use crate::error::{Failure, StoreError};
use crate::job::is_over;
use crate::keys::{FreedKey, JobObjectKey, Key, KeyRange, NameKey, Named, ShortKey, short_prefix};
use crate::read::Read as _;
use crate::rows::SessionRow;
use crate::tables::{
    Freed, Held, JobObjects, Jobs, Locked, Names, Nodes, Pgs, Pins, Policies, Pools, Sessions, Short, Sites, Snapshots,
    Table,
};

/// What a session stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionState {
    /// Its number.
    pub id: SessionId,
    /// Whose it is.
    pub label: String,
    /// Results below this number are forgotten.
    pub low_water: u64,
    /// Blocks below this number are published or given up for good.
    pub block_mark: u64,
    /// State time of its opening.
    pub opened: Timestamp,
    /// State time when its low-water mark last rose.
    pub used: Timestamp,
    /// Whether its lease has run out: it is over for good, and may be ended.
    pub has_expired: bool,
}

impl SessionState {
    fn new(id: SessionId, row: SessionRow, ticks: u64) -> Self {
        let has_expired = row.has_expired(ticks);
        let SessionRow { label, opened, used, low_water, block_mark, .. } = row;
        Self { id, label, low_water, block_mark, opened, used, has_expired }
    }
}

/// Reads of the cluster's records; they are those of the head, whatever the view's moment. All calls block.
impl View {
    /// The members of the cluster.
    ///
    /// # Errors
    /// The store failed.
    pub fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        self.all::<Nodes>()
    }

    /// A member of the cluster.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn node(&self, id: NodeId) -> Result<Node, Failure> {
        Ok(self.rows.row::<Nodes>(&id)?.ok_or(OperationError::NoNode { node: id })?)
    }

    /// The node that speaks with the key of this fingerprint.
    ///
    /// # Errors
    /// The store failed.
    pub fn node_by_fingerprint(&self, fingerprint: &str) -> Result<Option<Node>, StoreError> {
        let key = NameKey { named: Named::Fingerprint, name: fingerprint.to_owned() };
        let Some(id) = self.rows.row::<Names>(&key)? else { return Ok(None) };
        self.rows.row::<Nodes>(&NodeId(id))
    }

    /// The pools.
    ///
    /// # Errors
    /// The store failed.
    pub fn pools(&self) -> Result<Vec<Pool>, StoreError> {
        self.all::<Pools>()
    }

    /// A pool.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn pool(&self, id: PoolId) -> Result<Pool, Failure> {
        self.record::<Pools>("pool", &id)
    }

    /// The placement groups.
    ///
    /// # Errors
    /// The store failed.
    pub fn placement_groups(&self) -> Result<Vec<PlacementGroup>, StoreError> {
        self.all::<Pgs>()
    }

    /// A placement group.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn placement_group(&self, id: PgId) -> Result<PlacementGroup, Failure> {
        self.record::<Pgs>("placement group", &id)
    }

    /// The sites.
    ///
    /// # Errors
    /// The store failed.
    pub fn sites(&self) -> Result<Vec<Site>, StoreError> {
        self.all::<Sites>()
    }

    /// A site.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn site(&self, id: SiteId) -> Result<Site, Failure> {
        self.record::<Sites>("site", &id)
    }

    /// A site by its name.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn site_by_name(&self, name: &str) -> Result<Site, Failure> {
        self.site(SiteId(self.number(Named::Site, "site", name)?))
    }

    /// The policies.
    ///
    /// # Errors
    /// The store failed.
    pub fn policies(&self) -> Result<Vec<Policy>, StoreError> {
        Ok(self.all::<Policies>()?.into_iter().map(|row| row.policy).collect())
    }

    /// A policy.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn policy(&self, id: PolicyId) -> Result<Policy, Failure> {
        Ok(self.record::<Policies>("policy", &id)?.policy)
    }

    /// A policy by its name.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn policy_by_name(&self, name: &str) -> Result<Policy, Failure> {
        self.policy(PolicyId(self.number(Named::Policy, "policy", name)?))
    }

    /// At most so many jobs after one, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub fn jobs(&self, after: Option<JobId>, limit: usize) -> Result<Vec<Job>, StoreError> {
        self.list::<Jobs>(KeyRange::all(), after.as_ref(), limit).map(values)
    }

    /// The jobs that have not ended: at most one a policy.
    ///
    /// # Errors
    /// The store failed.
    pub fn open_jobs(&self) -> Result<Vec<Job>, StoreError> {
        let open = self.all::<Policies>()?.into_iter().filter_map(|row| row.open_job);
        let jobs = open.map(|id| self.rows.row::<Jobs>(&id));
        jobs.filter_map(Result::transpose).collect()
    }

    /// A job.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn job(&self, id: JobId) -> Result<Job, Failure> {
        self.record::<Jobs>("job", &id)
    }

    /// At most so many reported objects of an open job after one, in the order of their names.
    ///
    /// # Errors
    /// The store failed.
    pub fn job_objects(&self, job: JobId, after: Option<&str>, limit: usize) -> Result<Vec<ObjectReport>, StoreError> {
        let after = after.map(|name| JobObjectKey { job, name: name.to_owned() });
        self.list::<JobObjects>(KeyRange::prefix(job.encode()), after.as_ref(), limit).map(values)
    }

    /// The first job that has ended and whose objects are not all forgotten.
    ///
    /// # Errors
    /// The store failed.
    pub fn forgotten_job(&self) -> Result<Option<JobId>, StoreError> {
        let mut range = KeyRange::all();
        while let Some((JobObjectKey { job, .. }, _)) = self.rows.rows::<JobObjects>(range).next().transpose()? {
            if self.rows.row::<Jobs>(&job)?.is_none_or(|job| is_over(&job)) {
                return Ok(Some(job));
            }
            // Only open jobs are passed over, and there is at most one of each policy.
            range = KeyRange::all().from(&JobId(job.0.saturating_add(1)));
        }
        Ok(None)
    }

    /// The snapshots, oldest first, those that are being dropped included.
    ///
    /// # Errors
    /// The store failed.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, StoreError> {
        Ok(self.all::<Snapshots>()?.into_iter().map(|row| row.snapshot).collect())
    }

    /// A snapshot, also one that is being dropped.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn snapshot(&self, id: SnapshotId) -> Result<Snapshot, Failure> {
        Ok(self.record::<Snapshots>("snapshot", &id)?.snapshot)
    }

    /// A live snapshot by its name.
    ///
    /// # Errors
    /// It is not there, or the store failed.
    pub fn snapshot_by_name(&self, name: &str) -> Result<Snapshot, Failure> {
        self.snapshot(SnapshotId(self.number(Named::Snapshot, "snapshot", name)?))
    }

    /// A session; `None` if it has ended. One whose lease has run out is there until somebody ends it.
    ///
    /// # Errors
    /// The store failed.
    pub fn session(&self, id: SessionId) -> Result<Option<SessionState>, StoreError> {
        let row = self.rows.row::<Sessions>(&id)?;
        Ok(row.map(|row| SessionState::new(id, row, self.progress.ticks)))
    }

    /// At most so many sessions that nobody has ended, after one, oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub fn sessions(&self, after: Option<SessionId>, limit: usize) -> Result<Vec<SessionState>, StoreError> {
        let rows = self.list::<Sessions>(KeyRange::all(), after.as_ref(), limit)?;
        Ok(rows.into_iter().map(|(id, row)| SessionState::new(id, row, self.progress.ticks)).collect())
    }

    /// How many sessions that are not over pin each snapshot that any of them pins.
    ///
    /// # Errors
    /// The store failed.
    pub fn readers(&self) -> Result<BTreeMap<SnapshotId, u32>, StoreError> {
        let mut readers = BTreeMap::new();
        for row in self.rows.rows::<Pins>(KeyRange::all()) {
            let (pin, _) = row?;
            let session = self.rows.row::<Sessions>(&pin.session)?;
            if session.is_some_and(|session| !session.has_expired(self.progress.ticks)) {
                *readers.entry(pin.snapshot).or_default() += 1;
            }
        }
        Ok(readers)
    }

    /// A session that has ended and still holds something, or has locks, if there is one.
    ///
    /// # Errors
    /// The store failed.
    pub fn ended_holder(&self) -> Result<Option<SessionId>, StoreError> {
        match self.first_ended::<Held>(|held| held.session)? {
            Some(holder) => Ok(Some(holder)),
            None => self.first_ended::<Locked>(|locked| locked.session),
        }
    }

    /// The first session with rows in a table that is not there; the keys of the table begin with the session.
    fn first_ended<T: Table>(&self, session: impl Fn(&T::Key) -> SessionId) -> Result<Option<SessionId>, StoreError> {
        let mut rest = KeyRange::all();
        while let Some((key, _)) = self.rows.rows::<T>(rest.clone()).next().transpose()? {
            let session = session(&key);
            if self.rows.row::<Sessions>(&session)?.is_none() {
                return Ok(Some(session));
            }
            rest = rest.after(&session);
        }
        Ok(None)
    }

    /// At most so many copies that a node is to delete, after a block.
    ///
    /// # Errors
    /// The store failed.
    pub fn freed(&self, node: NodeId, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, StoreError> {
        let after = after.map(|block| FreedKey { holder: node, block });
        let rows = self.list::<Freed>(KeyRange::prefix(node.encode()), after.as_ref(), limit)?;
        Ok(rows.into_iter().map(|(key, _)| key.block).collect())
    }

    /// At most so many copies that holders of a placement group lack, after one: the exact repair queue (rule P12).
    ///
    /// # Errors
    /// The store failed.
    pub fn short(&self, pg: PgId, after: Option<ShortCopy>, limit: usize) -> Result<Vec<ShortCopy>, StoreError> {
        let after = after.map(|copy| ShortKey { pg: copy.pg, block: copy.block, holder: copy.holder });
        let rows = self.list::<Short>(KeyRange::prefix(pg.encode()), after.as_ref(), limit)?;
        let copy = |key: ShortKey| ShortCopy { pg: key.pg, block: key.block, holder: key.holder };
        Ok(rows.into_iter().map(|(key, _)| copy(key)).collect())
    }

    /// Who lacks a copy of a block.
    ///
    /// # Errors
    /// The store failed.
    pub fn short_of(&self, pg: PgId, block: BlockId) -> Result<Vec<NodeId>, StoreError> {
        let rows = self.rows.rows::<Short>(KeyRange::prefix(short_prefix(pg, block)));
        rows.map(|row| row.map(|(key, _)| key.holder)).collect()
    }

    fn number(&self, named: Named, what: &str, name: &str) -> Result<u64, Failure> {
        let missing = || OperationError::NoRecord { what: what.to_owned(), name: name.to_owned() };
        let key = NameKey { named, name: name.to_owned() };
        Ok(self.rows.row::<Names>(&key)?.ok_or_else(missing)?)
    }

    fn record<T: Table<Key: ToString>>(&self, what: &str, key: &T::Key) -> Result<T::Row, Failure> {
        let missing = || OperationError::NoRecord { what: what.to_owned(), name: key.to_string() };
        Ok(self.rows.row::<T>(key)?.ok_or_else(missing)?)
    }

    /// A whole table, of those that people fill by hand and that stay small.
    fn all<T: Table>(&self) -> Result<Vec<T::Row>, StoreError> {
        self.rows.rows::<T>(KeyRange::all()).map(|row| row.map(|(_, row)| row)).collect()
    }

    fn list<T: Table>(&self, range: KeyRange, after: Option<&T::Key>, limit: usize) -> Result<Listed<T>, StoreError> {
        let range = after.map_or(range.clone(), |key| range.after(key));
        self.rows.rows::<T>(range).take(limit).collect()
    }
}

/// Rows of a table with their keys.
type Listed<T> = Vec<(<T as Table>::Key, <T as Table>::Row)>;

fn values<K, R>(rows: Vec<(K, R)>) -> Vec<R> {
    rows.into_iter().map(|(_, row)| row).collect()
}
