//! Why a worker stopped.

use namespace::Failure;
use site::SiteError;
use thiserror::Error;
use types::{ErrorKind, Lin};

use crate::OpenError;
use crate::pack::PackError;
use crate::surroundings::{BlockReadError, PeerError, StateError};

/// Why a worker stopped before its job's end.
#[derive(Debug, Error)]
pub enum WorkError {
    /// The tree cannot be read.
    #[error("cannot read the tree: {0}")]
    Tree(#[from] Failure),
    /// The state cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A part of a file cannot be read.
    #[error("cannot read {path} (LIN {lin}) from offset {offset}: {source}")]
    Block {
        /// A path of the file in the job's snapshot.
        path: String,
        /// The file.
        lin: Lin,
        /// Where the part begins, in bytes.
        offset: u64,
        /// Why not.
        source: BlockReadError,
    },
    /// What is stored of a file is damaged.
    #[error("{path}: {source}")]
    Damaged {
        /// A path of the file in the job's snapshot.
        path: String,
        /// What is damaged.
        source: PackError,
    },
    /// Something cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The site is not there, or is another one.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The owner of the job refuses what it is told.
    #[error(transparent)]
    Owner(#[from] PeerError),
    /// Another part of the worker stopped first.
    #[error("the worker was stopped")]
    Stopped,
}

impl WorkError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Tree(failure) => failure.kind(),
            Self::State(error) => error.kind(),
            Self::Block { source, .. } => source.kind,
            Self::Pack(error) | Self::Damaged { source: error, .. } => error.kind(),
            Self::Site(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Owner(error) => error.kind,
            Self::Stopped => ErrorKind::Unavailable,
        }
    }
}
