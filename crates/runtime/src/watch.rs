//! What stands between a file operation and the disk.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::FileOperation;

/// Sees each file operation before the disk does, and may fail it: for tests that count, break or freeze a disk.
pub trait Watch: Send + Sync {
    /// Called before the operation. An error is given to the caller instead of running it.
    ///
    /// # Errors
    /// Whatever the disk should seem to answer.
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()>;
}

/// An optional watch, cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watched(pub(crate) Option<Arc<dyn Watch>>);

impl Watched {
    pub(crate) fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |watch| watch.before(operation, path))
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "unwatched" })
    }
}
