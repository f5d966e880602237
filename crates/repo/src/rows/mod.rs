//! The rows of the repository's tables.
//!
//! Rows of `inodes`, `entries` and `extents` are versions: the version of a key with the largest `from` at or before an
//! epoch says what that backup holds, and a version without a value says that the key is gone from that epoch on. So a
//! worker writes what changed and need not know when the version before began.

mod block;
mod entry;
mod extent;
mod inode;
mod location;
mod object;

pub use block::BlockRow;
pub use entry::{EntryRecord, EntryRow};
pub use extent::{ExtentRecord, ExtentRow};
pub use inode::{InodeRecord, InodeRow};
pub use location::{KeyedDigest, Location, MemberCodec, ObjectNumber};
pub use object::ObjectRow;

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::{Epoch, SetId};

use crate::run::ColumnRow;

/// The tables of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Table {
    /// LIN → attributes.
    Inodes,
    /// Directory and name → LIN.
    Entries,
    /// LIN and offset → where the bytes are.
    Extents,
    /// Digest → where the block is.
    Blocks,
    /// Number → upload object.
    Objects,
}

impl Table {
    /// All tables, in the order in which an object's footer and a commit name them.
    pub const ALL: [Self; 5] = [Self::Inodes, Self::Entries, Self::Extents, Self::Blocks, Self::Objects];

    /// Its name, as it is in object names and in exported views.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inodes => "inodes",
            Self::Entries => "entries",
            Self::Extents => "extents",
            Self::Blocks => "blocks",
            Self::Objects => "objects",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Table {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|table| table.name() == text).ok_or(())
    }
}

/// A row of a table. The bound on the crate-private trait keeps its Parquet columns beside its fields.
pub trait Row:
    ColumnRow + Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What the rows of a table are sorted by, before `from` and `seq`.
    type Key: Ord + Clone + fmt::Debug + Send + Sync;

    /// The table.
    const TABLE: Table;

    /// The key.
    fn key(&self) -> Self::Key;

    /// The first backup that the row tells of.
    fn from(&self) -> Epoch;

    /// The number of the object whose footer brought the row; of two rows of one key and epoch the larger one counts.
    fn seq(&self) -> ObjectNumber;

    /// The numbers with which the key begins, as many as the table has leading columns of numbers; the rest is zero.
    #[doc(hidden)]
    fn key_numbers(&self) -> [u64; 3];

    /// Bytes that it takes in memory, about.
    #[doc(hidden)]
    fn length(&self) -> usize {
        size_of::<Self>()
    }

    /// Notes the object that brought the row, where it does not follow from the key.
    #[doc(hidden)]
    fn set_seq(&mut self, _: ObjectNumber) {}

    /// Where the bytes are to which the row points, if it does.
    #[doc(hidden)]
    fn location_mut(&mut self) -> Option<&mut Location> {
        None
    }

    /// Sets what only coalescing knows: the number of the object that brought the row, and of the one that it points
    /// to; the error is a number that nobody knows.
    #[doc(hidden)]
    fn number(
        &mut self,
        seq: ObjectNumber,
        numbers: &dyn Fn(ObjectNumber) -> Option<ObjectNumber>,
    ) -> Result<(), ObjectNumber> {
        self.set_seq(seq);
        if let Some(location) = self.location_mut() {
            location.object = numbers(location.object).ok_or(location.object)?;
        }
        Ok(())
    }
}

/// A row that is a version of a key within a backup set.
pub trait Version: Row {
    /// The backup set.
    fn set(&self) -> SetId;

    /// Whether the key is gone from that epoch on.
    fn is_removal(&self) -> bool;
}
