//! Which key and which row each family has.

use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{
    Account, BlockId, Job, JobId, Lin, Node, NodeId, ObjectReport, PgId, PlacementGroup, PolicyId, Pool, PoolId,
    SessionId, Site, SiteId, SnapshotId,
};

use crate::decoders::read;
use crate::family::Family;
use crate::keys::{
    ChangedKey, DeadKey, EntryKey, ExtentKey, FreedKey, HeldKey, JobObjectKey, Key, LinkKey, LockKey, LockedKey,
    NameKey, OpenKey, OrphanKey, PinKey, PolicyJobKey, RememberedKey, ShortKey, XattrKey,
};
use crate::places::PlaceKey;
use crate::rows::{
    ChangedRow, EntryRow, FreedRow, InodeRow, LockRow, OrphanRow, PinRow, PolicyRow, Present, QuotaRow, RecountRow,
    RememberedRow, RunRow, SessionRow, SnapshotRow, Used,
};

/// A family with its key and its row.
pub trait Table {
    /// The column family.
    const FAMILY: Family;
    /// What it is sorted by.
    type Key: Key;
    /// What it holds.
    type Row: Serialize + DeserializeOwned;
}

/// A table whose old rows are kept while a snapshot sees them. Its rows in the head carry their birth.
pub trait Versioned: Table {
    /// The column family of the old rows.
    const HISTORY: Family;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: $family:ident, $key:ty => $row:ty $(, $history:ident)?;)+) => {$(
        $(#[$doc])*
        pub struct $name;

        impl Table for $name {
            const FAMILY: Family = Family::$family;
            type Key = $key;
            type Row = $row;
        }

        $(impl Versioned for $name {
            const HISTORY: Family = Family::$history;
        })?
    )+

    /// What reads a key and a row of each family, for the fuzzer.
    pub const READERS: &[Reader] = &[$(
        (Family::$family, read::<$name>),
        $((Family::$history, read::<$name>),)?
    )+];
    };
}

/// What reads a key and a row of a family.
pub type Reader = (Family, fn(&[u8], &[u8]));

tables! {
    /// Inodes.
    Inodes: Inode, Lin => InodeRow, InodeHistory;
    /// Directory entries.
    Entries: Dentry, EntryKey => EntryRow, DentryHistory;
    /// The ways back up.
    Links: Link, LinkKey => Present, LinkHistory;
    /// Extents and tails.
    Extents: Extent, ExtentKey => RunRow, ExtentHistory;
    /// Extended attributes.
    Xattrs: Xattr, XattrKey => bytes::Bytes, XattrHistory;
    /// The change index.
    Changes: Changed, ChangedKey => ChangedRow;
    /// What dies with which snapshot.
    Deadlist: Deadlist, DeadKey => Present;
    /// Snapshots.
    Snapshots: Snapshot, SnapshotId => SnapshotRow;
    /// Sessions.
    Sessions: Session, SessionId => SessionRow;
    /// Results to be given again.
    Remembered: Remembered, RememberedKey => RememberedRow;
    /// Missing copies.
    Short: Short, ShortKey => Present;
    /// Copies to be deleted.
    Freed: Freed, FreedKey => FreedRow;
    /// Members of the cluster.
    Nodes: Node, NodeId => Node;
    /// Placement groups.
    Pgs: Pg, PgId => PlacementGroup;
    /// Pools.
    Pools: Pool, PoolId => Pool;
    /// Sites.
    Sites: Site, SiteId => Site;
    /// Policies.
    Policies: Policy, PolicyId => PolicyRow;
    /// Backup jobs.
    Jobs: Job, JobId => Job;
    /// Upload objects of open jobs.
    JobObjects: JobObject, JobObjectKey => ObjectReport;
    /// The jobs of each policy.
    PolicyJobs: PolicyJob, PolicyJobKey => Present;
    /// Names of records.
    Names: Name, NameKey => u64;
    /// Extents that were taken from their file.
    Orphans: Orphan, OrphanKey => OrphanRow;
    /// Blocks that are in use.
    Blocks: Block, BlockId => Present;
    /// Places of blocks that have had several.
    References: Reference, PlaceKey => Present;
    /// Who holds files.
    Opens: Open, OpenKey => Present;
    /// What sessions hold.
    Held: Held, HeldKey => Present;
    /// Locks.
    Locks: Lock, LockKey => LockRow;
    /// Where sessions have locks.
    Locked: Locked, LockedKey => Present;
    /// Which snapshots sessions pin.
    Pins: Pin, PinKey => PinRow;
    /// Quotas.
    Quotas: Quota, Account => QuotaRow;
    /// What is used.
    Usages: Usage, Account => Used;
    /// The nearest directory above that has a quota.
    Scopes: Scope, Lin => Lin;
    /// Directories whose entries are to be counted.
    Recounts: Recount, Lin => RecountRow;
}
