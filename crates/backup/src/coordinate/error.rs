//! Why the owner of a job could not go on.

use namespace::{Failure, StoreError};
use repo::RepoError;
use runtime::FileError;
use site::SiteError;
use thiserror::Error;
use types::{ErrorKind, Lin, RepositoryId, SiteId};

use super::Finding;
use crate::OpenError;
use crate::plan::{PlanError, UnitName};
use crate::surroundings::StateError;

/// Why the owner of a job could not go on.
#[derive(Debug, Error)]
pub enum OwnError {
    /// There is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The state cannot be read.
    #[error("cannot read the state: {0}")]
    Read(#[from] Failure),
    /// A step was not taken.
    #[error(transparent)]
    State(#[from] StateError),
    /// The repository cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site is not there, or is another one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The list of units cannot be made.
    #[error("cannot make the list of work units: {0}")]
    Spool(#[from] FileError),
    /// The keystore lacks the repository's keys.
    #[error("this node has no keys for repository {repository}")]
    NoKeys {
        /// The repository.
        repository: RepositoryId,
    },
    /// No node that is there can use the site.
    #[error(
        "no node that is there can use site {site:?}, which should hold repository {repository}: {}; mount there what \
         belongs there, and run the backup again",
        findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    NoWay {
        /// The site's name.
        site: String,
        /// Its repository.
        repository: RepositoryId,
        /// What each node found.
        findings: Vec<Finding>,
    },
    /// No node's keystore has the repository's keys.
    #[error("no node has the keys of site {site}: its backups cannot go on, adopt its repository by a recovery kit")]
    NoKeysAnywhere {
        /// The site.
        site: SiteId,
    },
    /// Workers failed with a unit again and again.
    #[error("workers fail again and again with work unit {unit}: {reason}")]
    HopelessUnit {
        /// The unit.
        unit: UnitName,
        /// What one of them said.
        reason: String,
    },
    /// Most of what the last backup had is gone (rule P17).
    #[error(
        "the set of policy {policy:?} shrank from {before} to {now} files, directories and links since its last backup: \
         if that is meant, run `holdfast backup run {policy} --accept-shrunk`"
    )]
    Shrunk {
        /// The policy's name.
        policy: String,
        /// LINs in the set at the base.
        before: u64,
        /// LINs in the set now.
        now: u64,
    },
    /// A root is in no directory by now, so that nothing could be restored to its path.
    #[error(
        "root {lin} of the set has no path in the file system any more (it was {path:?}): make a policy without it"
    )]
    NoRootPath {
        /// The root.
        lin: Lin,
        /// Its path, as far as it is known.
        path: String,
    },
    /// The newest commit at the site does not open, so that none can build on it.
    #[error(
        "the newest commit at site {site} cannot be read: {source}; put it back from a copy of the site, or take it away \
         if no backup of this cluster has put it there"
    )]
    DamagedHead {
        /// The site's name.
        site: String,
        /// What is wrong with the commit.
        source: RepoError,
    },
    /// The newest commit at the site is not the one that the cluster knows (rule P21).
    #[error(
        "the newest commit at site {site} is {found}, but this cluster knows {known}: another cluster wrote there, or \
         this one was set back; adopt the repository before the next backup"
    )]
    StrangeHead {
        /// The site's name.
        site: String,
        /// The commit at the site.
        found: String,
        /// The commit that the cluster knows.
        known: String,
    },
}

impl From<StoreError> for OwnError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

impl OwnError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Plan(error) => error.kind(),
            Self::Read(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::Repository(error) | Self::DamagedHead { source: error, .. } => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Spool(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::Spool(_) => ErrorKind::Unavailable,
            Self::NoKeys { .. } | Self::NoKeysAnywhere { .. } => ErrorKind::Denied,
            Self::NoRootPath { .. } => ErrorKind::NotFound,
            Self::NoWay { .. } => ErrorKind::Unavailable,
            Self::HopelessUnit { .. } => ErrorKind::Internal,
            Self::Shrunk { .. } | Self::StrangeHead { .. } => ErrorKind::Conflict,
        }
    }

    /// Whether another node may do better: this one cannot use the site.
    #[must_use]
    pub fn is_of_the_way(&self) -> bool {
        match self {
            Self::Open(_) => true,
            Self::Site(error) | Self::Repository(RepoError::Site(error)) => {
                matches!(error, SiteError::Replaced { .. })
                    || matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Denied)
            }
            _ => false,
        }
    }

    /// What this node found, to be told beside what other nodes found.
    pub(super) fn finding(&self) -> String {
        if let Self::Open(error) = self { error.finding() } else { self.to_string() }
    }

    /// Whether the cluster did not answer: the job is as it was, and its owner begins again later.
    #[must_use]
    pub const fn is_of_the_cluster(&self) -> bool {
        matches!(self, Self::State(StateError::Unavailable { .. } | StateError::Read(_)))
    }
}
