//! Sites, policies and jobs as the cluster's state knows them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Epoch, Fence, Generation, JobId, Lin, NodeId, PolicyId, RepositoryId, SetId, SiteId, SnapshotId, Timestamp,
};

/// A place that keeps backups, and the repository there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its number.
    pub id: SiteId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// Where it is: `file:///path` (object stores later).
    pub url: String,
    /// The organisation that runs it.
    pub organisation: String,
    /// Where it stands.
    pub location: String,
    /// The repository at the site.
    pub repository: RepositoryId,
    /// The number of this cluster as the repository's owner.
    pub generation: Generation,
    /// The public half of the repository's data key (X25519).
    pub data_key_public: [u8; 32],
    /// BLAKE3 of the metadata and digest keys, so that a node can tell whether its keystore has the right ones.
    pub keys_fingerprint: [u8; 32],
    /// Numbers given out and the newest commit.
    pub state: SiteState,
}

/// What changes at a site with each job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteState {
    /// The last epoch given to a job.
    pub epoch: Epoch,
    /// The last fence given to an owner of a job.
    pub fence: Fence,
    /// The newest commit that is known to be in the repository.
    pub head: Option<CommitReference>,
    /// The commit whose name and bytes are fixed and which is not confirmed yet; it is never given up (rule P22).
    pub pending: Option<JobId>,
    /// Whether the recovery kit was exported: before that, no backup starts (rule P28).
    pub kit_exported: bool,
}

/// A commit in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReference {
    /// Its number: one more than its parent's.
    pub number: u64,
    /// Its object's name within the repository.
    pub name: String,
}

/// What to back up, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its number.
    pub id: PolicyId,
    /// Its name, unique in the cluster.
    pub name: String,
    /// The backup set; it belongs to this policy alone (rule P20).
    pub set: SetId,
    /// The roots of the set.
    pub roots: Vec<Root>,
    /// Where the backups go.
    pub site: SiteId,
    /// The last epoch that this policy committed at its site.
    pub base: Option<Epoch>,
    /// The snapshot of that epoch, pinned (rule P18).
    pub base_snapshot: Option<SnapshotId>,
    /// Files, directories and links in the set at that epoch; the next run tells by it how far the set has shrunk.
    pub base_lins: u64,
}

/// One root of a backup set: a LIN, shown as the path by which the admin named it (rule P17).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The directory or file.
    pub lin: Lin,
    /// The path that it had when the policy was made.
    pub path: String,
}

/// A backup job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The policy that it runs.
    pub policy: PolicyId,
    /// The site that it writes to.
    pub site: SiteId,
    /// The backup set.
    pub set: SetId,
    /// The number of the backup that it makes.
    pub epoch: Epoch,
    /// The number of its owner.
    pub fence: Fence,
    /// The node that owns it.
    pub coordinator: NodeId,
    /// What it backs up.
    pub snapshot: SnapshotId,
    /// The epoch that it builds on; `None` takes everything.
    pub base: Option<Epoch>,
    /// The snapshot of that epoch.
    pub base_snapshot: Option<SnapshotId>,
    /// What becomes of it if its set shrank.
    pub shrinkage: Shrinkage,
    /// How far it is.
    pub phase: JobPhase,
    /// What it did so far.
    pub totals: JobTotals,
    /// State time of its start.
    pub started: Timestamp,
    /// State time of its end.
    pub finished: Option<Timestamp>,
}

/// What becomes of a job whose set shrank by more than a set share since its base (rule P17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shrinkage {
    /// It fails before its commit: what is gone may be gone by mistake.
    #[default]
    Refuse,
    /// It goes on: an admin has said that it is meant.
    Accept,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobPhase {
    /// Work units are found, packed and uploaded.
    Packing,
    /// All objects are uploaded and the epoch's runs are being made.
    Coalescing,
    /// Name and bytes of the commit are fixed; it has to be put and confirmed.
    Committing(CommitTicket),
    /// The commit is in the repository.
    Succeeded(CommitReference),
    /// It ended without a commit, for this reason.
    Failed(String),
    /// An admin ended it.
    Cancelled,
}

/// A commit whose name and bytes Raft has fixed (rule P22).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitTicket {
    /// Number and name.
    pub commit: CommitReference,
    /// The sealed bytes: every owner of the job puts exactly these.
    pub bytes: Bytes,
}

/// What a job did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTotals {
    /// LINs that the change index nominated.
    pub lins_nominated: u64,
    /// Files, directories and links whose rows went into the epoch.
    pub lins_changed: u64,
    /// Files, directories and links in the set, known once the plan is complete.
    pub lins_in_set: u64,
    /// Plain bytes of the blocks that were packed.
    pub bytes_plain: u64,
    /// Bytes of the upload objects.
    pub bytes_uploaded: u64,
    /// Upload objects.
    pub objects: u64,
    /// Work units that are done.
    pub units_done: u64,
    /// Work units in all.
    pub units: u64,
    /// Plain bytes by the node that packed them.
    pub bytes_by_node: Vec<(NodeId, u64)>,
}

/// An upload object that is in the repository, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectReport {
    /// Its name within the repository.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of the whole object.
    pub hash: [u8; 32],
    /// Who made it.
    pub node: NodeId,
    /// Plain bytes of the blocks in it.
    pub bytes_plain: u64,
    /// The work units that are complete once this object is reported, by their names.
    pub units: Vec<String>,
}
