//! Why the target could not be written.

use std::path::PathBuf;

use rustix::io::Errno;
use thiserror::Error;
use types::ErrorKind;

use crate::RelativePath;

/// Why an operation on the target failed.
#[derive(Debug, Error)]
pub enum TargetError {
    /// The folder holds something and overwriting was not asked for.
    #[error("the target {} is not empty: choose an empty folder, or allow overwriting", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder itself cannot be made or opened.
    #[error("cannot {action} the target {}: {source}", path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: Errno,
    },
    /// Something below the folder could not be made or changed.
    #[error("cannot {action} {path}: {source}")]
    Entry {
        /// Where.
        path: RelativePath,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: Errno,
    },
    /// Something of another kind is in the way and is not removed, because it may hold files.
    #[error("cannot restore {path}: a directory is in the way")]
    DirectoryInTheWay {
        /// Where.
        path: RelativePath,
    },
}

impl TargetError {
    /// What went wrong, for those who name that path themselves.
    #[must_use]
    pub fn reason(&self, at: &RelativePath) -> String {
        match self {
            Self::Entry { path, action, source } if path == at => format!("cannot {action} it: {source}"),
            Self::DirectoryInTheWay { path } if path == at => "a directory is in the way".to_owned(),
            other => other.to_string(),
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotEmpty { .. } | Self::DirectoryInTheWay { .. } => ErrorKind::AlreadyExists,
            Self::Root { source, .. } | Self::Entry { source, .. } => kind_of(*source),
        }
    }
}

fn kind_of(source: Errno) -> ErrorKind {
    match source {
        Errno::NOSPC | Errno::DQUOT => ErrorKind::NoSpace,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NOENT => ErrorKind::NotFound,
        Errno::EXIST | Errno::NOTDIR | Errno::LOOP => ErrorKind::AlreadyExists,
        Errno::MFILE | Errno::NFILE | Errno::AGAIN => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}
