//! Errors of files: always with the path and what was being done.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What was being done to a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileOperation {
    /// Opening or creating a file.
    Open,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Bringing the file's bytes to the medium.
    Sync,
    /// Bringing the folder's entries to the medium.
    SyncFolder,
    /// Setting the length.
    SetLength,
    /// Reserving space.
    Allocate,
    /// Giving a range back to the file system.
    PunchHole,
    /// Asking for attributes.
    Inspect,
    /// Setting the mode.
    SetMode,
    /// Making folders.
    CreateFolder,
    /// Renaming.
    Rename,
    /// Removing a file or a tree.
    Remove,
    /// Listing a folder.
    List,
    /// Locking.
    Lock,
    /// Asking for free space.
    FreeSpace,
}

/// An operation on a file failed.
#[derive(Debug, Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was being done.
    pub operation: FileOperation,
    /// The system's answer.
    pub source: io::Error,
}

impl FileError {
    /// The system's class of error.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether the file or folder is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.io_kind() == io::ErrorKind::NotFound
    }

    /// Whether it is there already.
    #[must_use]
    pub fn is_already_there(&self) -> bool {
        self.io_kind() == io::ErrorKind::AlreadyExists
    }

    /// Whether there is no room, on the disk or in the quota.
    #[must_use]
    pub fn is_no_space(&self) -> bool {
        matches!(self.io_kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Whether the medium does not give or take the bytes (`EIO`).
    #[must_use]
    pub fn is_medium(&self) -> bool {
        self.source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
    }

    /// Whether the file ended before the bytes that were asked for.
    #[must_use]
    pub fn is_too_short(&self) -> bool {
        self.io_kind() == io::ErrorKind::UnexpectedEof
    }
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SyncFolder => "sync the folder",
            Self::SetLength => "set the length of",
            Self::Allocate => "allocate space for",
            Self::PunchHole => "punch a hole into",
            Self::Inspect => "inspect",
            Self::SetMode => "set the mode of",
            Self::CreateFolder => "create the folder",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::List => "list",
            Self::Lock => "lock",
            Self::FreeSpace => "find the free space of",
        })
    }
}

/// Adds path and operation to an error of the system.
pub(crate) trait Locate<T> {
    fn at(self, path: &Path, operation: FileOperation) -> Result<T, FileError>;
}

impl<T, E: Into<io::Error>> Locate<T> for Result<T, E> {
    fn at(self, path: &Path, operation: FileOperation) -> Result<T, FileError> {
        self.map_err(|source| FileError { path: path.to_owned(), operation, source: source.into() })
    }
}
