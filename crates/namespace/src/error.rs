//! What can go wrong in the store, kept apart from what the replicated state refuses.

use thiserror::Error;
use types::{ErrorKind, OperationError};

/// A failure of the store itself. After one in `apply` the process must stop: the state is behind its log.
#[derive(Debug, Error)]
pub enum StoreError {
    /// RocksDB failed.
    #[error("{step} of the state store failed")]
    Database {
        /// What was being done.
        step: &'static str,
        /// What RocksDB says.
        #[source]
        source: rocksdb::Error,
    },
    /// A key or a row is not what this program writes.
    #[error("the state store is damaged: {family} row {key}: {reason}")]
    Corrupt {
        /// The column family.
        family: &'static str,
        /// The key in hexadecimal digits.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// The store was written in a format that this program does not know.
    #[error("the state store has format {found}; this program knows {known}: run the release that wrote it")]
    Unsupported {
        /// The store's format.
        found: u32,
        /// The newest format that is known.
        known: u32,
    },
    /// A log entry was applied before.
    #[error("log entry {index} comes after entry {applied} was applied")]
    OutOfOrder {
        /// The entry's index.
        index: u64,
        /// The last index that was applied.
        applied: u64,
    },
    /// A write failed before, so nothing is applied until the store is opened again.
    #[error("the state store stopped after a failed write: open it again")]
    Stopped,
}

impl StoreError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Database { .. } | Self::Stopped => ErrorKind::Unavailable,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::OutOfOrder { .. } => ErrorKind::Internal,
        }
    }

    /// Names the row whose bytes are wrong.
    pub(crate) fn corrupt(family: &'static str, key: &[u8], reason: impl ToString) -> Self {
        let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::Corrupt { family, key, reason: reason.to_string() }
    }
}

/// Why a read or an operation gave no result.
#[derive(Debug, Error)]
pub enum Failure {
    /// The state does not have or does not allow it.
    #[error(transparent)]
    Refused(#[from] OperationError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Failure {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
}
