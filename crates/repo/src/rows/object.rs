//! Rows of the table `objects`.

use serde::{Deserialize, Serialize};
use types::Epoch;

use super::{ObjectNumber, Row, Table};
use crate::keys::WrappedKey;
use crate::names::Writer;

/// An upload object. Salt and wrapped key are those of its trailer, so that a block can be read without asking for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// Its number.
    pub number: ObjectNumber,
    /// Its name: `objects/<writer>`.
    pub writer: Writer,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of the whole object.
    pub hash: [u8; 32],
    /// The salt of its keys.
    pub salt: [u8; 16],
    /// Its key, wrapped to the repository's public data key.
    pub wrapped_key: WrappedKey,
}

impl Row for ObjectRow {
    type Key = ObjectNumber;

    const TABLE: Table = Table::Objects;

    fn key(&self) -> Self::Key {
        self.number
    }

    fn from(&self) -> Epoch {
        self.number.epoch()
    }

    fn seq(&self) -> ObjectNumber {
        self.number
    }

    fn key_numbers(&self) -> [u64; 3] {
        [self.number.0, 0, 0]
    }
}
