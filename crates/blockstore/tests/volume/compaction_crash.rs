//! Crashes and failures at every operation of a compaction.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use blockstore::{BlockStore, NewBlock};
use runtime::{FileOperation, Files, Seed, Watch};
use types::PgId;

use crate::support::{Folder, assert_holds, close, compact, compact_once, id, noisy_block};

const LENGTH: usize = 10_000;

/// Of each kind of segment one: needed but for a block whose tombstone lies elsewhere, hardly needed, with that tombstone,
/// and empty.
async fn prepare(store: &BlockStore) {
    put(store, 0..7).await;
    remove(store, 3..4).await;
    put(store, 7..25).await;
    remove(store, 6..10).await;
    remove(store, 12..23).await;
}

/// What a prepared volume holds.
fn expected() -> Vec<NewBlock> {
    let is_held = |sequence: &u64| !(*sequence == 3 || (6..10).contains(sequence) || (12..23).contains(sequence));
    (0..25).filter(is_held).map(|sequence| noisy_block(sequence, LENGTH)).collect()
}

async fn put(store: &BlockStore, range: Range<u64>) {
    for sequence in range {
        store.put(vec![noisy_block(sequence, LENGTH)]).await.unwrap();
    }
}

async fn remove(store: &BlockStore, range: Range<u64>) {
    store.remove(range.map(id).collect()).await.unwrap();
}

/// The volume opens without damage, with and without its index, holds what it should, and can be compacted.
async fn check(folder: &Folder, what: &str) {
    for lose_index in [false, true] {
        if lose_index {
            folder.lose_index();
        }
        let store = folder.open().await;
        check_answers(&store, &format!("{what}, index lost: {lose_index}")).await;
        if lose_index {
            compact(&store).await;
            check_answers(&store, &format!("{what}, and compacted")).await;
        }
        close(store).await;
    }
}

async fn check_answers(store: &BlockStore, what: &str) {
    assert_eq!(store.recovery().damaged, [], "{what}");
    let ids: Vec<_> = expected().iter().map(|block| block.id).collect();
    assert_eq!(store.ids(PgId(1), None, 100).await.unwrap(), ids, "{what}");
    assert_holds(store, &expected()).await;
    assert!(store.quarantined(None, 9).await.unwrap().is_empty(), "{what}");
}

/// More operations than there are.
const NEVER: u64 = u64::MAX;

/// Fails one operation on files of the volume, and those behind it if it is to.
struct FailsAt {
    left: AtomicU64,
    and_all_behind: bool,
}

impl Watch for FailsAt {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        if !changes(operation) {
            return Ok(());
        }
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)));
        match left {
            Ok(1) => Err(io::ErrorKind::Other.into()),
            Ok(0) if self.and_all_behind => Err(io::ErrorKind::Other.into()),
            _ => Ok(()),
        }
    }
}

const fn changes(operation: FileOperation) -> bool {
    !matches!(operation, FileOperation::Read | FileOperation::Inspect | FileOperation::FreeSpace | FileOperation::List)
}

#[tokio::test]
async fn a_compaction_that_fails_at_any_operation_loses_nothing() {
    let prepared = Folder::new();
    let store = prepared.open().await;
    prepare(&store).await;
    close(store).await;
    for and_all_behind in [false, true] {
        for operation in 1_u64.. {
            let folder = prepared.copy();
            let disk = Arc::new(FailsAt { left: AtomicU64::new(NEVER), and_all_behind });
            let store = folder.open_watched(Arc::clone(&disk) as Arc<dyn Watch>).await;
            disk.left.store(operation, Ordering::Relaxed);
            let mut failed = false;
            for _ in 0..4 {
                failed |= compact_once(&store).await.is_err();
            }
            let is_through = disk.left.load(Ordering::Relaxed) > 0;
            close(store).await;
            check(&folder, &format!("operation {operation} failed, compaction: {failed}")).await;
            if is_through {
                assert!(operation > 10, "a compaction has more operations");
                break;
            }
        }
    }
}

type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A disk that can tell what would be there after a loss of power.
struct Power {
    folder: PathBuf,
    seed: Seed,
    state: Mutex<Option<State>>,
}

struct State {
    /// What is there for good, by path within the folder.
    durable: Image,
    /// What has begun, and is through when the next one begins.
    pending: Option<(FileOperation, PathBuf)>,
    images: Vec<(String, Image)>,
}

impl Power {
    fn begin(&self) {
        *self.state.lock().unwrap() = Some(State { durable: self.current(), pending: None, images: Vec::new() });
    }

    fn end(&self) -> Vec<(String, Image)> {
        self.state.lock().unwrap().take().unwrap().images
    }

    /// The files of the volume but for its index, as they are now.
    fn current(&self) -> Image {
        let files = Files::real();
        let segments = files.list(&self.folder.join("segments")).unwrap().into_iter();
        let others = files.list(&self.folder).unwrap().into_iter();
        segments
            .chain(others)
            .filter(|entry| entry.path.is_file() && entry.name != "lock")
            .map(|entry| (entry.path.strip_prefix(&self.folder).unwrap().to_owned(), files.read(&entry.path).unwrap()))
            .collect()
    }

    /// Each file as it is for good, or as it is now, or in the case of one that grows something between.
    fn mixed(&self, durable: &Image, current: &Image) -> Image {
        let mut mixed = Image::new();
        for path in durable.keys().chain(current.keys()).collect::<BTreeSet<_>>() {
            let chosen = if self.seed.below(2) == 0 { durable.get(path) } else { current.get(path) };
            let Some(bytes) = chosen else { continue };
            let synced = durable.get(path).map_or(0, Vec::len);
            let mut bytes = bytes.clone();
            if bytes.len() > synced {
                bytes.truncate(synced + usize::try_from(self.seed.below((bytes.len() - synced) as u64)).unwrap());
            }
            mixed.insert(path.clone(), bytes);
        }
        mixed
    }
}

impl State {
    /// The operation before is through by now.
    fn settle(&mut self, current: &Image, folder: &Path) {
        match self.pending.take() {
            Some((FileOperation::Sync, path)) => {
                let path = path.strip_prefix(folder).unwrap().to_owned();
                if let Some(bytes) = current.get(&path) {
                    self.durable.insert(path, bytes.clone());
                }
            }
            Some((FileOperation::SyncFolder, path)) => {
                let inside = path.strip_prefix(folder).unwrap();
                self.durable.retain(|path, _| path.parent() != Some(inside) || current.contains_key(path));
                let here = current.iter().filter(|(path, _)| path.parent() == Some(inside));
                for (path, bytes) in here {
                    // What is renamed was synced before under its other name.
                    let is_segment = path.extension().is_some_and(|ending| ending == "segment");
                    if !is_segment || !self.durable.contains_key(path) {
                        self.durable.insert(path.clone(), bytes.clone());
                    }
                }
            }
            _ => {}
        }
    }
}

impl Watch for Power {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        let Some(state) = state.as_mut().filter(|_| changes(operation)) else { return Ok(()) };
        let current = self.current();
        state.settle(&current, &self.folder);
        let name = format!("before {operation} {}", path.file_name().unwrap_or_default().display());
        let mixed = self.mixed(&state.durable, &current);
        state.images.extend([
            (format!("{name}, nothing of what was not synced"), state.durable.clone()),
            (format!("{name}, something of it"), mixed),
            (format!("{name}, all of it"), current),
        ]);
        state.pending = Some((operation, path.to_owned()));
        Ok(())
    }
}

/// A rebuild from the segments alone gives the same at every moment, and so does an index from before.
#[tokio::test]
async fn a_loss_of_power_at_any_operation_of_a_compaction_loses_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    prepare(&store).await;
    close(store).await;
    let earlier = folder.copy();
    let seed = Seed::fixed(crate::histories::seed());
    let disk = Arc::new(Power { folder: folder.path().to_owned(), seed, state: Mutex::default() });
    let store = folder.open_watched(Arc::clone(&disk) as Arc<dyn Watch>).await;
    disk.begin();
    assert!(compact(&store).await >= 2);
    let mut images = disk.end();
    close(store).await;

    assert!(images.len() >= 60, "{}", images.len());
    images.dedup_by(|one, other| one.1 == other.1);
    for (what, image) in images {
        let crashed = Folder::new();
        crashed.files.create_dirs(&crashed.path().join("segments")).unwrap();
        for (path, bytes) in image {
            crashed.files.create(&crashed.path().join(path)).unwrap().write_all_at(0, &bytes).unwrap();
        }
        crashed.put_back_index_of(&earlier);
        check(&crashed, &what).await;
    }
}

/// Takes a copy of the whole volume before a segment is removed.
struct Copied {
    folder: Mutex<Option<Folder>>,
    copy: Mutex<Option<Folder>>,
}

impl Watch for Copied {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        if operation == FileOperation::Remove && path.extension().is_some_and(|ending| ending == "segment") {
            let folder = self.folder.lock().unwrap();
            *self.copy.lock().unwrap() = folder.as_ref().map(Folder::copy);
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_index_that_a_crash_leaves_knows_nothing_of_a_segment_that_is_removed() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..7).await;
    remove(&store, 1..6).await;
    close(store).await;
    let (options, disk) = (folder.options(), Arc::new(Copied { folder: Mutex::default(), copy: Mutex::default() }));
    *disk.folder.lock().unwrap() = Some(folder);
    let store = Folder::new().open_with(options, Files::watched(Arc::clone(&disk) as Arc<dyn Watch>)).await.unwrap();
    assert_eq!(compact(&store).await, 1);
    close(store).await;

    let crashed = disk.copy.lock().unwrap().take().expect("a segment was removed");
    for is_removed in [false, true] {
        let crashed = crashed.copy();
        if is_removed {
            crashed.files.remove(&crashed.segments()[0]).unwrap();
        }
        let store = crashed.open().await;
        assert_eq!((store.recovery().replayed_records, store.recovery().damaged_bytes), (0, 0));
        assert_holds(&store, &[noisy_block(0, LENGTH), noisy_block(6, LENGTH)]).await;
        assert!(!crashed.path().join("segments/0000000000000001.segment").exists());
        assert_eq!(store.usage().await.unwrap().segments, 1);
        close(store).await;
    }
}
