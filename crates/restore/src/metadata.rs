//! What a restored file of any kind carries besides its content.

use bytes::Bytes;
use types::{FileKind, Timestamp};

/// The metadata of one inode as a restore sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes: names with their values.
    pub xattrs: Vec<(Bytes, Bytes)>,
}

/// Metadata that the target did not take, by reason; the restore goes on, and its report shows the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Owners or groups that only a privileged user may set.
    pub owners: u64,
    /// Extended attributes that the user may not set, or that the target's file system does not have.
    pub xattrs: u64,
    /// Set-id bits left out because the owner could not be set: they would lend the wrong user's rights.
    pub set_id_bits: u64,
}

impl Warnings {
    /// Adds those of another inode.
    pub fn add(&mut self, other: Self) {
        self.owners += other.owners;
        self.xattrs += other.xattrs;
        self.set_id_bits += other.set_id_bits;
    }

    /// How many there are in all.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.owners + self.xattrs + self.set_id_bits
    }
}
