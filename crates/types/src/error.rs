//! Why an operation was refused.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Account, BlockId, Fence, FileKind, JobId, Lin, NameError, NodeId, PgId, PgVersion, Resource, SessionId, TakenLock,
};

/// What a caller can do about an error. Callers branch on this and on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The request itself is wrong; trying it again gives the same.
    InvalidRequest,
    /// What it names is not there.
    NotFound,
    /// What it makes is there already.
    AlreadyExists,
    /// The state does not allow it now; somebody else has to act first.
    Conflict,
    /// The caller may not.
    Denied,
    /// This node does not lead; another one does, or will.
    NotLeader,
    /// It may succeed if it is tried again.
    Unavailable,
    /// There is no room.
    NoSpace,
    /// Bytes are not what was written.
    Corrupt,
    /// The versions do not fit.
    Unsupported,
    /// A fault of ours.
    Internal,
    /// A quota does not allow more.
    OverQuota,
}

/// Why the state machine refused an operation. It is part of the replicated answer, so it holds plain values only.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum OperationError {
    /// No such LIN (`ESTALE`: the file was removed).
    #[error("there is no inode {lin}")]
    NoInode {
        /// The LIN.
        lin: Lin,
    },
    /// No such name (`ENOENT`).
    #[error("there is no entry {name:?} in directory {parent}")]
    NoEntry {
        /// The directory.
        parent: Lin,
        /// The name, printable.
        name: String,
    },
    /// The name is taken (`EEXIST`).
    #[error("there is already an entry {name:?} in directory {parent}")]
    EntryExists {
        /// The directory.
        parent: Lin,
        /// The name, printable.
        name: String,
    },
    /// It is not a directory (`ENOTDIR`).
    #[error("inode {lin} is not a directory")]
    NotDirectory {
        /// The LIN.
        lin: Lin,
    },
    /// It is a directory (`EISDIR`).
    #[error("inode {lin} is a directory")]
    IsDirectory {
        /// The LIN.
        lin: Lin,
    },
    /// A directory that should be empty is not (`ENOTEMPTY`).
    #[error("directory {lin} is not empty")]
    NotEmpty {
        /// The LIN.
        lin: Lin,
    },
    /// The kind of file does not have what was asked (`EINVAL`).
    #[error("inode {lin} is a {kind:?} and does not take this operation")]
    WrongKind {
        /// The LIN.
        lin: Lin,
        /// Its kind.
        kind: FileKind,
    },
    /// A directory would become its own descendant (`EINVAL`).
    #[error("directory {lin} cannot be moved into itself or below itself")]
    Cycle {
        /// The directory.
        lin: Lin,
    },
    /// Too many names for one file (`EMLINK`).
    #[error("inode {lin} has the largest number of links")]
    TooManyLinks {
        /// The LIN.
        lin: Lin,
    },
    /// Not a name (`EINVAL` or `ENAMETOOLONG`).
    #[error("{0}")]
    Name(#[from] NameError),
    /// A value is out of its range (`EINVAL`, `EFBIG`).
    #[error("{what} is out of range: {value}, at most {limit}")]
    OutOfRange {
        /// What it is.
        what: String,
        /// Its value.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// No such extended attribute (`ENODATA`).
    #[error("inode {lin} has no extended attribute {name:?}")]
    NoXattr {
        /// The LIN.
        lin: Lin,
        /// The attribute's name, printable.
        name: String,
    },
    /// The extended attribute is there (`EEXIST`).
    #[error("inode {lin} already has the extended attribute {name:?}")]
    XattrExists {
        /// The LIN.
        lin: Lin,
        /// The attribute's name, printable.
        name: String,
    },
    /// The extents of a write are not sorted, overlap, or do not lie within their blocks.
    #[error("the extents are malformed: {reason}")]
    MalformedExtents {
        /// What is wrong with them.
        reason: String,
    },
    /// The session has ended or never was (rule P3).
    #[error("session {session} has expired: open a new one")]
    NoSession {
        /// The session.
        session: SessionId,
    },
    /// The operation's number is too far ahead, or its result is no longer remembered (rule P3).
    #[error("operation {sequence} is outside of the window of session {session}")]
    OutsideWindow {
        /// The session.
        session: SessionId,
        /// The number.
        sequence: u64,
    },
    /// The block's session has ended, or its mark is above the block (rule P10).
    #[error("block {block} can no longer be published: cut and put it again in a live session")]
    StaleBlock {
        /// The block.
        block: BlockId,
    },
    /// The placement group has another membership by now (rule P12).
    #[error("placement group {pg} has version {current}, not {given}: put the block again")]
    StalePlacement {
        /// The placement group.
        pg: PgId,
        /// The version in the request.
        given: PgVersion,
        /// The version now.
        current: PgVersion,
    },
    /// Too few full seats acknowledged the block (rule P12).
    #[error("block {block} was acknowledged by {acknowledged} full seats; {needed} are needed")]
    TooFewCopies {
        /// The block.
        block: BlockId,
        /// How many full seats acknowledged.
        acknowledged: u16,
        /// How many are needed.
        needed: u16,
    },
    /// No record of that kind has that name or number.
    #[error("there is no {what} {name:?}")]
    NoRecord {
        /// What kind of record.
        what: String,
        /// Its name or number.
        name: String,
    },
    /// A record of that kind has that name.
    #[error("there is already a {what} {name:?}")]
    RecordExists {
        /// What kind of record.
        what: String,
        /// Its name.
        name: String,
    },
    /// Something uses it.
    #[error("{what} {name:?} is in use: {by}")]
    InUse {
        /// What kind of record.
        what: String,
        /// Its name.
        name: String,
        /// What uses it, and what to do.
        by: String,
    },
    /// Another node owns the job by now.
    #[error("job {job} is owned under fence {current}, not {given}")]
    Fenced {
        /// The job.
        job: JobId,
        /// The fence in the request.
        given: Fence,
        /// The fence now.
        current: Fence,
    },
    /// The job's phase does not allow the step.
    #[error("job {job} cannot {step}: {reason}")]
    WrongPhase {
        /// The job.
        job: JobId,
        /// The step.
        step: String,
        /// Why not.
        reason: String,
    },
    /// Nobody could open a backup at the site (rule P28).
    #[error(
        "the recovery kit of site {site:?} was not exported yet: run `holdfast repo kit {site} --output FILE` first"
    )]
    NoRecoveryKit {
        /// The site's name.
        site: String,
    },
    /// The node is not known.
    #[error("there is no node {node}")]
    NoNode {
        /// The node.
        node: NodeId,
    },
    /// Too many blocks of the session are published before older ones (rule P3).
    #[error(
        "session {session} has {gaps} gaps between its published blocks: publish or give up older ones, then retry"
    )]
    SessionFull {
        /// The session.
        session: SessionId,
        /// How many gaps there are.
        gaps: u64,
    },
    /// No path leads to what would be made (`ENAMETOOLONG`).
    #[error("directory {lin} lies more than {limit} directories deep: no directory is made in it or moved into it")]
    TooDeep {
        /// The directory.
        lin: Lin,
        /// The limit.
        limit: u64,
    },
    /// The clock shows a later time than the one that was accepted (rule P2).
    #[error(
        "the leader's clock has gone on to {seconds} seconds since 1970, long after the time that was accepted: see \
         `holdfast cluster status`, then accept what it shows"
    )]
    TimeNotAccepted {
        /// What it shows, in seconds since 1970.
        seconds: i64,
    },
    /// The range is none that can share blocks (`EINVAL`).
    #[error("the range of inode {lin} cannot be cloned: {reason}")]
    NotCloneable {
        /// The file.
        lin: Lin,
        /// Why not.
        reason: String,
    },
    /// A quota would be exceeded (`EDQUOT`).
    #[error("the quota of {account} allows {limit} {resource}: {used} are used, and this needs {needed} more")]
    OverQuota {
        /// Whose quota.
        account: Account,
        /// What there would be too much of.
        resource: Resource,
        /// What was used before.
        used: u64,
        /// What would come to it.
        needed: u64,
        /// What is allowed.
        limit: u64,
    },
    /// What has content or several names would count for another directory's quota (`EXDEV`).
    #[error(
        "inode {lin} would come under another directory's quota with all that it holds: copy it and remove it here"
    )]
    CrossesQuota {
        /// The LIN.
        lin: Lin,
    },
    /// So many files a session may hold (`ENFILE`).
    #[error("session {session} holds {limit} files, and can hold no more: close others first")]
    TooManyHolds {
        /// The session.
        session: SessionId,
        /// How many it may hold.
        limit: u64,
    },
    /// Bytes that were appended have to be cut into blocks before more are (rule P16).
    #[error("the tail of inode {lin} is full: cut what lies from offset {from} on into blocks, then append again")]
    TailFull {
        /// The file.
        lin: Lin,
        /// Where the first bytes lie that are to be cut.
        from: u64,
    },
    /// A range does not hold any more what its new extents were made of (rule P16).
    #[error("inode {lin} has changed where it was to be rewritten, at offset {offset}: read it again")]
    RangeChanged {
        /// The file.
        lin: Lin,
        /// Where the range begins.
        offset: u64,
    },
    /// Another lock is in the way (`EAGAIN`): the one that `F_GETLK` tells.
    #[error("inode {lin} is locked: {taken}")]
    Locked {
        /// The file.
        lin: Lin,
        /// The lock.
        taken: TakenLock,
    },
    /// So many locks of one kind a file may have (`ENOLCK`).
    #[error("inode {lin} has {limit} locks, and can have no more")]
    TooManyLocks {
        /// The file.
        lin: Lin,
        /// How many it may have.
        limit: u64,
    },
    /// So many locks a session may have (`ENOLCK`).
    #[error("session {session} has {limit} locks, and can have no more: give others up first")]
    TooManyLocksOfSession {
        /// The session.
        session: SessionId,
        /// How many it may have.
        limit: u64,
    },
    /// Somebody reads the snapshot (rule P8).
    #[error(
        "snapshot {name:?} is read by {label:?} (session {session}): wait until that has ended, then delete it again"
    )]
    SnapshotPinned {
        /// The snapshot's name.
        name: String,
        /// The session that pins it.
        session: SessionId,
        /// What the session does with it.
        label: String,
    },
    /// So many snapshots a session may pin.
    #[error("session {session} pins {limit} snapshots, and can pin no more: unpin others first")]
    TooManyPins {
        /// The session.
        session: SessionId,
        /// How many it may pin.
        limit: u64,
    },
}

impl OperationError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NoInode { .. }
            | Self::NoEntry { .. }
            | Self::NoXattr { .. }
            | Self::NoRecord { .. }
            | Self::NoNode { .. } => ErrorKind::NotFound,
            Self::EntryExists { .. } | Self::XattrExists { .. } | Self::RecordExists { .. } => ErrorKind::AlreadyExists,
            Self::NotDirectory { .. }
            | Self::IsDirectory { .. }
            | Self::WrongKind { .. }
            | Self::Cycle { .. }
            | Self::TooManyLinks { .. }
            | Self::Name(_)
            | Self::OutOfRange { .. }
            | Self::TooDeep { .. }
            | Self::NotCloneable { .. }
            | Self::MalformedExtents { .. } => ErrorKind::InvalidRequest,
            Self::NotEmpty { .. }
            | Self::NoSession { .. }
            | Self::OutsideWindow { .. }
            | Self::StaleBlock { .. }
            | Self::StalePlacement { .. }
            | Self::TooFewCopies { .. }
            | Self::InUse { .. }
            | Self::Fenced { .. }
            | Self::NoRecoveryKit { .. }
            | Self::TimeNotAccepted { .. }
            | Self::CrossesQuota { .. }
            | Self::TooManyHolds { .. }
            | Self::TailFull { .. }
            | Self::RangeChanged { .. }
            | Self::Locked { .. }
            | Self::TooManyLocks { .. }
            | Self::TooManyLocksOfSession { .. }
            | Self::SnapshotPinned { .. }
            | Self::TooManyPins { .. }
            | Self::WrongPhase { .. } => ErrorKind::Conflict,
            Self::SessionFull { .. } => ErrorKind::Unavailable,
            Self::OverQuota { .. } => ErrorKind::OverQuota,
        }
    }
}
