//! Where each block is: RocksDB without a log of its own.
//!
//! One family, so that what a crash leaves is the state at one moment, and [`Covered`] in it says which records of the
//! segments that state holds. Only the writer changes it.
//!
//! | key | value |
//! | --- | --- |
//! | `b`, block id | [`Row`] |
//! | `p`, placement group, block id | nothing: the held blocks of the group |
//! | `q`, block id | nothing: the quarantined blocks |
//! | `s`, segment number | [`SegmentUse`] |
//! | `g`, block id, segment number | nothing: that segment has a dead record of the block |
//! | `t`, block id | the segment of the tombstone that keeps those from counting |
//! | `m`, `covered` | [`Covered`] |

mod changes;
pub(crate) mod decoders;
mod keys;
mod row;

use std::path::{Path, PathBuf};

use rocksdb::{BlockBasedOptions, DB, DBCompressionType, IteratorMode, ReadOptions, WriteBatch};
use runtime::Files;
use types::{BlockId, PgId};

pub(crate) use self::changes::Changes;
pub(crate) use self::row::{Covered, Row, RowState, SegmentUse, VERSION as ROW_VERSION};
use crate::BlockStoreError;
use crate::segment::SegmentNumber;

/// RocksDB's own files that may be open.
const OPEN_FILES_MAX: i32 = 128;
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// About one false positive in a hundred.
const BLOOM_BITS_PER_KEY: f64 = 10.0;

type KeyValue = (Box<[u8]>, Box<[u8]>);

#[derive(Debug)]
pub(crate) struct Index {
    db: DB,
    path: PathBuf,
}

impl Index {
    /// Opens the index; one that RocksDB finds damaged is thrown away, and then covers nothing.
    pub(crate) fn open(files: &Files, path: &Path) -> Result<Self, BlockStoreError> {
        match DB::open(&options(), path) {
            Ok(db) => Ok(Self { db, path: path.to_owned() }),
            Err(error) if error.kind() == rocksdb::ErrorKind::Corruption => {
                tracing::error!(path = %path.display(), %error, "the index is damaged and is rebuilt");
                Self::open_empty(files, path)
            }
            Err(source) => Err(failed(path, "open", source)),
        }
    }

    /// Throws the index away and begins an empty one.
    pub(crate) fn reset(self, files: &Files) -> Result<Self, BlockStoreError> {
        let path = self.path.clone();
        drop(self);
        Self::open_empty(files, &path)
    }

    fn open_empty(files: &Files, path: &Path) -> Result<Self, BlockStoreError> {
        files.remove_dir_all(path)?;
        let db = DB::open(&options(), path).map_err(|source| failed(path, "make", source))?;
        Ok(Self { db, path: path.to_owned() })
    }

    /// What the index says about a block.
    pub(crate) fn row(&self, id: BlockId) -> Result<Option<Row>, BlockStoreError> {
        self.get(&keys::block(id))?.map(|bytes| Row::parse(&bytes).ok_or_else(|| self.unreadable())).transpose()
    }

    /// Whether another release wrote it.
    pub(crate) fn is_of_another_version(&self) -> Result<bool, BlockStoreError> {
        Ok(self.get(keys::COVERED)?.is_some_and(|bytes| !row::has_version(&bytes)))
    }

    /// How far the segments are in this index.
    pub(crate) fn covered(&self) -> Result<Option<Covered>, BlockStoreError> {
        self.get(keys::COVERED)?.map(|bytes| Covered::parse(&bytes).ok_or_else(|| self.unreadable())).transpose()
    }

    /// How much of a segment is in use.
    pub(crate) fn segment_use(&self, number: SegmentNumber) -> Result<SegmentUse, BlockStoreError> {
        let bytes = self.get(&keys::segment(number))?;
        bytes.map_or(Ok(SegmentUse::default()), |bytes| SegmentUse::parse(&bytes).ok_or_else(|| self.unreadable()))
    }

    /// How much of all segments is in use, and how many there are.
    pub(crate) fn total_use(&self) -> Result<(u64, SegmentUse), BlockStoreError> {
        let mut total = (0, SegmentUse::default());
        for entry in self.segments_behind(None) {
            total = (total.0 + 1, total.1.plus(entry?.1));
        }
        Ok(total)
    }

    /// How much of each segment behind `after` is in use, in order.
    pub(crate) fn segments_behind(
        &self,
        after: Option<SegmentNumber>,
    ) -> impl Iterator<Item = Result<(SegmentNumber, SegmentUse), BlockStoreError>> {
        let begin = after.map_or_else(|| keys::SEGMENTS.to_vec(), |number| successor(&keys::segment(number)));
        self.entries(begin, keys::SEGMENTS, usize::MAX).map(|entry| {
            let (key, value) = entry?;
            keys::segment_of(&key).zip(SegmentUse::parse(&value)).ok_or_else(|| self.unreadable())
        })
    }

    /// The segment of the tombstone that is the last word on a block, if older records of the block are there.
    pub(crate) fn tombstone(&self, id: BlockId) -> Result<Option<SegmentNumber>, BlockStoreError> {
        let bytes = self.get(&keys::tombstone(id))?;
        bytes.map(|bytes| row::parse_tombstone(&bytes).ok_or_else(|| self.unreadable())).transpose()
    }

    /// The segments that have dead records of a block.
    pub(crate) fn graves(&self, id: BlockId) -> Result<Vec<SegmentNumber>, BlockStoreError> {
        let prefix = keys::graves(id);
        let entries = self.entries(prefix.clone(), &prefix, usize::MAX);
        entries.map(|entry| keys::segment_of(&entry?.0).ok_or_else(|| self.unreadable())).collect()
    }

    /// The blocks whose record is in a segment, held and quarantined. It looks at all blocks.
    pub(crate) fn blocks_in(&self, number: SegmentNumber) -> Result<Vec<BlockId>, BlockStoreError> {
        self.ids_where(keys::BLOCKS, |value| Row::parse(value).map(|row| row.segment == number))
    }

    /// The blocks whose tombstone is in a segment. It looks at all tombstones.
    pub(crate) fn tombstones_in(&self, number: SegmentNumber) -> Result<Vec<BlockId>, BlockStoreError> {
        self.ids_where(keys::TOMBSTONES, |value| row::parse_tombstone(value).map(|segment| segment == number))
    }

    /// The held blocks of a placement group behind `after`, in order.
    pub(crate) fn ids(&self, pg: PgId, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        let begin = after.map_or_else(|| keys::group(pg).to_vec(), |id| successor(&keys::in_group(pg, id)));
        self.ids_in(begin, &keys::group(pg), limit)
    }

    /// The blocks behind `after`, held and quarantined, in order.
    pub(crate) fn all_ids(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        let begin = after.map_or_else(|| keys::BLOCKS.to_vec(), |id| successor(&keys::block(id)));
        self.ids_in(begin, keys::BLOCKS, limit)
    }

    /// The quarantined blocks behind `after`, in order.
    pub(crate) fn quarantined(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        let begin = after.map_or_else(|| keys::QUARANTINED.to_vec(), |id| successor(&keys::quarantined(id)));
        self.ids_in(begin, keys::QUARANTINED, limit)
    }

    /// Begins changes that are made as one.
    pub(crate) fn changes(&self) -> Changes<'_> {
        Changes::new(self)
    }

    /// Brings everything to the medium.
    pub(crate) fn flush(&self) -> Result<(), BlockStoreError> {
        self.db.flush().map_err(|source| failed(&self.path, "flush", source))
    }

    /// Lets RocksDB bring everything to the medium in the background.
    pub(crate) fn begin_flush(&self) -> Result<(), BlockStoreError> {
        let mut options = rocksdb::FlushOptions::default();
        options.set_wait(false);
        self.db.flush_opt(&options).map_err(|source| failed(&self.path, "flush", source))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), BlockStoreError> {
        self.db.write_without_wal(batch).map_err(|source| failed(&self.path, "change", source))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, BlockStoreError> {
        self.db.get(key).map_err(|source| failed(&self.path, "read", source))
    }

    fn ids_in(&self, begin: Vec<u8>, prefix: &[u8], limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        self.entries(begin, prefix, limit)
            .map(|entry| entry.and_then(|(key, _)| keys::block_of(&key).ok_or_else(|| self.unreadable())))
            .collect()
    }

    fn ids_where(
        &self,
        prefix: &[u8],
        is_wanted: impl Fn(&[u8]) -> Option<bool>,
    ) -> Result<Vec<BlockId>, BlockStoreError> {
        let mut ids = Vec::new();
        for entry in self.entries(prefix.to_vec(), prefix, usize::MAX) {
            let (key, value) = entry?;
            if is_wanted(&value).ok_or_else(|| self.unreadable())? {
                ids.push(keys::block_of(&key).ok_or_else(|| self.unreadable())?);
            }
        }
        Ok(ids)
    }

    /// The entries from `begin` on that have the prefix.
    fn entries(
        &self,
        begin: Vec<u8>,
        prefix: &[u8],
        limit: usize,
    ) -> impl Iterator<Item = Result<KeyValue, BlockStoreError>> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let from = IteratorMode::From(&begin, rocksdb::Direction::Forward);
        let entries = self.db.iterator_opt(from, options);
        entries.take(limit).map(|entry| entry.map_err(|source| failed(&self.path, "list", source)))
    }

    fn unreadable(&self) -> BlockStoreError {
        BlockStoreError::IndexRow { path: self.path.clone() }
    }
}

fn options() -> rocksdb::Options {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_keep_log_file_num(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options
}

/// The first key behind this one.
fn successor(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn failed(path: &Path, operation: &'static str, source: rocksdb::Error) -> BlockStoreError {
    BlockStoreError::Index { path: path.to_owned(), operation, source }
}
