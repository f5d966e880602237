//! Rows of the table `extents`.

use serde::{Deserialize, Serialize};
use types::{Epoch, Lin, SetId};

use super::{KeyedDigest, Location, ObjectNumber, Row, Table, Version};

/// A version of an extent. Within one backup the extents of a file do not overlap; what none of them covers is a hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentRow {
    /// The backup set.
    pub set: SetId,
    /// The file.
    pub lin: Lin,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// The first backup that holds this version.
    pub from: Epoch,
    /// The object that brought the row; set by coalescing.
    pub seq: ObjectNumber,
    /// Where the bytes are; `None` if no extent begins at that offset any more.
    pub extent: Option<ExtentRecord>,
}

/// Where the bytes of a range of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentRecord {
    /// The length of the range, in bytes.
    pub length: u32,
    /// The digest of the whole block's plain bytes.
    pub digest: KeyedDigest,
    /// Where the range begins in the block's plain bytes.
    pub block_offset: u32,
    /// Where the block was when the row was written; the table `blocks` knows better if it has moved since.
    pub location: Location,
}

impl Row for ExtentRow {
    type Key = (SetId, Lin, u64);

    const TABLE: Table = Table::Extents;

    fn key(&self) -> Self::Key {
        (self.set, self.lin, self.offset)
    }

    fn from(&self) -> Epoch {
        self.from
    }

    fn seq(&self) -> ObjectNumber {
        self.seq
    }

    fn key_numbers(&self) -> [u64; 3] {
        [self.set.0, self.lin.0, self.offset]
    }

    fn set_seq(&mut self, seq: ObjectNumber) {
        self.seq = seq;
    }

    fn location_mut(&mut self) -> Option<&mut Location> {
        self.extent.as_mut().map(|extent| &mut extent.location)
    }
}

impl Version for ExtentRow {
    fn set(&self) -> SetId {
        self.set
    }

    fn is_removal(&self) -> bool {
        self.extent.is_none()
    }
}
