//! A lock that tells two processes apart.

use std::path::PathBuf;

use thiserror::Error;

use crate::FileError;

/// The hold on a locked file; dropping it, or the end of the process, lets it go.
#[derive(Debug)]
#[must_use = "dropping it lets the lock go"]
pub struct LockGuard {
    pub(crate) _file: std::fs::File,
}

/// A file could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("{} is locked: another process uses this folder", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The file could not be opened or locked.
    #[error(transparent)]
    File(#[from] FileError),
}
