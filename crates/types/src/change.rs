//! Changes of the file system.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::range::{Append, Clearing, CloneRange, Rewrite};
use crate::{
    AttributeChanges, BlockId, Device, FileKind, Lin, Lock, LockKind, LockRange, Name, NewExtent, NodeId, SnapshotId,
    Timestamp,
};

/// A change of the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Makes a file of any kind with its attributes and content. Gives [`crate::Outcome::Inode`].
    Create(Create),
    /// Adds a name for a LIN that is no directory. Gives [`crate::Outcome::Inode`].
    Link {
        /// The LIN.
        lin: Lin,
        /// The directory of the new name.
        parent: Lin,
        /// The new name.
        name: Name,
    },
    /// Removes a name, and with the last one the file. Gives [`crate::Outcome::Done`].
    Remove {
        /// The directory.
        parent: Lin,
        /// The name.
        name: Name,
        /// What the caller expects to remove.
        expect: Removal,
    },
    /// Moves a name. Gives [`crate::Outcome::Done`].
    Rename(Rename),
    /// Sets attributes; a smaller size truncates, a larger one leaves a hole. Gives [`crate::Outcome::Inode`].
    SetAttributes {
        /// The LIN.
        lin: Lin,
        /// What to set.
        changes: AttributeChanges,
    },
    /// Sets an extended attribute. Gives [`crate::Outcome::Done`].
    SetXattr {
        /// The LIN.
        lin: Lin,
        /// Its name, with the namespace prefix (`user.`, `trusted.`, …).
        name: Bytes,
        /// Its value.
        value: Bytes,
        /// Whether it may or must exist.
        mode: XattrMode,
    },
    /// Removes an extended attribute. Gives [`crate::Outcome::Done`].
    RemoveXattr {
        /// The LIN.
        lin: Lin,
        /// Its name.
        name: Bytes,
    },
    /// Replaces ranges of a file by published extents, or its whole content by inline bytes. Gives
    /// [`crate::Outcome::Inode`].
    Write {
        /// The file.
        lin: Lin,
        /// The new content. Extents replace what they cover and leave the rest; inline bytes replace everything.
        content: Content,
        /// The new modification time; state time if there is none.
        mtime: Option<Timestamp>,
    },
    /// Takes a snapshot. Gives [`crate::Outcome::Snapshot`].
    CreateSnapshot {
        /// Its name.
        name: String,
    },
    /// Marks a snapshot as dying; refused while it is pinned. Gives [`crate::Outcome::Done`].
    DeleteSnapshot {
        /// Which.
        snapshot: SnapshotId,
    },
    /// Drops at most so many rows of a dying snapshot. Gives [`crate::Outcome::Remaining`]; 0 when the snapshot is
    /// gone.
    DropStep {
        /// Which.
        snapshot: SnapshotId,
        /// The bound, at most 10⁴ (rule P8).
        rows_max: u32,
    },
    /// Says that a holder has taken freed copies out of use (rule P9). Gives [`crate::Outcome::Done`].
    AcknowledgeFreed {
        /// The holder.
        node: NodeId,
        /// The blocks.
        blocks: Vec<BlockId>,
    },
    /// Makes a range of a file a hole, from its front on and as far as one operation may go: it is said again for the
    /// end that is left. Gives [`crate::Outcome::Remaining`]: how many bytes that end has.
    ClearRange {
        /// The file.
        lin: Lin,
        /// The first byte.
        offset: u64,
        /// How many bytes; those behind the end of the file are none.
        length: u64,
        /// What becomes of the file's length.
        clearing: Clearing,
        /// The new modification time; state time if there is none.
        mtime: Option<Timestamp>,
    },
    /// Lets a range of a file share the blocks of another range, from its front on and as far as one operation may go: it
    /// is said again for the end that is left. Gives [`crate::Outcome::Remaining`]: how many bytes that end has.
    Clone(CloneRange),
    /// Lets the session in whose name this comes hold a file: it stays when its last name is removed. Gives
    /// [`crate::Outcome::Inode`].
    Hold {
        /// What is no directory.
        lin: Lin,
    },
    /// Lets the session hold a file no longer; one without a name goes with the last that held it. Gives
    /// [`crate::Outcome::Done`], also if the session does not hold it.
    Release {
        /// The file.
        lin: Lin,
    },
    /// Puts content at the end of a file, wherever that is by then: two that append never overlap. Gives
    /// [`crate::Outcome::Inode`]; the content ends where the file does then.
    Append(Append),
    /// Puts extents of the same bytes in the place of what a range of a file holds, if that is still what they were made
    /// of (rule P16). Gives [`crate::Outcome::Inode`]; no reader sees a difference.
    Rewrite(Rewrite),
    /// Takes a lock for an owner of the session, in the place of what the owner has there. It is refused, and never waited
    /// for, if another one is in the way. Gives [`crate::Outcome::Done`].
    Lock {
        /// The file.
        lin: Lin,
        /// The lock.
        lock: Lock,
    },
    /// Gives up what an owner of the session has locked of a range. Gives [`crate::Outcome::Done`], also if that is nothing.
    Unlock {
        /// The file.
        lin: Lin,
        /// Of which locks.
        kind: LockKind,
        /// Whose.
        owner: u64,
        /// The bytes.
        range: LockRange,
    },
    /// Pins a snapshot for the session in whose name this comes: it is not deleted until the session unpins it or is over.
    /// Gives [`crate::Outcome::Snapshot`].
    PinSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
        /// What the session does with it, for people.
        label: String,
    },
    /// Takes the session's pin from a snapshot. Gives [`crate::Outcome::Done`], also if it has none.
    UnpinSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
}

/// A file of any kind to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
    /// What is made.
    pub inode: NewInode,
    /// Whether an existing non-directory of that name is atomically replaced; else the call is refused.
    pub replace: bool,
}

/// What a new inode has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewInode {
    /// Its kind.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access; state time if there is none.
    pub atime: Option<Timestamp>,
    /// Last change of the content; state time if there is none.
    pub mtime: Option<Timestamp>,
    /// The target, of a symbolic link alone.
    pub target: Bytes,
    /// Extended attributes: names with their values.
    pub xattrs: Vec<(Bytes, Bytes)>,
    /// The content of a file, or the device that a special file stands for; of others [`Content::Empty`].
    pub content: Content,
    /// The length of a file; what no extent covers is a hole.
    pub size: u64,
}

/// The content of a file, or of ranges of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Nothing: a hole over the whole length.
    Empty,
    /// At most [`crate::INLINE_LENGTH_MAX`] bytes, kept in the inode.
    Inline(Bytes),
    /// Ranges of blocks, sorted by offset, without overlap.
    Extents(Vec<NewExtent>),
    /// No bytes at all: the device that a special file stands for.
    Device(Device),
}

/// What a removal expects to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Anything but a directory, as `unlink` does.
    NotDirectory,
    /// An empty directory, as `rmdir` does.
    Directory,
}

/// A move of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The directory that it is moved from.
    pub from_parent: Lin,
    /// The old name.
    pub from_name: Name,
    /// The directory that it is moved to.
    pub to_parent: Lin,
    /// The new name.
    pub to_name: Name,
    /// What to do if the new name is taken.
    pub mode: RenameMode,
}

/// What a rename does if the new name is taken (`renameat2` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RenameMode {
    /// Replaces what POSIX lets `rename` replace.
    Replace,
    /// Is refused (`RENAME_NOREPLACE`).
    NoReplace,
    /// Exchanges the two names, both of which must be there (`RENAME_EXCHANGE`).
    Exchange,
}

/// Whether an extended attribute may or must exist (`setxattr` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum XattrMode {
    /// Made or replaced.
    Any,
    /// Made; refused if it is there.
    Create,
    /// Replaced; refused if it is not there.
    Replace,
}
