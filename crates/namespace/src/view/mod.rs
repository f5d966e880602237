//! Reads of one fixed state.

mod blocks;
mod changes;
mod locks;
mod quotas;
mod registry;
mod tree;

pub use changes::{Change, ChangeCursor, ChangePage};
pub use locks::NamedLock;
pub use registry::SessionState;
pub use tree::{DirectoryEntry, File, Runs, Sought, StoredContent};

use std::sync::Arc;

use types::{OperationError, Revision, Snapshot, SnapshotId, SnapshotState, Timestamp};

use crate::check::{self, Fault};
use crate::database::{Database, Frozen, Rows as _};
use crate::error::{Failure, StoreError};
use crate::family::Family;
use crate::history::Moment;
use crate::keys::KeyRange;
use crate::meta;
use crate::overlay::hash_row;
use crate::read::Read as _;
use crate::rows::{ProgressRow, Usage};
use crate::tables::Snapshots;
use crate::time::TimeJump;

/// One state of the store that no later write changes: the head when the view was made, or a snapshot as of then.
///
/// It is cheap to make and to clone, and it can be sent to other threads. Its calls read from disk and block: an async
/// caller goes through `runtime::blocking`. A view holds back compaction while it lives, so it is kept for minutes, not
/// for hours.
#[derive(Clone)]
pub struct View {
    rows: Arc<Frozen>,
    progress: Arc<ProgressRow>,
    moment: Moment,
}

impl View {
    pub(crate) fn new(database: Arc<Database>) -> Result<Self, StoreError> {
        let rows = Arc::new(Frozen::new(database));
        let progress = Arc::new(meta::progress(&*rows)?);
        Ok(Self { rows, progress, moment: Moment::Head })
    }

    /// The tree as a snapshot saw it. Records of the cluster stay those of the head.
    ///
    /// # Errors
    /// The snapshot is not there, or is being dropped.
    pub fn at(&self, snapshot: SnapshotId) -> Result<Self, Failure> {
        let revision = self.live_snapshot(snapshot)?.revision;
        Ok(Self { moment: Moment::At(revision), ..self.clone() })
    }

    /// A snapshot that can be read.
    fn live_snapshot(&self, id: SnapshotId) -> Result<Snapshot, Failure> {
        let row = self.rows.row::<Snapshots>(&id)?.filter(|row| row.snapshot.state == SnapshotState::Live);
        let missing = || OperationError::NoRecord { what: "snapshot".into(), name: id.to_string() };
        Ok(row.ok_or_else(missing)?.snapshot)
    }

    /// The last operation that this view sees.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match self.moment {
            Moment::Head => self.progress.revision,
            Moment::At(revision) => revision,
        }
    }

    /// The last log entry that had been applied when the view was made.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.progress.index
    }

    /// State time when the view was made.
    #[must_use]
    pub fn state_time(&self) -> Timestamp {
        self.progress.time.now
    }

    /// How much of it has passed for sure: what the next count of time names.
    #[must_use]
    pub fn counted_time(&self) -> Timestamp {
        self.progress.time.sure
    }

    /// The jump of the leaders' clocks that is not believed, if there is one. Whoever removes or starts something because
    /// of its age waits while there is (rule P2).
    #[must_use]
    pub fn time_jump(&self) -> Option<TimeJump> {
        self.progress.time.jump
    }

    /// Ticks so far when the view was made: what leases and quarantines are measured by (rule P2).
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.progress.ticks
    }

    /// What the tree held at the head when the view was made.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.progress.usage
    }

    /// The chained hash of all writes so far: equal on all nodes that applied the same log.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.progress.digest
    }

    /// Checks every invariant of the store's head and history; gives the first faults. It reads every row.
    ///
    /// # Errors
    /// The store failed, or a row cannot be read at all.
    pub fn check(&self) -> Result<Vec<Fault>, StoreError> {
        check::check(&*self.rows)
    }

    /// How many rows each family has. It reads every row.
    ///
    /// # Errors
    /// The store failed.
    pub fn row_counts(&self) -> Result<Vec<(Family, u64)>, StoreError> {
        let count = |family| {
            let mut rows = self.rows.scan(family, KeyRange::all());
            rows.try_fold(0, |count, row| row.map(|_| count + 1)).map(|count| (family, count))
        };
        Family::ALL.into_iter().map(count).collect()
    }

    /// A hash of every row: equal on all nodes that applied the same log. It reads every row.
    ///
    /// # Errors
    /// The store failed.
    pub fn dump_digest(&self) -> Result<[u8; 32], StoreError> {
        let mut hasher = blake3::Hasher::new();
        for family in Family::ALL {
            for row in self.rows.scan(family, KeyRange::all()) {
                let (key, value) = row?;
                hash_row(&mut hasher, family, &key, Some(&value));
            }
        }
        Ok(*hasher.finalize().as_bytes())
    }
}
