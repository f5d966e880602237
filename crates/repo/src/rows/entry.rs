//! Rows of the table `entries`.

use serde::{Deserialize, Serialize};
use types::{Epoch, FileKind, Lin, Name, SetId};

use super::{ObjectNumber, Row, Table, Version};

/// A version of a directory entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRow {
    /// The backup set.
    pub set: SetId,
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
    /// The first backup that holds this version.
    pub from: Epoch,
    /// The object that brought the row; set by coalescing.
    pub seq: ObjectNumber,
    /// What the name stands for; `None` if it is gone.
    pub entry: Option<EntryRecord>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRecord {
    /// The inode.
    pub lin: Lin,
    /// Its kind.
    pub kind: FileKind,
}

impl Row for EntryRow {
    type Key = (SetId, Lin, Name);

    const TABLE: Table = Table::Entries;

    fn key(&self) -> Self::Key {
        (self.set, self.parent, self.name.clone())
    }

    fn from(&self) -> Epoch {
        self.from
    }

    fn seq(&self) -> ObjectNumber {
        self.seq
    }

    fn key_numbers(&self) -> [u64; 3] {
        [self.set.0, self.parent.0, 0]
    }

    fn length(&self) -> usize {
        size_of::<Self>() + self.name.as_bytes().len()
    }

    fn set_seq(&mut self, seq: ObjectNumber) {
        self.seq = seq;
    }
}

impl Version for EntryRow {
    fn set(&self) -> SetId {
        self.set
    }

    fn is_removal(&self) -> bool {
        self.entry.is_none()
    }
}
