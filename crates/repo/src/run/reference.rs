//! What a commit says of a run.

use serde::{Deserialize, Serialize};

use crate::keys::{Secret, WriterKeys, derive};
use crate::names::{Name, Writer};
use crate::rows::Table;

/// A run that a commit names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReference {
    /// The table whose rows it holds.
    pub table: Table,
    /// How often its rows were merged.
    pub level: u8,
    /// Who wrote it.
    pub writer: Writer,
    /// Its length in bytes.
    pub size: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
    /// The salt of its key.
    pub salt: [u8; 16],
    /// How many rows it holds.
    pub rows: u64,
}

impl RunReference {
    /// The run's name.
    #[must_use]
    pub const fn name(&self) -> Name {
        Name::Run { table: self.table, level: self.level, writer: self.writer }
    }

    /// The AES-256 key of the run's Parquet file: derived from the metadata key, the run's name and its salt (rule P28).
    /// With it and nothing of ours DuckDB and Arrow read the file.
    #[must_use]
    pub fn key(&self, keys: &WriterKeys) -> Secret {
        derive(&keys.metadata, &self.salt, "holdfast repository run v1", &self.name().to_string())
    }
}
