//! Rows of the table `inodes`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{Epoch, FileKind, Lin, SetId, Timestamp};

use super::{ObjectNumber, Row, Table, Version};

/// A version of an inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeRow {
    /// The backup set.
    pub set: SetId,
    /// The inode.
    pub lin: Lin,
    /// The first backup that holds this version.
    pub from: Epoch,
    /// The object that brought the row; set by coalescing.
    pub seq: ObjectNumber,
    /// The attributes; `None` if the inode is gone. A gone inode's extents are gone with it and need no rows.
    pub inode: Option<InodeRecord>,
}

/// The attributes of an inode as a backup keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeRecord {
    /// Its kind.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Entries inside of the backup set that name it; for a directory 2 plus its subdirectories (rule P17).
    pub nlink: u32,
    /// Length in bytes.
    pub size: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// The target of a symbolic link; of a device its number, as [`types::Device`] writes it; empty for others.
    pub target: Bytes,
    /// Extended attributes: names with their values, sorted by name.
    pub xattrs: Vec<(Bytes, Bytes)>,
}

impl InodeRecord {
    /// Bytes of the target and of the extended attributes, which may be much longer than all else.
    #[must_use]
    pub fn variable_length(&self) -> usize {
        let xattrs = self.xattrs.iter().map(|(name, value)| size_of::<(Bytes, Bytes)>() + name.len() + value.len());
        self.target.len() + xattrs.sum::<usize>()
    }
}

impl Row for InodeRow {
    type Key = (SetId, Lin);

    const TABLE: Table = Table::Inodes;

    fn key(&self) -> Self::Key {
        (self.set, self.lin)
    }

    fn from(&self) -> Epoch {
        self.from
    }

    fn seq(&self) -> ObjectNumber {
        self.seq
    }

    fn key_numbers(&self) -> [u64; 3] {
        [self.set.0, self.lin.0, 0]
    }

    fn length(&self) -> usize {
        size_of::<Self>() + self.inode.as_ref().map_or(0, InodeRecord::variable_length)
    }

    fn set_seq(&mut self, seq: ObjectNumber) {
        self.seq = seq;
    }
}

impl Version for InodeRow {
    fn set(&self) -> SetId {
        self.set
    }

    fn is_removal(&self) -> bool {
        self.inode.is_none()
    }
}
