//! The words of Holdfast as types: identifiers, attributes, extents, operations and their outcomes.
//!
//! No I/O, no clock and no randomness live here. The glossary in `ARCHITECTURE.md` is the list of these words; one word
//! names one thing. What is persisted or sent has its byte format elsewhere: in `wire` for messages between processes,
//! in `namespace` for the log and the state store, in `repo` for what lies at a site.

mod attributes;
mod backup;
mod change;
mod cluster;
mod error;
mod extent;
mod id;
mod lock;
mod name;
mod operation;
mod quota;
mod range;

pub use attributes::{AttributeChanges, Attributes, Device, FileKind, NoDevice, Timestamp};
pub use backup::{
    CommitReference, CommitTicket, Job, JobPhase, JobTotals, ObjectReport, Policy, Root, Shrinkage, Site, SiteState,
};
pub use change::{Change, Content, Create, NewInode, Removal, Rename, RenameMode, XattrMode};
pub use cluster::{Node, PlacementGroup, Pool, Seat, SeatState, Snapshot, SnapshotState};
pub use error::{ErrorKind, OperationError};
pub use extent::{
    BLOCK_LENGTH_MAX, Extent, INLINE_LENGTH_MAX, NewExtent, PublishedExtent, Run, SeatSet, Seek, ShortCopy,
    TAIL_LENGTH_MAX, Tail,
};
pub use id::{
    BlockId, ClusterId, Digest, Epoch, Fence, Generation, Incarnation, JobId, Lin, NodeId, PgId, PgVersion, PolicyId,
    PoolId, RepositoryId, Revision, SessionId, SetId, SiteId, SnapshotId, VolumeId,
};
pub use lock::{Lock, LockKind, LockMode, LockRange, TakenLock};
pub use name::{
    NAME_LENGTH_MAX, Name, NameError, SYMLINK_LENGTH_MAX, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX,
};
pub use operation::{Batch, JobOperation, NewNode, Operation, Outcome, Registration, Request, RequestKey};
pub use quota::{Account, Limits, Quota, QuotaOperation, QuotaState, Resource};
pub use range::{Append, CLONE_ALIGNMENT, Clearing, CloneRange, Rewrite};
