//! Commits: what makes a backup be there (rule P22).
//!
//! A commit names every live run of the repository, its own included, so that one commit is enough to read every backup
//! up to it. It names its parent by name and hash, so that a chain of commits is what it was.
//!
//! It is sealed once: Raft keeps the bytes, and every owner of the job puts exactly those.

use bytes::Bytes;
use runtime::Seed;
use serde::{Deserialize, Serialize};
use types::{Epoch, Lin, RepositoryId, SetId, Timestamp};

use crate::names::{Name, Writer};
use crate::run::RunReference;
use crate::sealed::Kind;
use crate::{RepoError, WriterKeys};

/// The version of the format of commits.
pub const COMMIT_VERSION: u8 = 1;

pub(crate) const KIND: Kind =
    Kind { magic: b"HFcommt", version: COMMIT_VERSION, purpose: "holdfast repository commit v1" };

/// What one commit says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The repository.
    pub repository: RepositoryId,
    /// Its number: one more than its parent's, 1 for the first.
    pub number: u64,
    /// Who wrote it. Its generation and epoch are those of the commit.
    pub writer: Writer,
    /// The commit on which it builds; `None` for the first.
    pub parent: Option<ParentReference>,
    /// The backup set.
    pub set: SetId,
    /// The name of the policy that made the backup.
    pub policy: String,
    /// BLAKE3 of the set's definition (rule P17).
    pub definition_hash: [u8; 32],
    /// The roots of the set.
    pub roots: Vec<RootRecord>,
    /// The state time of the snapshot that was backed up.
    pub snapshot_time: Timestamp,
    /// The backup on which it builds; `None` if it holds everything anew.
    pub base: Option<Epoch>,
    /// All runs that are live after this commit, sorted by table, level and writer.
    pub runs: Vec<RunReference>,
    /// What the backup added.
    pub totals: CommitTotals,
    /// Backups that are no longer part of the repository (rule P21).
    pub voids: Vec<Epoch>,
    /// The cluster's configuration.
    pub state: Option<StateReference>,
}

/// The commit before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentReference {
    /// Its number.
    pub number: u64,
    /// Who wrote it.
    pub writer: Writer,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

/// A root of a backup set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// The directory or file.
    pub lin: Lin,
    /// Its path in the snapshot that was backed up, with `/` before each name.
    pub path: Bytes,
}

/// What a backup added to the repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitTotals {
    /// Upload objects.
    pub objects: u64,
    /// Bytes of the upload objects.
    pub bytes_uploaded: u64,
    /// Plain bytes of the blocks in them.
    pub bytes_plain: u64,
    /// Rows by table, in the order of [`crate::Table::ALL`].
    pub rows: [u64; 5],
}

/// The cluster's configuration at an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReference {
    /// Who wrote it.
    pub writer: Writer,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

impl ParentReference {
    /// The parent's name.
    #[must_use]
    pub const fn name(&self) -> Name {
        Name::Commit { number: self.number, writer: self.writer }
    }
}

impl Commit {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Name {
        Name::Commit { number: self.number, writer: self.writer }
    }

    /// The backup.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.writer.epoch
    }

    /// Refers to this commit, whose sealed bytes these are, as a parent.
    #[must_use]
    pub fn as_parent(&self, bytes: &[u8]) -> ParentReference {
        ParentReference { number: self.number, writer: self.writer, hash: *blake3::hash(bytes).as_bytes() }
    }

    /// Seals the commit: the bytes to be fixed in Raft and put under [`Commit::name`].
    ///
    /// # Errors
    /// [`RepoError::Limit`]: it is longer than 64 MiB.
    pub fn seal(&self, keys: &WriterKeys, seed: &Seed) -> Result<Bytes, RepoError> {
        let plain = postcard::to_stdvec(self).expect("plain values of ours have no part that postcard refuses");
        KIND.seal(&self.name().to_string(), self.repository, keys, seed, &plain)
    }

    /// Opens a commit as it was read from the site.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Version`] or [`RepoError::Foreign`]; also if it says another thing than its
    /// name.
    pub fn open(name: &str, repository: RepositoryId, keys: &WriterKeys, bytes: &[u8]) -> Result<Self, RepoError> {
        let plain = KIND.open(name, repository, keys, bytes)?;
        let commit: Self = postcard::from_bytes(&plain).map_err(|_| RepoError::damaged(name, "it is malformed"))?;
        let is_itself = commit.name().to_string() == name && commit.repository == repository;
        if is_itself { Ok(commit) } else { Err(RepoError::damaged(name, "it is not what its name says")) }
    }
}
