//! What `stat` tells of a file, and how it is changed.

use serde::{Deserialize, Serialize};

use crate::Lin;

/// A point in time as POSIX files carry it: seconds since 1970 and nanoseconds, which always count upward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before it.
    pub seconds: i64,
    /// Nanoseconds within the second, below 10⁹.
    pub nanoseconds: u32,
}

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

/// The attributes of a LIN at one revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// The LIN that they belong to.
    pub lin: Lin,
    /// Its kind, fixed for life.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits: the twelve lowest bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Directory entries that name it; for a directory 2 plus its subdirectories.
    pub nlink: u32,
    /// Length in bytes; of a symbolic link the length of its target; of a directory the number of its entries.
    pub size: u64,
    /// Last access, as set by a client.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of anything, in state time.
    pub ctime: Timestamp,
}

/// Attributes to set; those that are `None` stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChanges {
    /// Permission, set-id and sticky bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Length: a shorter one truncates, a longer one leaves a hole.
    pub size: Option<u64>,
    /// Last access.
    pub atime: Option<Timestamp>,
    /// Last change of the content.
    pub mtime: Option<Timestamp>,
}
