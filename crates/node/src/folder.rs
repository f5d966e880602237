//! What lies where in the data folder.

use std::path::{Path, PathBuf};

use runtime::{Files, LockGuard};

use crate::NodeError;

/// The data folder of a node, locked for this process.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Held as long as the process lives: two daemons on one folder would destroy it.
    _lock: LockGuard,
}

impl DataFolder {
    /// Makes the folder if it is not there, and locks it.
    ///
    /// # Errors
    /// Another process holds it, or it cannot be used.
    pub fn open(files: &Files, path: &Path) -> Result<Self, NodeError> {
        files.create_dirs(path)?;
        let lock = files.lock(&path.join("lock"))?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The folder itself; the identity file lies in it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Raft's log, vote and state store.
    #[must_use]
    pub fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// What says that the node has a Raft log (rule P6).
    #[must_use]
    pub fn raft_marker(&self) -> PathBuf {
        self.path.join("raft.marker")
    }

    /// The keystore.
    #[must_use]
    pub fn keystore(&self) -> PathBuf {
        self.path.join("keystore")
    }

    /// The book of join tokens.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.path.join("tokens.toml")
    }

    /// Until when the clock agreed with the cluster's time.
    #[must_use]
    pub fn clock(&self) -> PathBuf {
        self.path.join("clock.toml")
    }

    /// Where a backup job keeps what does not fit into memory.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }
}

#[cfg(test)]
mod tests {
    use types::ErrorKind;

    use super::*;

    #[test]
    fn a_second_process_cannot_open_a_folder_that_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataFolder::open(&Files::real(), &path).unwrap();
        let second = DataFolder::open(&Files::real(), &path).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Conflict);
        assert!(second.to_string().contains(path.to_str().unwrap()), "{second}");
        drop(first);
        DataFolder::open(&Files::real(), &path).unwrap();
    }
}
