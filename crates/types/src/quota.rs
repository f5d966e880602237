//! Quotas: what a user or the subtree of a directory may have.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Lin;

/// What usage is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// Everything below a directory, the directory itself not included.
    Directory(Lin),
    /// Everything that a user owns, by the number.
    User(u32),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(lin) => write!(f, "directory {lin}"),
            Self::User(uid) => write!(f, "user {uid}"),
        }
    }
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resource {
    /// The lengths of files together.
    Bytes,
    /// Files of every kind.
    Inodes,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Inodes => "inodes",
        })
    }
}

/// The hard limits of a quota; one without any only counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most bytes that the files may have together: their lengths, holes included.
    pub bytes: Option<u64>,
    /// The most files of every kind.
    pub inodes: Option<u64>,
}

/// Whether a quota is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaState {
    /// What was there when the quota was set is still being counted. Nothing is refused.
    Counting,
    /// What would exceed it is refused.
    Enforced,
}

/// A quota with what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whose it is.
    pub account: Account,
    /// What is allowed.
    pub limits: Limits,
    /// Bytes that are used: the lengths of the files, holes included; 2⁶⁴ − 1 stands for more as well.
    pub used_bytes: u64,
    /// Files of every kind that are there.
    pub used_inodes: u64,
    /// Whether it is enforced.
    pub state: QuotaState,
}

impl Quota {
    /// Bytes that may still come, if they are limited.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.limits.bytes.map(|limit| limit.saturating_sub(self.used_bytes))
    }
}

/// A change of the quotas, or of how far they are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum QuotaOperation {
    /// Sets a quota, or other limits of one. One of a directory that has entries is counted in steps first, and enforced
    /// after. Gives [`Outcome::Done`](crate::Outcome::Done).
    Set {
        /// Whose.
        account: Account,
        /// What is allowed.
        limits: Limits,
    },
    /// Removes a quota. Gives [`Outcome::Done`](crate::Outcome::Done).
    Remove {
        /// Whose.
        account: Account,
    },
    /// Counts at most so many entries of directories whose quotas were set or removed. Gives [`Outcome::Remaining`](crate::Outcome::Remaining); 0
    /// when all are counted.
    Count {
        /// The bound, at most 10⁴.
        entries_max: u32,
    },
}
