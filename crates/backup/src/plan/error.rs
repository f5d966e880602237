//! Why there is no plan.

use namespace::{Failure, StoreError};
use runtime::FileError;
use thiserror::Error;
use types::{ErrorKind, Lin};

/// Why there is no plan for a job.
#[derive(Debug, Error)]
pub enum PlanError {
    /// A root of the backup set is gone (rule P17): a backup without it would look like one in which all was deleted.
    #[error("the root {path} (inode {lin}) of the backup set is not in the snapshot: restore it, or make a new policy")]
    MissingRoot {
        /// The root.
        lin: Lin,
        /// The path that it had when the policy was made.
        path: String,
    },
    /// The tree cannot be read.
    #[error("cannot read the tree: {0}")]
    Tree(#[from] Failure),
    /// The spool of units cannot be written or read.
    #[error("cannot use the list of work units: {0}")]
    Spool(#[from] FileError),
    /// A unit in the spool is not what was written.
    #[error("the list of work units is damaged at byte {offset}")]
    Damaged {
        /// Where.
        offset: u64,
    },
    /// The job was stopped while the plan was made.
    #[error("the job was stopped")]
    Stopped,
}

impl From<StoreError> for PlanError {
    fn from(error: StoreError) -> Self {
        Self::Tree(error.into())
    }
}

impl PlanError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::MissingRoot { .. } => ErrorKind::NotFound,
            Self::Tree(failure) => failure.kind(),
            Self::Spool(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::Spool(_) | Self::Stopped => ErrorKind::Unavailable,
            Self::Damaged { .. } => ErrorKind::Corrupt,
        }
    }
}
