//! A volume in a temporary folder, and ways to hurt it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use blockstore::{BlockStore, BlockStoreError, BlockStoreMetrics, NewBlock, Options, Outside};
use runtime::{EntryKind, FileOperation, Files, Metrics, Seed, Tasks, Watch};
use tempfile::TempDir;
use types::{BlockId, PgId, SessionId};

/// Small, so that a test crosses segments.
pub const SEGMENT_BYTES: u64 = 64 << 10;
/// The length of a segment's header, as `FORMAT.md` has it.
pub const SEGMENT_HEADER_LENGTH: u64 = 56;
/// The length of a record's header, as `FORMAT.md` has it.
pub const RECORD_HEADER_LENGTH: u64 = 88;

/// The medium does not give or take the bytes.
pub const EIO: i32 = 5;
/// The disk is full.
pub const ENOSPC: i32 = 28;
/// The file system does not do that.
pub const EOPNOTSUPP: i32 = 95;

/// Fails an operation on segments with an error of the system, while it is told to.
#[derive(Default)]
pub struct Failing(Mutex<Option<(FileOperation, i32)>>);

impl Failing {
    pub fn with(operation: FileOperation, error: i32) -> Self {
        Self(Mutex::new(Some((operation, error))))
    }

    pub fn set(&self, failure: Option<(FileOperation, i32)>) {
        *self.0.lock().unwrap() = failure;
    }
}

impl Watch for Failing {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        match *self.0.lock().unwrap() {
            Some((failing, error)) if is_segment && failing == operation => Err(io::Error::from_raw_os_error(error)),
            _ => Ok(()),
        }
    }
}

/// A folder that holds, or will hold, a volume.
pub struct Folder {
    folder: TempDir,
    pub files: Files,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder is to be had"), files: Files::real() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn options(&self) -> Options {
        Options { segment_bytes: SEGMENT_BYTES, reserve_bytes: 0, ..Options::new(self.path()) }
    }

    pub async fn open(&self) -> BlockStore {
        self.open_with(self.options(), Files::real()).await.expect("the volume opens")
    }

    pub async fn open_watched(&self, watch: Arc<dyn Watch>) -> BlockStore {
        self.open_with(self.options(), Files::watched(watch)).await.expect("the volume opens")
    }

    pub async fn open_with(&self, options: Options, files: Files) -> Result<BlockStore, BlockStoreError> {
        BlockStore::open(options, outside(files, Tasks::new("test"))).await
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let entries = self.files.list(&self.path().join("segments")).unwrap();
        entries.into_iter().map(|entry| entry.path).collect()
    }

    pub fn last_segment(&self) -> PathBuf {
        self.segments().pop().expect("there is a segment")
    }

    pub fn lose_index(&self) {
        self.files.remove_dir_all(&self.path().join("index")).unwrap();
    }

    /// The same volume in a folder of its own.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy_tree(&self.files, self.path(), copy.path());
        copy
    }

    /// Replaces the index with that of an earlier copy.
    pub fn put_back_index_of(&self, earlier: &Self) {
        self.lose_index();
        copy_tree(&self.files, &earlier.path().join("index"), &self.path().join("index"));
    }
}

pub fn outside(files: Files, tasks: Tasks) -> Outside {
    Outside { files, tasks, seed: Seed::from_os(), metrics: BlockStoreMetrics::new(&Metrics::new()) }
}

pub async fn close(store: BlockStore) {
    store.close().await;
    drop(store);
}

pub fn id(sequence: u64) -> BlockId {
    BlockId { session: SessionId(1), sequence }
}

/// Bytes that one step of a compaction copies, or one record more.
pub const STEP_BYTES: u64 = 16 << 10;

/// Goes through all segments once, and gives how many were removed.
pub async fn compact_once(store: &BlockStore) -> Result<u64, BlockStoreError> {
    let (mut point, mut removed) = (None, 0);
    loop {
        let step = store.compact(point, STEP_BYTES).await?;
        removed += step.segments_removed;
        point = step.next;
        if point.is_none() {
            return Ok(removed);
        }
    }
}

/// Goes through all segments until there is nothing more to do.
pub async fn compact(store: &BlockStore) -> u64 {
    let mut removed = 0;
    loop {
        match compact_once(store).await.expect("it is compacted") {
            0 => return removed,
            more => removed += more,
        }
    }
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Seed::fixed(seed).fill(&mut bytes);
    bytes
}

/// A block of that many plain bytes that do not compress.
pub fn noisy_block(sequence: u64, length: usize) -> NewBlock {
    block_of(sequence, &noise(sequence, length))
}

pub fn block_of(sequence: u64, plain: &[u8]) -> NewBlock {
    let encoded = block::encode(plain).expect("it is short enough");
    NewBlock { id: id(sequence), pg: PgId(1), digest: encoded.digest, stored: encoded.stored }
}

pub async fn assert_holds(store: &BlockStore, blocks: &[NewBlock]) {
    for block in blocks {
        let found = store.get(block.id).await.expect("it can be read").expect("it is there");
        assert_eq!((found.pg, found.digest, &found.stored), (block.pg, block.digest, &block.stored));
    }
}

pub fn flip(files: &Files, path: &Path, offset: u64) {
    let file = files.open_update(path).unwrap();
    let byte = file.read_exact_at(offset, 1).unwrap()[0];
    file.write_all_at(offset, &[byte ^ 1]).unwrap();
}

fn copy_tree(files: &Files, from: &Path, to: &Path) {
    files.create_dirs(to).unwrap();
    for entry in files.list(from).unwrap() {
        let target = to.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => copy_tree(files, &entry.path, &target),
            _ => files.create(&target).unwrap().write_all_at(0, &files.read(&entry.path).unwrap()).unwrap(),
        }
    }
}
