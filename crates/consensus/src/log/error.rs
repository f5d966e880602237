//! Why the log failed.

use std::path::PathBuf;

use runtime::FileError;
use thiserror::Error;
use types::ErrorKind;

/// Why the log failed.
#[derive(Debug, Error)]
pub enum LogError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] FileError),
    /// Bytes that were durable are not what was written.
    #[error("{} is damaged at byte {offset}, in a part that was synced: restore this node from the others", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where the damage begins.
        offset: u64,
    },
    /// A file is not what its name says.
    #[error("{} is not a {what} of the log, or of a version that this program does not know", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// A segment between two others is missing.
    #[error("the log has a gap: {} does not begin after entry {expected}", path.display())]
    Gap {
        /// The segment after the gap.
        path: PathBuf,
        /// The last entry before the gap.
        expected: u64,
    },
    /// An entry that should be there is not.
    #[error("entry {index} is missing")]
    Missing {
        /// The entry.
        index: u64,
    },
    /// An entry does not follow the last one.
    #[error("entry {given} cannot follow entry {last:?}")]
    NotConsecutive {
        /// The entry.
        given: u64,
        /// The last entry.
        last: Option<u64>,
    },
    /// An entry is larger than the log takes.
    #[error("entry {index} has {bytes} bytes, more than the log takes")]
    TooLarge {
        /// The entry.
        index: u64,
        /// Its length.
        bytes: usize,
    },
    /// An earlier error left the log in an unknown state; it has to be opened again.
    #[error("the log takes no more writes since it failed: {reason}")]
    Failed {
        /// The first error.
        reason: String,
    },
    /// The log's writer has ended.
    #[error("the log is closed")]
    Closed,
}

impl LogError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::File(_) | Self::Failed { .. } | Self::Closed => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Gap { .. } | Self::Missing { .. } => ErrorKind::Corrupt,
            Self::Foreign { .. } => ErrorKind::Unsupported,
            Self::NotConsecutive { .. } | Self::TooLarge { .. } => ErrorKind::Internal,
        }
    }
}

impl From<LogError> for std::io::Error {
    fn from(error: LogError) -> Self {
        Self::other(error)
    }
}
