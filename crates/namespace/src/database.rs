//! RocksDB: how it is opened, and rows read from a fixed state of it.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    DEFAULT_COLUMN_FAMILY_NAME, FlushOptions, Options, ReadOptions, Snapshot, WriteBatch, WriteOptions,
    checkpoint::Checkpoint,
};
use self_cell::self_cell;

use crate::error::StoreError;
use crate::family::Family;
use crate::keys::KeyRange;

/// Bytes of one family's memtable; with `atomic_flush` the first full one takes all others along.
const MEMTABLE_BYTES: usize = 32 << 20;
/// Bytes of all memtables together: one that is full is flushed, and with it all others.
const MEMTABLES_BYTES: usize = 128 << 20;
/// Blocks that stay in memory, over all families.
const CACHE_BYTES: usize = 128 << 20;
/// Files kept open: a bound on memory and descriptors.
const OPEN_FILES_MAX: i32 = 1024;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);
/// Rows of one family in the order of their keys.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a>;

/// Rows as bytes: a fixed state of the store, or the state that operations are being applied to.
pub trait Rows {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// The rows of a range, one after the other.
    fn walk(&self, family: Family, range: KeyRange, direction: Direction) -> Pairs<'_>;

    /// The rows of a range, in the order of their keys.
    fn scan(&self, family: Family, range: KeyRange) -> Pairs<'_> {
        self.walk(family, range, Direction::Up)
    }
}

/// Which way a range is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key on.
    Up,
    /// From the largest key on.
    Down,
}

impl Direction {
    /// Which of two keys comes first.
    pub fn compare(self, one: &[u8], other: &[u8]) -> Ordering {
        match self {
            Self::Up => one.cmp(other),
            Self::Down => other.cmp(one),
        }
    }
}

/// An open RocksDB with all families.
pub struct Database {
    db: DB,
}

impl Database {
    /// Opens or makes the store in a folder whose parent exists.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_atomic_flush(true);
        options.set_paranoid_checks(true);
        options.set_db_write_buffer_size(MEMTABLES_BYTES);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_keep_log_file_num(4);
        let family_options = family_options();
        let families = Family::ALL.map(|family| ColumnFamilyDescriptor::new(family.name(), family_options.clone()));
        let db = DB::open_cf_descriptors(&options, folder, families).map_err(failed("opening"))?;
        Ok(Self { db })
    }

    /// Writes one batch without the WAL: the Raft log is the WAL (rule P5).
    pub fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(batch, &options).map_err(failed("writing a batch"))
    }

    /// Makes everything written so far durable, over all families at once.
    pub fn flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let families: Vec<&ColumnFamily> = Family::ALL.into_iter().map(|family| self.family(family)).collect();
        let families: Vec<_> = families.iter().collect();
        self.db.flush_cfs_opt(&families, &options).map_err(failed("flushing"))
    }

    /// Makes a copy that shares its files, in a folder that does not exist yet.
    pub fn checkpoint(&self, folder: &Path) -> Result<(), StoreError> {
        let checkpoint = Checkpoint::new(&self.db).map_err(failed("preparing a checkpoint"))?;
        checkpoint.create_checkpoint(folder).map_err(failed("making a checkpoint"))
    }

    /// The handle of a family.
    pub fn family(&self, family: Family) -> &ColumnFamily {
        self.db.cf_handle(family.name()).expect("every family is opened with the store")
    }
}

/// A store with other families than ours, open for reading alone: opening it in full would add what it lacks, and the
/// program that it belongs to could open it no more.
pub struct Foreign {
    db: DB,
}

impl Foreign {
    /// Opens what is in the folder, if that is a store and has other families.
    pub fn open(folder: &Path) -> Result<Option<Self>, StoreError> {
        let options = Options::default();
        // A folder without a store, or one that cannot be read, is for the one that opens it in full.
        let Ok(mut found) = DB::list_cf(&options, folder) else { return Ok(None) };
        // Every store has it, and nothing is in it.
        found.retain(|name| name != DEFAULT_COLUMN_FAMILY_NAME);
        found.sort_unstable();
        let mut ours = Family::ALL.map(Family::name);
        ours.sort_unstable();
        // One whose making was cut short has no format yet.
        if found == ours || !found.iter().any(|name| name == Family::Meta.name()) {
            return Ok(None);
        }
        let db = DB::open_cf_for_read_only(&options, folder, [Family::Meta.name()], false);
        Ok(Some(Self { db: db.map_err(failed("opening"))? }))
    }

    /// The value of a key of `meta`.
    pub fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let family = self.db.cf_handle(Family::Meta.name()).expect("the family is opened with the store");
        self.db.get_cf(family, key).map_err(failed("reading a row"))
    }
}

impl Rows for Database {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(family), key).map_err(failed("reading a row"))
    }

    fn walk(&self, family: Family, range: KeyRange, direction: Direction) -> Pairs<'_> {
        let iterator = self.db.raw_iterator_cf_opt(self.family(family), bounded(range));
        Box::new(Cursor::start(iterator, direction))
    }
}

self_cell!(
    struct Held {
        owner: Arc<Database>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// The rows of one moment, whatever is written after it.
pub struct Frozen(Held);

impl Frozen {
    /// Holds the state of this moment.
    pub fn new(database: Arc<Database>) -> Self {
        Self(Held::new(database, |database| database.db.snapshot()))
    }
}

impl Rows for Frozen {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let family = self.0.borrow_owner().family(family);
        self.0.borrow_dependent().get_cf(family, key).map_err(failed("reading a row"))
    }

    fn walk(&self, family: Family, range: KeyRange, direction: Direction) -> Pairs<'_> {
        let family = self.0.borrow_owner().family(family);
        let iterator = self.0.borrow_dependent().raw_iterator_cf_opt(family, bounded(range));
        Box::new(Cursor::start(iterator, direction))
    }
}

/// Walks one range of one family.
struct Cursor<'a> {
    iterator: DBRawIterator<'a>,
    direction: Direction,
}

impl<'a> Cursor<'a> {
    /// The iterator has the bounds of the range.
    fn start(mut iterator: DBRawIterator<'a>, direction: Direction) -> Self {
        match direction {
            Direction::Up => iterator.seek_to_first(),
            Direction::Down => iterator.seek_to_last(),
        }
        Self { iterator, direction }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Result<Pair, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((key, value)) = self.iterator.item() {
            let pair = (key.to_vec(), value.to_vec());
            match self.direction {
                Direction::Up => self.iterator.next(),
                Direction::Down => self.iterator.prev(),
            }
            return Some(Ok(pair));
        }
        // An iterator that is not valid has come to its end, or has failed.
        self.iterator.status().err().map(|source| Err(failed("scanning rows")(source)))
    }
}

fn bounded(range: KeyRange) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(range.start);
    if let Some(end) = range.end {
        options.set_iterate_upper_bound(end);
    }
    options
}

fn family_options() -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
    table.set_bloom_filter(10.0, false);
    table.set_format_version(5);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options
}

fn failed(step: &'static str) -> impl FnOnce(rocksdb::Error) -> StoreError {
    move |source| StoreError::Database { step, source }
}
