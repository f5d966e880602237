//! Operations on the replicated state, and what they give back.
//!
//! An operation carries everything that its application needs: times and identifiers come in with it, because the state
//! machine has neither clock nor randomness. Its revision is its place in the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::range::{Clearing, CloneRange};
use crate::{
    AttributeChanges, Attributes, CommitTicket, Device, Fence, FileKind, Generation, Incarnation, Job, JobId,
    JobTotals, Lin, Name, NewExtent, Node, NodeId, ObjectReport, Policy, QuotaOperation, RepositoryId, Root, SessionId,
    Site, SiteId, Snapshot, SnapshotId, Timestamp, VolumeId,
};

/// What one log entry holds: the operations of many clients, each with its own result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's wall clock when it proposed the batch; state time follows it in bounded steps (rule P2).
    pub proposed_at: Timestamp,
    /// The operations, in order.
    pub requests: Vec<Request>,
}

/// One operation of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What makes it repeatable; internal operations that are safe to repeat have none.
    pub key: Option<RequestKey>,
    /// What is to be done.
    pub operation: Operation,
}

/// Identifies a request, so that one tried again gives the first result (rule P3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestKey {
    /// The client's session.
    pub session: SessionId,
    /// The number of the operation within the session, from 1.
    pub sequence: u64,
    /// Every result below this number has reached the client and need not be remembered.
    pub low_water: u64,
}

/// What can be done to the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Opens a session. Gives [`Outcome::Session`].
    OpenSession {
        /// Whose it is, for the audit log and for people.
        label: String,
    },
    /// Ends a session; blocks that it cut and never published become orphans (rule P10).
    CloseSession {
        /// Which.
        session: SessionId,
    },
    /// Says that every block of the session below the mark is published or given up for good (rule P10).
    RaiseBlockMark {
        /// Whose.
        session: SessionId,
        /// The new mark; a lower one than before changes nothing.
        mark: u64,
    },
    /// A change of the file system.
    Change(Change),
    /// A change of the cluster's own records.
    Register(Registration),
    /// A step of a backup job.
    Job(JobOperation),
    /// Counts a tick, by which leases and quarantines are measured (rule P2). Gives [`Outcome::Done`].
    Tick {
        /// The count that whoever proposes it has seen for a whole period. Nothing happens if it is another by now, so
        /// two that propose the same tick count it once, and no two ticks are closer than a period.
        after: u64,
    },
    /// Counts steady time, by which the leaders' clocks are judged (rule P2). Gives [`Outcome::Done`].
    CountTime {
        /// What was counted before, as a point in state time. Nothing happens if it is another by now.
        after: Timestamp,
        /// For how long whoever proposes it has seen that on his own steady clock: so much has passed for sure.
        length_ms: u32,
    },
    /// Takes a jump of the leaders' clocks that an admin has looked at (rule P2). Gives [`Outcome::Done`], also if there
    /// is none to take.
    AcceptTime {
        /// The time that he was shown: a clock that shows a much later one by now is not believed after all.
        shown: Timestamp,
    },
    /// A change of the quotas.
    Quota(QuotaOperation),
}

/// A change of the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes a file of any kind with its attributes and content. Gives [`Outcome::Inode`].
    Create(Create),
    /// Adds a name for a LIN that is no directory. Gives [`Outcome::Inode`].
    Link {
        /// The LIN.
        lin: Lin,
        /// The directory of the new name.
        parent: Lin,
        /// The new name.
        name: Name,
    },
    /// Removes a name, and with the last one the file. Gives [`Outcome::Done`].
    Remove {
        /// The directory.
        parent: Lin,
        /// The name.
        name: Name,
        /// What the caller expects to remove.
        expect: Removal,
    },
    /// Moves a name. Gives [`Outcome::Done`].
    Rename(Rename),
    /// Sets attributes; a smaller size truncates, a larger one leaves a hole. Gives [`Outcome::Inode`].
    SetAttributes {
        /// The LIN.
        lin: Lin,
        /// What to set.
        changes: AttributeChanges,
    },
    /// Sets an extended attribute. Gives [`Outcome::Done`].
    SetXattr {
        /// The LIN.
        lin: Lin,
        /// Its name, with the namespace prefix (`user.`, `trusted.`, …).
        name: Bytes,
        /// Its value.
        value: Bytes,
        /// Whether it may or must exist.
        mode: XattrMode,
    },
    /// Removes an extended attribute. Gives [`Outcome::Done`].
    RemoveXattr {
        /// The LIN.
        lin: Lin,
        /// Its name.
        name: Bytes,
    },
    /// Replaces ranges of a file by published extents, or its whole content by inline bytes. Gives [`Outcome::Inode`].
    Write {
        /// The file.
        lin: Lin,
        /// The new content. Extents replace what they cover and leave the rest; inline bytes replace everything.
        content: Content,
        /// The new modification time; state time if there is none.
        mtime: Option<Timestamp>,
    },
    /// Takes a snapshot. Gives [`Outcome::Snapshot`].
    CreateSnapshot {
        /// Its name.
        name: String,
    },
    /// Marks a snapshot as dying; refused while it is pinned. Gives [`Outcome::Done`].
    DeleteSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Drops at most so many rows of a dying snapshot. Gives [`Outcome::Remaining`]; 0 when the snapshot is gone.
    DropStep {
        /// Which.
        snapshot: SnapshotId,
        /// The bound, at most 10⁴ (rule P8).
        rows_max: u32,
    },
    /// Says that a holder has taken freed copies out of use (rule P9). Gives [`Outcome::Done`].
    AcknowledgeFreed {
        /// The holder.
        node: NodeId,
        /// The blocks.
        blocks: Vec<crate::BlockId>,
    },
    /// Makes a range of a file a hole, from its front on and as far as one operation may go: it is said again for the
    /// end that is left. Gives [`Outcome::Remaining`]: how many bytes that end has.
    ClearRange {
        /// The file.
        lin: Lin,
        /// The first byte.
        offset: u64,
        /// How many bytes; those behind the end of the file are none.
        length: u64,
        /// What becomes of the file's length.
        clearing: Clearing,
        /// The new modification time; state time if there is none.
        mtime: Option<Timestamp>,
    },
    /// Lets a range of a file share the blocks of another range, from its front on and as far as one operation may go: it
    /// is said again for the end that is left. Gives [`Outcome::Remaining`]: how many bytes that end has.
    Clone(CloneRange),
}

/// A file of any kind to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
    /// What is made.
    pub inode: NewInode,
    /// Whether an existing non-directory of that name is atomically replaced; else the call is refused.
    pub replace: bool,
}

/// What a new inode has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInode {
    /// Its kind.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access; state time if there is none.
    pub atime: Option<Timestamp>,
    /// Last change of the content; state time if there is none.
    pub mtime: Option<Timestamp>,
    /// The target, of a symbolic link alone.
    pub target: Bytes,
    /// Extended attributes: names with their values.
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// The content of a file, or the device that a special file stands for; of others [`Content::Empty`].
    pub content: Content,
    /// The length of a file; what no extent covers is a hole.
    pub size: u64,
}

/// The content of a file, or of ranges of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Nothing: a hole over the whole length.
    Empty,
    /// At most [`crate::INLINE_LENGTH_MAX`] bytes, kept in the inode.
    Inline(Bytes),
    /// Ranges of blocks, sorted by offset, without overlap.
    Extents(Vec<NewExtent>),
    /// No bytes at all: the device that a special file stands for.
    Device(Device),
}

/// What a removal expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Anything but a directory, as `unlink` does.
    NotDirectory,
    /// An empty directory, as `rmdir` does.
    Directory,
}

/// A move of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The directory that it is moved from.
    pub from_parent: Lin,
    /// The old name.
    pub from_name: Name,
    /// The directory that it is moved to.
    pub to_parent: Lin,
    /// The new name.
    pub to_name: Name,
    /// What to do if the new name is taken.
    pub mode: RenameMode,
}

/// What a rename does if the new name is taken (`renameat2` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RenameMode {
    /// Replaces what POSIX lets `rename` replace.
    Replace,
    /// Is refused (`RENAME_NOREPLACE`).
    NoReplace,
    /// Exchanges the two names, both of which must be there (`RENAME_EXCHANGE`).
    Exchange,
}

/// Whether an extended attribute may or must exist (`setxattr` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum XattrMode {
    /// Made or replaced.
    Any,
    /// Made; refused if it is there.
    Create,
    /// Replaced; refused if it is not there.
    Replace,
}

/// A change of the cluster's own records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Registration {
    /// Adds a node; its number is the revision of this operation, so it is never reused. Gives [`Outcome::Node`].
    /// One that is tried again with the same key fingerprint gives the first number.
    AddNode(NewNode),
    /// A process started on the node. Gives [`Outcome::Incarnation`].
    StartNode {
        /// The node.
        node: NodeId,
        /// Where it is reached now.
        address: String,
    },
    /// Makes the first pool: placement groups over the volumes of the given nodes. Gives [`Outcome::Done`]; nothing
    /// happens if there is a pool.
    FormPool {
        /// Copies of every block.
        replicas: u16,
        /// How many placement groups.
        groups: u32,
        /// The nodes, each with at least one volume.
        nodes: Vec<NodeId>,
    },
    /// Adds a site whose repository has been made. Gives [`Outcome::Site`].
    AddSite(Site),
    /// Removes a site that no policy uses. Gives [`Outcome::Done`].
    RemoveSite {
        /// Which.
        site: SiteId,
    },
    /// Says that the recovery kit of a site was exported. Gives [`Outcome::Done`].
    KitExported {
        /// Which.
        site: SiteId,
    },
    /// Makes a policy and its backup set. Gives [`Outcome::Policy`].
    CreatePolicy {
        /// Its name.
        name: String,
        /// The roots of its set; they must exist.
        roots: Vec<Root>,
        /// Where its backups go.
        site: SiteId,
    },
    /// Deletes a policy that has no open job, and unpins its base. Backups stay. Gives [`Outcome::Done`].
    DeletePolicy {
        /// Which.
        policy: crate::PolicyId,
    },
}

/// A node that joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNode {
    /// `host:port` at which it is reached.
    pub address: String,
    /// Its volumes.
    pub volumes: Vec<VolumeId>,
    /// SHA-256 of its certificate's public key, in hex.
    pub key_fingerprint: String,
}

/// A step of a backup job. All but the first name the fence of the job's owner; an older one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobOperation {
    /// Starts a job: gives it an epoch and a fence, takes its snapshot and pins it. Refused while the policy has an
    /// open job (rule P20), and before the recovery kit of its site was exported (rule P28). Gives [`Outcome::Job`].
    Start {
        /// The policy.
        policy: crate::PolicyId,
        /// The node that is to own the job.
        coordinator: NodeId,
        /// What becomes of it if its set shrank.
        shrinkage: crate::Shrinkage,
    },
    /// Gives an open job to another node under the next fence. Gives [`Outcome::Job`].
    Take {
        /// The job.
        job: JobId,
        /// The fence of the owner before, as the caller knows it.
        fence: Fence,
        /// The new owner.
        coordinator: NodeId,
    },
    /// Notes an object that is in the repository. Noting it again changes nothing. Gives [`Outcome::Done`].
    Report {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
        /// The object.
        object: ObjectReport,
    },
    /// Notes progress. Gives [`Outcome::Done`].
    Progress {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
        /// What it did so far.
        totals: JobTotals,
    },
    /// All objects are reported: from now on no more are. Gives [`Outcome::Job`].
    Seal {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
    },
    /// Fixes name and bytes of the commit. Refused unless its base is the policy's last commit at the site, its parent
    /// the site's head, and no other commit is pending there (rules P20 and P22). Gives [`Outcome::Job`].
    FixCommit {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
        /// The commit on which this one builds; `None` for the repository's first.
        parent: Option<u64>,
        /// Name and bytes.
        ticket: CommitTicket,
    },
    /// The commit has been put and read back: it becomes the site's head, and the job's snapshot the policy's base.
    /// Gives [`Outcome::Job`].
    Confirm {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
    },
    /// Ends a job whose commit is not fixed. Gives [`Outcome::Job`].
    Fail {
        /// The job.
        job: JobId,
        /// The owner's fence.
        fence: Fence,
        /// Why.
        reason: String,
    },
    /// An admin ends a job whose commit is not fixed, whoever owns it. Gives [`Outcome::Job`].
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Forgets some objects of a job that has ended: the commit names them, or nobody does. Gives
    /// [`Outcome::Remaining`].
    ForgetObjects {
        /// The job.
        job: JobId,
        /// At most so many objects.
        rows_max: u32,
    },
}

/// What an operation that was carried out gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Nothing but that it is done.
    Done,
    /// The new session.
    Session(SessionId),
    /// The inode as it is after the operation.
    Inode(Attributes),
    /// The new snapshot.
    Snapshot(Snapshot),
    /// How much is left to do: 0 or 1 and more.
    Remaining(u64),
    /// The node.
    Node(Node),
    /// The number of the process.
    Incarnation(Incarnation),
    /// The site with its number.
    Site(Site),
    /// The policy.
    Policy(Policy),
    /// The job as it is after the operation.
    Job(Job),
}

impl Site {
    /// A site as `AddSite` takes it: its number and state are given by the state machine.
    #[must_use]
    pub fn proposed(name: String, url: String, repository: RepositoryId, generation: Generation) -> Self {
        Self {
            id: SiteId(0),
            name,
            url,
            organisation: String::new(),
            location: String::new(),
            repository,
            generation,
            data_key_public: [0; 32],
            keys_fingerprint: [0; 32],
            state: crate::SiteState::default(),
        }
    }
}
