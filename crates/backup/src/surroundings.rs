//! What a backup needs from the node that it runs in.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use namespace::{Failure, StoreError, View};
use repo::WriterKeys;
use runtime::{Clock, Files, Seed};
use site::{Retry, Site, SiteError};
use thiserror::Error;
use types::{ErrorKind, Extent, Incarnation, JobOperation, NodeId, OperationError, Outcome, RepositoryId};

use crate::work::{Pull, Pulled, Report};
use crate::{BackupMetrics, Options};

/// The replicated state, as jobs see it.
pub trait State: Send + Sync + 'static {
    /// Takes a step of a job.
    fn propose(&self, step: JobOperation) -> BoxFuture<'_, Result<Outcome, StateError>>;

    /// A state that holds everything that was answered before the call, wherever it was proposed (rule P4).
    ///
    /// The owner of a job decides by this one alone: its own node may not have applied yet what the leader has answered,
    /// and an object that it does not see would be missing from the backup without a word.
    fn latest(&self) -> BoxFuture<'_, Result<View, StateError>>;

    /// What this node has applied so far.
    ///
    /// # Errors
    /// The state cannot be read.
    fn view(&self) -> Result<View, StateError>;

    /// Whether this node leads, and so watches over the owners of jobs.
    fn is_leader(&self) -> bool;
}

/// Why a step was not taken.
#[derive(Debug, Error)]
pub enum StateError {
    /// The state machine refused it.
    #[error(transparent)]
    Refused(#[from] OperationError),
    /// It is not known whether it was taken: there was no leader, or its answer was lost.
    #[error("the cluster did not answer: {source}")]
    Unavailable {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is larger than an entry of the log may be, and so can never be taken.
    #[error(
        "a step of the job does not fit into the cluster's log: {source}; the repository has too many parts for this \
         release, add a new site and back up there"
    )]
    TooLarge {
        /// How large it is.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state cannot be read.
    #[error("cannot read the state: {0}")]
    Read(#[from] StoreError),
}

impl StateError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::InvalidRequest,
            Self::Read(error) => error.kind(),
        }
    }
}

impl From<Failure> for StateError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => Self::Refused(error),
            Failure::Store(error) => Self::Read(error),
        }
    }
}

/// The other nodes.
pub trait Peers: Send + Sync + 'static {
    /// Asks the owner of a job for a unit.
    fn pull(&self, owner: NodeId, pull: Pull) -> BoxFuture<'_, Result<Pulled, PeerError>>;

    /// Reports to the owner of a job.
    fn report(&self, owner: NodeId, report: Report) -> BoxFuture<'_, Result<(), PeerError>>;

    /// Whether a node has the keys of a site's repository, with the fingerprint that the site's record names.
    fn has_keys(&self, node: NodeId, site: types::Site) -> BoxFuture<'_, Result<bool, PeerError>>;

    /// Why a node cannot use a site; `None` if it can.
    fn site_problem(&self, node: NodeId, site: types::Site) -> BoxFuture<'_, Result<Option<String>, PeerError>>;

    /// Whether a node is there, as far as this one can tell: one that was silent for some seconds is not.
    fn is_alive(&self, node: NodeId) -> bool;
}

/// Why a node did not do what it was asked.
#[derive(Debug, Error)]
#[error("node {node} did not answer: {reason}")]
pub struct PeerError {
    /// The node.
    pub node: NodeId,
    /// What can be done about it. A node that does not own the job, or not under that fence, answers `Conflict`.
    pub kind: ErrorKind,
    /// What it says.
    pub reason: String,
}

/// Blocks, wherever they are.
pub trait BlockSource: Send + Sync + 'static {
    /// Reads the stored frames of an extent's block: from this node's disks if it is there, else from another holder.
    fn read(&self, extent: &Extent) -> BoxFuture<'_, Result<Bytes, BlockReadError>>;
}

/// Why a block could not be read from any of its holders.
#[derive(Debug, Error)]
#[error("block {block} cannot be read from any of its holders: {reason}")]
pub struct BlockReadError {
    /// The block.
    pub block: types::BlockId,
    /// What can be done about it.
    pub kind: ErrorKind,
    /// What the holders say.
    pub reason: String,
}

/// The keys of repositories, as this node's keystore has them.
pub trait Keys: Send + Sync + 'static {
    /// The keys with which a node writes; `None` if the keystore lacks them, and the node takes no part (rule P32).
    fn writer_keys(&self, repository: RepositoryId) -> Option<WriterKeys>;
}

/// The sites, with this node's credentials.
pub trait Sites: Send + Sync + 'static {
    /// Opens a site by its record.
    ///
    /// # Errors
    /// Its URL is not one, or its folder is not there.
    fn open(&self, site: &types::Site) -> Result<Site, SiteError>;
}

/// All of it.
#[derive(Clone)]
pub struct Surroundings {
    /// This node.
    pub node: NodeId,
    /// This process.
    pub incarnation: Incarnation,
    /// The replicated state.
    pub state: Arc<dyn State>,
    /// The other nodes.
    pub peers: Arc<dyn Peers>,
    /// Blocks.
    pub blocks: Arc<dyn BlockSource>,
    /// Keys.
    pub keys: Arc<dyn Keys>,
    /// Sites.
    pub sites: Arc<dyn Sites>,
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub seed: Seed,
    /// The disk.
    pub files: Files,
    /// What is counted.
    pub metrics: BackupMetrics,
    /// The folder for lists of units; what is in it can be lost.
    pub folder: PathBuf,
}

impl Surroundings {
    /// The keys of a site's repository; `None` if the keystore lacks them, or has others than the site's (rule P32).
    pub(crate) fn writer_keys(&self, site: &types::Site) -> Option<WriterKeys> {
        let keys = self.keys.writer_keys(site.repository)?;
        if keys.fingerprint() == site.keys_fingerprint {
            return Some(keys);
        }
        tracing::warn!(site = %site.name, "the keys in the keystore are not those of the site, and are not used");
        None
    }

    /// A site whose requests end in time and are tried again, as the options say.
    pub(crate) fn steady(&self, site: &Site, options: &Options) -> Site {
        site.steady(options.request_deadline, options.retry(&self.clock))
    }

    /// A site whose requests end in time.
    pub(crate) fn in_time(&self, site: &Site, options: &Options) -> Site {
        site.steady(options.request_deadline, Retry::new(&self.clock, 0, options.retry_first))
    }
}
