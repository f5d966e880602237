//! Operations on the replicated state, and what they give back.
//!
//! An operation carries everything that its application needs: times and identifiers come in with it, because the state
//! machine has neither clock nor randomness. Its revision is its place in the log.

use serde::{Deserialize, Serialize};

use crate::{
    Attributes, Change, CommitTicket, Fence, Generation, Incarnation, Job, JobId, JobTotals, Node, NodeId,
    ObjectReport, Policy, QuotaOperation, RepositoryId, Root, SessionId, Site, SiteId, Snapshot, Timestamp, VolumeId,
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
    /// Ends a session; blocks that it cut and never published become orphans (rule P10), and it holds no file any more. If
    /// it held many, some are left: it is ended again for them.
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
