//! What is wrong with rows that do not fit each other.

use bytes::Bytes;
use thiserror::Error;
use types::{Epoch, FileKind, Lin, Name};

use crate::rows::{ObjectNumber, Table};

/// Why a row does not fit the others of its backup. The texts go on after the path that they are about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// A name stands for a LIN that the backup does not have.
    #[error("the name stands for inode {lin}, which is missing")]
    NoInode {
        /// The LIN.
        lin: Lin,
    },
    /// Name and inode are of different kinds.
    #[error("the name says that it is a {}, the inode that it is a {}", word(.says), word(.is))]
    Kind {
        /// What the name says.
        says: FileKind,
        /// What the inode says.
        is: FileKind,
    },
    /// Names lie in a directory that the backup does not have.
    #[error("{entries} names lie in it, and it has no inode")]
    NoDirectory {
        /// How many names.
        entries: i64,
    },
    /// Names lie in what is no directory.
    #[error("{entries} names lie in it, and it is no directory")]
    NotDirectory {
        /// How many names.
        entries: i64,
    },
    /// A root of the backup is missing.
    #[error("it is a root of the backup, and has no inode")]
    NoRoot,
    /// Nothing leads to an inode that is no root.
    #[error("no name leads to it")]
    Unreached,
    /// The names of directories go in a circle: no root is above.
    #[error("the directories above it lie below themselves")]
    Circle,
    /// A directory has more than one name.
    #[error("it is a directory, and has {names} names")]
    Names {
        /// How many.
        names: i64,
    },
    /// The link count is not what names make it (rule P17).
    #[error("its link count is {says}, the names make it {is}")]
    LinkCount {
        /// What the inode says.
        says: u32,
        /// What the names make it.
        is: i64,
    },
    /// A directory's size is not the number of its names.
    #[error("it says that it holds {says} names, it holds {is}")]
    EntryCount {
        /// What the inode says.
        says: u64,
        /// How many there are.
        is: i64,
    },
    /// A symbolic link's size is not the length of its target.
    #[error("it says that its target has {says} bytes, it has {is}")]
    TargetLength {
        /// What the inode says.
        says: u64,
        /// How many there are.
        is: u64,
    },
    /// An extent is that of a LIN that the backup has never had.
    #[error("it has an extent at {offset}, and no inode")]
    NoFile {
        /// Where the extent begins.
        offset: u64,
    },
    /// An extent is that of a directory or symbolic link.
    #[error("it has an extent at {offset}, and is no file")]
    NotFile {
        /// Where the extent begins.
        offset: u64,
    },
    /// Two extents hold the same bytes of a file.
    #[error("its extent at {offset} overlaps the one before it")]
    Overlap {
        /// Where the second begins.
        offset: u64,
    },
    /// An extent goes beyond the end of its file.
    #[error("its extent at {offset} goes beyond its end")]
    BeyondFile {
        /// Where the extent begins.
        offset: u64,
    },
    /// An extent goes beyond the end of its block.
    #[error("its extent at {offset} goes beyond the end of its block")]
    BeyondBlock {
        /// Where the extent begins.
        offset: u64,
    },
    /// A block or its slot is longer than any may be.
    #[error("its extent at {offset} has a block longer than the format allows")]
    LongBlock {
        /// Where the extent begins.
        offset: u64,
    },
    /// An extent points to an object that the repository does not have.
    #[error("its extent at {offset} lies in object {object}, which the repository does not have")]
    NoObject {
        /// Where the extent begins.
        offset: u64,
        /// The object.
        object: ObjectNumber,
    },
    /// An extent points to where an object has no slots.
    #[error("its extent at {offset} lies outside of the slots of object {object}")]
    BeyondObject {
        /// Where the extent begins.
        offset: u64,
        /// The object.
        object: ObjectNumber,
    },
    /// The block of an extent is in no row of `blocks`.
    #[error("the block of its extent at {offset} is not in the table of blocks")]
    NoBlock {
        /// Where the extent begins.
        offset: u64,
    },
    /// The block of an extent is elsewhere. Nothing that exists today moves blocks, and restores go by the extent.
    #[error(
        "the place of its extent at {offset} is stale: the table of blocks has the block in slot {slot} of {object}"
    )]
    Stale {
        /// Where the extent begins.
        offset: u64,
        /// The object that has the block.
        object: ObjectNumber,
        /// The slot that has it.
        slot: u32,
    },
    /// The row of `blocks` and the extent tell different things of the same place.
    #[error("its extent at {offset} and the table of blocks do not agree about slot and lengths of the block")]
    Hint {
        /// Where the extent begins.
        offset: u64,
    },
}

const fn word(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::Directory => "directory",
        FileKind::File => "file",
        FileKind::Symlink => "symbolic link",
        FileKind::Pipe => "pipe",
        FileKind::Socket => "socket",
        FileKind::CharDevice => "character device",
        FileKind::BlockDevice => "block device",
    }
}

/// Rows of some backups that do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFinding {
    /// The commit of the first backup that has them.
    pub commit: String,
    /// The first backup that has them.
    pub first: Epoch,
    /// The last backup that has them.
    pub last: Epoch,
    /// The table whose row does not fit.
    pub table: Table,
    /// The LIN that it is about; of a name, the directory.
    pub lin: Lin,
    /// The name that it is about.
    pub name: Option<Name>,
    /// Where that is in the first backup, if its names lead there.
    pub path: Option<Bytes>,
    /// What is wrong.
    pub misfit: Misfit,
}
