//! What a restore did.

use std::sync::atomic::{AtomicU64, Ordering};

use repo::RepoError;
use types::ErrorKind;

use crate::{RelativePath, TargetError, Warnings};

/// Failures that are listed one by one; the rest are counted.
const FAILURES_MAX: usize = 10_000;

/// What a restore did. It was complete if nothing failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were restored, each with all its names counted once.
    pub files: u64,
    /// Of them, files whose content was there already.
    pub files_kept: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Pipes, sockets and devices.
    pub specials: u64,
    /// Further names of files.
    pub links: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Bytes that were there already.
    pub bytes_kept: u64,
    /// Range reads.
    pub requests: u64,
    /// Bytes that they gave.
    pub bytes_fetched: u64,
    /// Metadata that the target did not take.
    pub warnings: Warnings,
    /// What could not be restored; the first ten thousand.
    pub failures: Vec<FailedPath>,
    /// How many paths could not be restored in all.
    pub failed: u64,
    /// Of them, those that failed because the repository is damaged: trying again does not help.
    pub damaged: u64,
}

/// A path that could not be restored. What was there before is there still, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedPath {
    /// The path in the target.
    pub path: RelativePath,
    /// Why; it does not name the path again.
    pub reason: String,
    /// What the user can do about it.
    pub kind: ErrorKind,
}

/// Why a path cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    reason: String,
    kind: ErrorKind,
}

impl Failure {
    /// The tables of the backup do not fit one another.
    pub(crate) fn tables(what: &str) -> Self {
        Self { reason: format!("{what}: the tables are damaged"), kind: ErrorKind::Corrupt }
    }

    pub(crate) fn repository(error: &RepoError) -> Self {
        Self { reason: error.to_string(), kind: error.kind() }
    }

    pub(crate) fn target(path: &RelativePath, error: &TargetError) -> Self {
        Self { reason: error.reason(path), kind: error.kind() }
    }
}

impl Report {
    /// Whether everything was restored.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.failed == 0
    }

    pub(crate) fn fail(&mut self, path: &RelativePath, Failure { reason, kind }: Failure) {
        self.failed += 1;
        self.damaged += u64::from(kind == ErrorKind::Corrupt);
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(FailedPath { path: path.clone(), reason, kind });
        }
    }
}

/// How far a restore is, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// Files of every kind but directories that are done, whether they succeeded or not.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes of content that are in place.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add_file(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
