//! Writing a run.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArrayType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use runtime::Seed;

use super::reference::{RunReference, run_key};
use super::{Column, ColumnRow};
use crate::RepoError;
use crate::keys::WriterKeys;
use crate::names::{Name, Writer};
use crate::rows::Row;

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
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// What the commit says of it.
    pub reference: RunReference,
    /// Its bytes.
    pub bytes: Bytes,
}

impl FinishedRun {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.reference.name().to_string()
    }
}

/// Writes sorted rows of one table as one or more runs. It holds one row group of rows and one run in memory.
///
/// Keys and nonces inside of the Parquet file come from the operating system's generator through `parquet`, and are the
/// one thing in a repository that a seed does not decide.
pub struct RunWriter<'a, R> {
    writer: Writer,
    level: u8,
    keys: &'a WriterKeys,
    seed: &'a Seed,
    options: RunOptions,
    rows: Vec<R>,
    file: Option<OpenFile>,
    row: PhantomData<R>,
}

struct OpenFile {
    parquet: SerializedFileWriter<Vec<u8>>,
    name: String,
    salt: [u8; 16],
    rows: u64,
}

impl<'a, R: Row> RunWriter<'a, R> {
    /// Begins with the sequence number of `writer`; further runs take the numbers after it.
    #[must_use]
    pub fn new(writer: Writer, level: u8, keys: &'a WriterKeys, seed: &'a Seed, options: RunOptions) -> Self {
        Self { writer, level, keys, seed, options, rows: Vec::new(), file: None, row: PhantomData }
    }

    /// Adds a row; rows come sorted by key, `from` and `seq`. Gives a run whenever one is full.
    ///
    /// # Errors
    /// [`RepoError::Limit`]: rows are out of order, or Parquet refuses them.
    pub fn push(&mut self, row: R) -> Result<Option<FinishedRun>, RepoError> {
        if self.rows.last().is_some_and(|last| order(last) >= order(&row)) {
            return Err(RepoError::Limit { name: R::TABLE.to_string(), limit: "rows come in order, each once" });
        }
        self.rows.push(row);
        if self.rows.len() < self.options.rows_per_group {
            return Ok(None);
        }
        self.flush()?;
        let length = self.file.as_ref().map_or(0, |file| file.parquet.bytes_written());
        if length < self.options.length { Ok(None) } else { self.close() }
    }

    /// Gives the last run, if there are rows left.
    ///
    /// # Errors
    /// As [`RunWriter::push`].
    pub fn finish(mut self) -> Result<Option<FinishedRun>, RepoError> {
        if !self.rows.is_empty() {
            self.flush()?;
        }
        self.close()
    }

    fn flush(&mut self) -> Result<(), RepoError> {
        if self.file.is_none() {
            self.file = Some(self.open()?);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        write_group(&mut file.parquet, &self.rows).map_err(|_| refused(&file.name))?;
        file.rows += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    fn open(&self) -> Result<OpenFile, RepoError> {
        let name = Name::Run { table: R::TABLE, level: self.level, writer: self.writer }.to_string();
        let salt = self.seed.bytes();
        let key = run_key(self.keys, &salt, &name).expose().to_vec();
        let parquet = open_parquet::<R>(key, salt).map_err(|_| refused(&name))?;
        Ok(OpenFile { parquet, name, salt, rows: 0 })
    }

    fn close(&mut self) -> Result<Option<FinishedRun>, RepoError> {
        let Some(OpenFile { parquet, name, salt, rows }) = self.file.take() else { return Ok(None) };
        let bytes = Bytes::from(parquet.into_inner().map_err(|_| refused(&name))?);
        let hash = *blake3::hash(&bytes).as_bytes();
        let (writer, level, size) = (self.writer, self.level, bytes.len() as u64);
        let reference = RunReference { table: R::TABLE, level, writer, size, hash, salt, rows };
        self.writer = self.writer.with_sequence(self.writer.sequence + 1);
        Ok(Some(FinishedRun { reference, bytes }))
    }
}

/// What rows of a table are sorted by.
pub(crate) fn order<R: Row>(row: &R) -> impl Ord + use<R> {
    (row.key(), Row::from(row), row.seq())
}

fn refused(name: &str) -> RepoError {
    RepoError::Limit { name: name.to_owned(), limit: "what Parquet can write" }
}

fn open_parquet<R: ColumnRow>(key: Vec<u8>, salt: [u8; 16]) -> Result<SerializedFileWriter<Vec<u8>>, ParquetError> {
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

fn write_group<R: ColumnRow>(parquet: &mut SerializedFileWriter<Vec<u8>>, rows: &[R]) -> Result<(), ParquetError> {
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
