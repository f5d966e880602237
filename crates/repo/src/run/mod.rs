//! Runs: sorted tables in encrypted Parquet, readable by DuckDB and Arrow with one key per file.
//!
//! A run is written once, streaming, a row group at a time, and cut into several objects where it would become too long
//! for one request. Readers take a row group at a time with one ranged read. The `parquet` crate decrypts columns only
//! through Arrow, which we do without: [`decrypt`] opens the modules of a column chunk (Parquet Modular Encryption,
//! `AES_GCM_V1`) and hands plain pages to the crate's own decoder.

mod column;
mod columns;
pub(crate) mod decoders;
mod decrypt;
mod reader;
mod reference;
mod rows;
mod writer;

pub(crate) use column::{Column, ColumnRow, Columns};
pub(crate) use reader::RunReader;
pub use reference::RunReference;
pub(crate) use rows::{GroupCache, RunRows};
pub use writer::RunOptions;
pub(crate) use writer::{FinishedRun, RunWriter};
