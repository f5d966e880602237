//! Advisory locks on files.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SessionId;

/// The two kinds of locks that POSIX and Linux have. Locks of different kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockKind {
    /// Of a range of bytes (`fcntl(2)`, `F_SETLK`).
    Range,
    /// Of the whole file (`flock(2)`).
    Whole,
}

/// Who else may have a lock at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LockMode {
    /// Others whose locks are shared too (`F_RDLCK`, `LOCK_SH`).
    Shared,
    /// Nobody (`F_WRLCK`, `LOCK_EX`).
    Exclusive,
}

impl LockMode {
    /// Whether two owners may have locks of these modes at the same place.
    #[must_use]
    pub const fn bears(self, other: Self) -> bool {
        matches!((self, other), (Self::Shared, Self::Shared))
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shared => "shared",
            Self::Exclusive => "exclusive",
        })
    }
}

/// The bytes that a lock is about, whether the file has them or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LockRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last one; the largest number stands for all that ever follow (`l_len` 0).
    pub end: u64,
}

impl LockRange {
    /// Every byte: what a lock of the whole file is about.
    pub const ALL: Self = Self { start: 0, end: u64::MAX };

    /// Whether both have a byte.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A lock that an owner of a session has or wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Its kind.
    pub kind: LockKind,
    /// Whose it is among those of the session: a process, or an open file description.
    pub owner: u64,
    /// The bytes.
    pub range: LockRange,
    /// Who else may have them.
    pub mode: LockMode,
}

/// A lock and the session that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenLock {
    /// The session.
    pub session: SessionId,
    /// Its lock.
    pub lock: Lock,
}

impl fmt::Display for TakenLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lock { owner, range: LockRange { start, end }, mode, .. } = self.lock;
        write!(f, "owner {owner} of session {} has the bytes from {start} to {end}, {mode}", self.session)
    }
}
