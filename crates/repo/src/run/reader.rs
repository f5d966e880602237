//! Reading a run, a row group at a time.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use runtime::blocking;
use site::Site;

use super::decrypt::{END_LENGTH, Modules, footer_length};
use super::{Column, Columns, RunReference};
use crate::RepoError;
use crate::keys::WriterKeys;
use crate::names::Name;
use crate::rows::Row;

/// What the first read of a run's end takes: most footers are in it.
const TAIL_LENGTH: u64 = 64 << 10;
/// The most rows of a row group, and so the most that a reader makes room for at once.
const GROUP_ROWS_MAX: usize = 1 << 20;

/// An opened run: its footer, and what opens its pages.
pub(crate) struct RunReader {
    site: Site,
    reference: RunReference,
    name: String,
    metadata: ParquetMetaData,
    modules: Modules,
}

impl RunReader {
    /// Reads and opens the footer of a run.
    pub(crate) async fn open(site: &Site, reference: &RunReference, keys: &WriterKeys) -> Result<Self, RepoError> {
        let name = reference.name().to_string();
        let missing = |error| RepoError::missing(error, "a commit");
        let size = site.size(&name).await.map_err(missing)?;
        if size != reference.size {
            return Err(RepoError::damaged(name, "its length is not what the commit says"));
        }
        let mut tail = site.get_range(&name, size.saturating_sub(TAIL_LENGTH)..size).await.map_err(missing)?;
        let length = footer_length(&tail).ok_or_else(|| RepoError::damaged(&name, "it does not end as a run does"))?;
        let needed = (length as u64).saturating_add(END_LENGTH as u64);
        if needed > size {
            return Err(RepoError::damaged(name, "its footer is longer than it is"));
        }
        if needed > tail.len() as u64 {
            tail = site.get_range(&name, size - needed..size).await.map_err(missing)?;
        }
        let footer = tail.len().checked_sub(length + END_LENGTH).and_then(|start| tail.get(start..start + length));
        let opened = Modules::open_footer(&reference.key(keys), footer.unwrap_or_default());
        let (modules, metadata) = opened.map_err(|what| RepoError::damaged(&name, what))?;
        let metadata = decode_metadata(&metadata);
        let metadata = metadata.map_err(|_| RepoError::damaged(&name, "its metadata is malformed"))?;
        if rows_of(&metadata) != Some(reference.rows) {
            return Err(RepoError::damaged(name, "it does not have the rows that the commit says"));
        }
        Ok(Self { site: site.clone(), reference: *reference, name, metadata, modules })
    }

    /// Its name.
    pub(crate) const fn name(&self) -> Name {
        self.reference.name()
    }

    /// How many row groups it has.
    pub(crate) fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// Whether a row group may hold rows whose leading key numbers are these, by its statistics.
    pub(crate) fn may_hold(&self, group: usize, key: &[u64]) -> bool {
        let Some(columns) = self.metadata.row_groups().get(group).map(RowGroupMetaData::columns) else { return false };
        let bounds: Option<Vec<(u64, u64)>> = columns.iter().take(key.len()).map(bounds).collect();
        // Bounds of each column apart: (1, 9) and (3, 2) give 1..=3 and 2..=9, which holds more than the keys between.
        bounds
            .is_none_or(|bounds| bounds.iter().zip(key).all(|((least, most), number)| (least..=most).contains(&number)))
    }

    /// Reads and decodes a row group.
    pub(crate) async fn group<R: Row>(self: Arc<Self>, group: usize) -> Result<Vec<R>, RepoError> {
        let damaged = |what| RepoError::damaged(&self.name, what);
        if R::TABLE != self.reference.table {
            return Err(damaged("it holds another table"));
        }
        let metadata = self.metadata.row_groups().get(group).ok_or_else(|| damaged("it lacks a row group"))?;
        let range = range_of(metadata).ok_or_else(|| damaged("a row group lies outside of it"))?;
        let bytes = self.site.get_range(&self.name, range.clone()).await;
        let bytes = bytes.map_err(|error| RepoError::missing(error, "a commit"))?;
        let reader = Arc::clone(&self);
        blocking(move || reader.decode(group, range.start, &bytes)).await.map_err(damaged)
    }

    fn decode<R: Row>(&self, group: usize, start: u64, bytes: &Bytes) -> Result<Vec<R>, &'static str> {
        let metadata = self.metadata.row_groups().get(group).ok_or("it lacks a row group")?;
        decode_group(metadata, |index, chunk| {
            let sealed = slice_of(bytes, start, chunk).ok_or("a column lies outside of its row group")?;
            let has_dictionary = chunk.dictionary_page_offset().is_some();
            self.modules.open_chunk(group, index, has_dictionary, &sealed).map(Bytes::from)
        })
    }
}

/// Decodes the rows of a group, given what opens the pages of each column.
pub(super) fn decode_group<R: Row>(
    metadata: &RowGroupMetaData,
    open_chunk: impl Fn(usize, &ColumnChunkMetaData) -> Result<Bytes, &'static str>,
) -> Result<Vec<R>, &'static str> {
    let rows = usize::try_from(metadata.num_rows()).ok().filter(|rows| *rows <= GROUP_ROWS_MAX);
    let rows = rows.ok_or("a row group is larger than the format allows")?;
    let mut columns = Vec::new();
    for (index, chunk) in metadata.columns().iter().enumerate() {
        let plain = open_chunk(index, chunk)?;
        columns.push(guarded(|| read_column(chunk, plain, rows)).map_err(|_| "a column is malformed")?);
    }
    let rows = R::from_columns(Columns(columns.into_iter()), rows);
    rows.ok_or("its columns are not those of its table")
}

/// Decodes the metadata of a run.
pub(super) fn decode_metadata(metadata: &[u8]) -> Result<ParquetMetaData, ParquetError> {
    guarded(|| ParquetMetaDataReader::decode_metadata(metadata))
}

/// Has the crate `parquet` decode something. It panics on some bytes that no writer makes, such as a page that uses a
/// dictionary which is not there. Here that is damage like any other: nothing is kept of what it had begun.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    let panicked = |_| Err(ParquetError::General("the decoder gave up".into()));
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(panicked)
}

fn rows_of(metadata: &ParquetMetaData) -> Option<u64> {
    u64::try_from(metadata.file_metadata().num_rows()).ok()
}

/// Least and largest value of a column of unsigned numbers, if the file tells.
pub(super) fn bounds(chunk: &ColumnChunkMetaData) -> Option<(u64, u64)> {
    match chunk.statistics()? {
        Statistics::Int64(numbers) => Some((numbers.min_opt()?.cast_unsigned(), numbers.max_opt()?.cast_unsigned())),
        _ => None,
    }
}

/// Where a chunk lies in the file. `byte_range` of the crate panics on numbers that no file has.
pub(super) fn chunk_range(chunk: &ColumnChunkMetaData) -> Option<Range<u64>> {
    let first = chunk.dictionary_page_offset().unwrap_or(i64::MAX).min(chunk.data_page_offset());
    let start = u64::try_from(first).ok()?;
    Some(start..start.checked_add(u64::try_from(chunk.compressed_size()).ok()?)?)
}

pub(super) fn range_of(group: &RowGroupMetaData) -> Option<Range<u64>> {
    let ranges: Option<Vec<Range<u64>>> = group.columns().iter().map(chunk_range).collect();
    let ranges = ranges?;
    Some(ranges.iter().map(|range| range.start).min()?..ranges.iter().map(|range| range.end).max()?)
}

fn slice_of(bytes: &Bytes, start: u64, chunk: &ColumnChunkMetaData) -> Option<Bytes> {
    let range = chunk_range(chunk)?;
    let offset = |end: u64| usize::try_from(end.checked_sub(start)?).ok();
    let (from, to) = (offset(range.start)?, offset(range.end)?);
    (to <= bytes.len()).then(|| bytes.slice(from..to))
}

/// Decodes a chunk whose pages are plain now; its metadata is adjusted to say so.
fn read_column(chunk: &ColumnChunkMetaData, plain: Bytes, rows: usize) -> Result<Column, ParquetError> {
    let length = i64::try_from(plain.len()).map_err(|_| ParquetError::General("a chunk is too long".into()))?;
    let has_dictionary = chunk.dictionary_page_offset().is_some();
    let adjusted = chunk
        .clone()
        .into_builder()
        .set_total_compressed_size(length)
        .set_data_page_offset(0)
        .set_dictionary_page_offset(has_dictionary.then_some(0))
        .build()?;
    let pages = SerializedPageReader::new(Arc::new(plain), &adjusted, rows, None)?;
    match get_column_reader(chunk.column_descr_ptr(), Box::new(pages)) {
        ColumnReader::BoolColumnReader(reader) => values(reader, rows).map(Column::Bool),
        ColumnReader::Int32ColumnReader(reader) => values(reader, rows).map(Column::Int32),
        ColumnReader::Int64ColumnReader(reader) => values(reader, rows).map(Column::Int64),
        ColumnReader::ByteArrayColumnReader(reader) => values(reader, rows).map(Column::Bytes),
        ColumnReader::FixedLenByteArrayColumnReader(reader) => values(reader, rows).map(Column::Fixed),
        _ => Err(ParquetError::General("no table has a column of that type".into())),
    }
}

fn values<T: DataType>(mut reader: ColumnReaderImpl<T>, rows: usize) -> Result<Vec<T::T>, ParquetError> {
    let mut values = Vec::with_capacity(rows);
    while values.len() < rows {
        let (records, ..) = reader.read_records(rows - values.len(), None, None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::EOF("a column has fewer values than its row group has rows".into()));
        }
    }
    Ok(values)
}
