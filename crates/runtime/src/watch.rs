//! What stands between a file operation and the disk.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::FileOperation;

/// Sees each file operation before the disk does, and may fail it: for tests that count, break or freeze a disk. It sees
/// what each has changed, too: for tests that ask what a loss of power would leave.
pub trait Watch: Send + Sync {
    /// Called before the operation. An error is given to the caller instead of running it.
    ///
    /// # Errors
    /// Whatever the disk should seem to answer.
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()>;

    /// Called after an operation that changed or synced something has succeeded, and before its caller learns of it.
    fn after(&self, _change: Change<'_>) {}
}

/// What an operation did to the disk.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// That folder is there, and those above it.
    MadeFolders(&'a Path),
    /// That file was opened, and is there if it was not before.
    Opened(&'a Path),
    /// Bytes were written to a file.
    Wrote {
        /// The file, by the name with which it was opened.
        path: &'a Path,
        /// Where they begin.
        offset: u64,
        /// All of them.
        bytes: &'a [u8],
    },
    /// A file was cut, or extended by a hole.
    Resized {
        /// The file, by the name with which it was opened.
        path: &'a Path,
        /// How long it is.
        length: u64,
    },
    /// A range of a file was given back, and reads as zeros.
    Punched {
        /// The file, by the name with which it was opened.
        path: &'a Path,
        /// Where the range begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// The bytes and the length of that file, by the name with which it was opened, are on the medium.
    Synced(&'a Path),
    /// The names in that folder are on the medium.
    SyncedFolder(&'a Path),
    /// A file or folder has another name.
    Renamed {
        /// The one that it had.
        from: &'a Path,
        /// The one that it has.
        to: &'a Path,
    },
    /// That file is gone, or that folder with all in it.
    Removed(&'a Path),
}

impl<'a> Change<'a> {
    /// The operation that did it.
    #[must_use]
    pub const fn operation(self) -> FileOperation {
        match self {
            Self::MadeFolders(_) => FileOperation::CreateFolder,
            Self::Opened(_) => FileOperation::Open,
            Self::Wrote { .. } => FileOperation::Write,
            Self::Resized { .. } => FileOperation::SetLength,
            Self::Punched { .. } => FileOperation::PunchHole,
            Self::Synced(_) => FileOperation::Sync,
            Self::SyncedFolder(_) => FileOperation::SyncFolder,
            Self::Renamed { .. } => FileOperation::Rename,
            Self::Removed(_) => FileOperation::Remove,
        }
    }

    /// The file or folder that was operated on.
    #[must_use]
    pub const fn path(self) -> &'a Path {
        match self {
            Self::MadeFolders(path) | Self::Opened(path) | Self::Synced(path) => path,
            Self::SyncedFolder(path) | Self::Removed(path) | Self::Renamed { from: path, .. } => path,
            Self::Wrote { path, .. } | Self::Resized { path, .. } | Self::Punched { path, .. } => path,
        }
    }
}

/// An optional watch, cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Watched(pub(crate) Option<Arc<dyn Watch>>);

impl Watched {
    pub(crate) fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |watch| watch.before(operation, path))
    }

    pub(crate) fn after(&self, change: Change<'_>) {
        if let Some(watch) = &self.0 {
            watch.after(change);
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "watched" } else { "unwatched" })
    }
}
