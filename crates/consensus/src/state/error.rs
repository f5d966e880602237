//! Why the state store failed.

use std::path::PathBuf;

use namespace::StoreError;
use runtime::FileError;
use thiserror::Error;
use types::ErrorKind;

/// Why the state store failed.
#[derive(Debug, Error)]
pub enum StateError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pointer to the current store is not one.
    #[error("{} does not name a state store", path.display())]
    Pointer {
        /// The pointer.
        path: PathBuf,
    },
    /// An entry carries something else than a batch.
    #[error("entry {index} carries no batch of a version that this program knows")]
    Payload {
        /// The entry.
        index: u64,
    },
    /// What the store keeps for consensus is not what consensus wrote.
    #[error("the state store's own place in the log is damaged")]
    Position,
    /// A copy was taken once and asked for twice.
    #[error("the copy of the state was handed out already")]
    CopyTaken,
    /// A received state is not the one that was announced.
    #[error("the received state ends at entry {found:?}, not at entry {announced:?}")]
    WrongState {
        /// The last entry in it.
        found: Option<u64>,
        /// The last entry that was announced.
        announced: Option<u64>,
    },
    /// A part of a received state is not what was announced.
    #[error("a part of the received state {file:?} is damaged or out of place")]
    Chunk {
        /// The file.
        file: String,
    },
}

impl StateError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::File(_) => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
            Self::Payload { .. } => ErrorKind::Unsupported,
            Self::CopyTaken => ErrorKind::Internal,
            Self::Pointer { .. } | Self::Position | Self::WrongState { .. } | Self::Chunk { .. } => ErrorKind::Corrupt,
        }
    }
}

impl From<StateError> for std::io::Error {
    fn from(error: StateError) -> Self {
        Self::other(error)
    }
}
