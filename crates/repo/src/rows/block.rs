//! Rows of the table `blocks`.

use serde::{Deserialize, Serialize};
use types::Epoch;

use super::{KeyedDigest, Location, ObjectNumber, Row, Table};

/// A copy of a block in an upload object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRow {
    /// The digest of its plain bytes.
    pub digest: KeyedDigest,
    /// Where it is.
    pub location: Location,
}

impl Row for BlockRow {
    /// Several objects may hold the same block.
    type Key = (KeyedDigest, ObjectNumber, u32, u32);

    const TABLE: Table = Table::Blocks;

    fn key(&self) -> Self::Key {
        (self.digest, self.location.object, self.location.slot, self.location.offset)
    }

    fn from(&self) -> Epoch {
        self.location.object.epoch()
    }

    fn seq(&self) -> ObjectNumber {
        self.location.object
    }

    fn key_numbers(&self) -> [u64; 3] {
        [0; 3]
    }

    fn location_mut(&mut self) -> Option<&mut Location> {
        Some(&mut self.location)
    }
}
