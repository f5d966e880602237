//! Writing a run.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArrayType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use runtime::{Seed, blocking};

use super::{Column, ColumnRow, RunReference};
use crate::RepoError;
use crate::keys::WriterKeys;
use crate::names::{Name, Writer};
use crate::rows::Row;

/// Bytes of rows at which a row group is written however few rows it has: extended attributes may be long.
const GROUP_LENGTH: usize = 64 << 20;

/// How runs are cut.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Rows in a row group: what a reader holds in memory, and the least that a lookup reads.
    pub rows_per_group: usize,
    /// A run that is longer than this is finished, and the table goes on in another one.
    pub length: usize,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { rows_per_group: 64 << 10, length: 64 << 20 }
    }
}

/// A finished run, to be put under its name.
pub(crate) struct FinishedRun {
    /// What the commit says of it.
    pub(crate) reference: RunReference,
    /// Its bytes.
    pub(crate) bytes: Bytes,
}

/// Writes sorted rows of one table as one or more runs. It holds one row group of rows and one run in memory; a row
/// group has at most 64 MiB and one row.
///
/// Keys and nonces inside of the Parquet file come from the operating system's generator through `parquet`, and are the
/// one thing in a repository that a seed does not decide.
pub(crate) struct RunWriter<'a, R> {
    writer: Writer,
    level: u8,
    keys: &'a WriterKeys,
    seed: &'a Seed,
    options: RunOptions,
    rows: Vec<R>,
    /// Bytes of the rows.
    length: usize,
    file: Option<OpenFile>,
}

/// A run that is being written.
struct OpenFile {
    parquet: SerializedFileWriter<Vec<u8>>,
    reference: RunReference,
}

impl<'a, R: Row> RunWriter<'a, R> {
    /// Begins with the sequence number of `writer`; further runs take the numbers after it.
    pub(crate) fn new(writer: Writer, level: u8, keys: &'a WriterKeys, seed: &'a Seed, options: RunOptions) -> Self {
        Self { writer, level, keys, seed, options, rows: Vec::new(), length: 0, file: None }
    }

    /// Adds a row; rows come sorted by key, `from` and `seq`. Gives a run whenever one is full.
    pub(crate) async fn push(&mut self, row: R) -> Result<Option<FinishedRun>, RepoError> {
        if self.rows.last().is_some_and(|last| order(last) >= order(&row)) {
            return Err(RepoError::Limit { name: R::TABLE.to_string(), limit: "rows come in order, each once" });
        }
        self.length += row.length();
        self.rows.push(row);
        if self.rows.len() < self.options.rows_per_group && self.length < GROUP_LENGTH {
            return Ok(None);
        }
        self.flush().await?;
        let length = self.file.as_ref().map_or(0, |file| file.parquet.bytes_written());
        if length < self.options.length { Ok(None) } else { self.close().await }
    }

    /// Gives the last run, if there are rows left.
    pub(crate) async fn finish(mut self) -> Result<Option<FinishedRun>, RepoError> {
        if !self.rows.is_empty() {
            self.flush().await?;
        }
        self.close().await
    }

    /// Encoding a row group takes long enough to hold up everything else on its thread.
    async fn flush(&mut self) -> Result<(), RepoError> {
        let rows = std::mem::take(&mut self.rows);
        self.length = 0;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let name = file.reference.name();
        let written = blocking(move || {
            write_group(&mut file.parquet, &rows)?;
            file.reference.rows += rows.len() as u64;
            Ok::<_, ParquetError>(file)
        });
        self.file = Some(written.await.map_err(|_| refused(name))?);
        Ok(())
    }

    fn open(&self) -> Result<OpenFile, RepoError> {
        let (table, level, writer, salt) = (R::TABLE, self.level, self.writer, self.seed.bytes());
        let reference = RunReference { table, level, writer, size: 0, hash: [0; 32], salt, rows: 0 };
        let key = reference.key(self.keys).expose().to_vec();
        let parquet = open_parquet::<R>(key, salt).map_err(|_| refused(reference.name()))?;
        Ok(OpenFile { parquet, reference })
    }

    async fn close(&mut self) -> Result<Option<FinishedRun>, RepoError> {
        let Some(OpenFile { parquet, mut reference }) = self.file.take() else { return Ok(None) };
        self.writer = self.writer.with_sequence(self.writer.sequence + 1);
        let closed = blocking(move || {
            let bytes = parquet.into_inner()?;
            Ok::<_, ParquetError>((*blake3::hash(&bytes).as_bytes(), bytes))
        });
        let (hash, bytes) = closed.await.map_err(|_| refused(reference.name()))?;
        (reference.size, reference.hash) = (bytes.len() as u64, hash);
        Ok(Some(FinishedRun { reference, bytes: bytes.into() }))
    }
}

/// What rows of a table are sorted by.
fn order<R: Row>(row: &R) -> impl Ord + use<R> {
    (row.key(), Row::from(row), row.seq())
}

fn refused(name: Name) -> RepoError {
    RepoError::Limit { name: name.to_string(), limit: "what Parquet can write" }
}

pub(super) fn open_parquet<R: ColumnRow>(
    key: Vec<u8>,
    salt: [u8; 16],
) -> Result<SerializedFileWriter<Vec<u8>>, ParquetError> {
    let schema = Arc::new(parse_message_type(R::SCHEMA)?);
    // Who has the metadata key and the file alone finds the salt in it, and with the name the key.
    let encryption = FileEncryptionProperties::builder(key).with_footer_key_metadata(salt.to_vec()).build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_created_by("holdfast".into())
        .with_file_encryption_properties(encryption)
        .build();
    SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))
}

pub(super) fn write_group<R: ColumnRow>(
    parquet: &mut SerializedFileWriter<Vec<u8>>,
    rows: &[R],
) -> Result<(), ParquetError> {
    let mut group = parquet.next_row_group()?;
    for column in R::to_columns(rows) {
        let missing = || ParquetError::General("the schema has fewer columns".into());
        let mut writer = group.next_column()?.ok_or_else(missing)?;
        write_column(&mut writer, &column)?;
        writer.close()?;
    }
    group.close()?;
    Ok(())
}

fn write_column(writer: &mut SerializedColumnWriter<'_>, column: &Column) -> Result<usize, ParquetError> {
    match column {
        Column::Bool(values) => writer.typed::<BoolType>().write_batch(values, None, None),
        Column::Int32(values) => writer.typed::<Int32Type>().write_batch(values, None, None),
        Column::Int64(values) => writer.typed::<Int64Type>().write_batch(values, None, None),
        Column::Bytes(values) => writer.typed::<ByteArrayType>().write_batch(values, None, None),
        Column::Fixed(values) => writer.typed::<FixedLenByteArrayType>().write_batch(values, None, None),
    }
}
