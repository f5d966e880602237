//! Why a restore could not be planned or had to stop.

use repo::RepoError;
use runtime::FileError;
use thiserror::Error;
use types::{ErrorKind, NameError};

use crate::TargetError;

/// Why a restore could not be planned, or had to stop. What concerns single files is in the report instead.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The target cannot be written at all.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The backup has no such path.
    #[error("the backup has no {path}: `holdfast repo ls` shows what it has")]
    NoPath {
        /// The path.
        path: String,
    },
    /// The text is not a path.
    #[error("{path:?} is not a path: {source}")]
    NotAPath {
        /// The text.
        path: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// The list of names does not fit in memory, and the folder for it cannot be used.
    #[error("cannot keep the list of names: {0}")]
    Spool(#[from] FileError),
}

impl RestoreError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Repository(error) => error.kind(),
            Self::Target(error) => error.kind(),
            Self::NoPath { .. } => ErrorKind::NotFound,
            Self::NotAPath { .. } => ErrorKind::InvalidRequest,
            Self::Spool(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::Spool(_) => ErrorKind::Unavailable,
        }
    }
}
