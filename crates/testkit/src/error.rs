//! What can go wrong while a tree is made, changed or compared.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A failure of the operating system, with what was being done and to which file.
#[derive(Debug, Error)]
#[error("{operation} {}: {source}", path.display())]
pub struct TestkitError {
    /// What was being done, as a verb.
    pub operation: FileOperation,
    /// To which file.
    pub path: PathBuf,
    /// What the operating system said.
    #[source]
    pub source: io::Error,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileOperation {
    /// Make a file, a directory or a link.
    Create,
    /// Read its bytes, its names or the target of a link.
    Read,
    /// Write or cut its bytes.
    Write,
    /// Look at its attributes.
    Inspect,
    /// Give it mode, owner, time or extended attributes.
    Describe,
    /// Give it another name.
    Rename,
    /// Take it away.
    Remove,
}

impl std::fmt::Display for FileOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Inspect => "inspect",
            Self::Describe => "describe",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// Names the file and the operation in an error.
pub(crate) trait Context<T> {
    /// Says what was being done, and to which file.
    fn context(self, operation: FileOperation, path: &Path) -> Result<T, TestkitError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, operation: FileOperation, path: &Path) -> Result<T, TestkitError> {
        self.map_err(|source| TestkitError { operation, path: path.to_owned(), source: source.into() })
    }
}
