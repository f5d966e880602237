//! Two volumes, one of which fails or hangs.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use blockstore::BlockStoreMetrics;
use bytes::Bytes;
use runtime::{FileOperation, Files, Metrics, Seed, Tasks, Watch};
use types::SessionId;

use super::*;

/// Longer than all deadlines of one call.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the segments of the first volume do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    Broken,
    Hanging,
}

/// Two disks, of which the first has moods.
struct Disks {
    first: PathBuf,
    mood: Mutex<Mood>,
    changed: Condvar,
}

impl Disks {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
        self.changed.notify_all();
    }
}

impl Watch for Disks {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        if !is_segment || !path.starts_with(&self.first) {
            return Ok(());
        }
        let mood = self.mood.lock().unwrap();
        let mood = self.changed.wait_while(mood, |mood| *mood == Mood::Hanging).unwrap();
        if *mood == Mood::Broken && operation == FileOperation::Write {
            Err(io::ErrorKind::Other.into())
        } else {
            Ok(())
        }
    }
}

struct World {
    disks: Arc<Disks>,
    volumes: Volumes,
    /// The first volume is the one with moods, whatever its number.
    first: VolumeId,
    second: VolumeId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let folders = ["first", "second"].map(|name| folder.path().join(name));
        let disks = Disks { first: folders[0].clone(), mood: Mutex::new(Mood::Good), changed: Condvar::new() };
        let disks = Arc::new(disks);
        let metrics = BlockStoreMetrics::new(&Metrics::new());
        let mut volumes = Volumes { clock: Clock::real(), stores: BTreeMap::new(), ids: Vec::new() };
        for folder in &folders {
            let outside = Outside {
                files: Files::watched(disks.clone()),
                tasks: Tasks::new("test"),
                seed: Seed::from_os(),
                metrics: metrics.clone(),
            };
            let options = Options { reserve_bytes: 0, ..Options::new(folder) };
            let store = BlockStore::open(options, outside).await.unwrap();
            volumes.ids.push(store.volume());
            volumes.stores.insert(store.volume(), Volume { folder: folder.clone(), store });
        }
        let (first, second) = (volumes.ids[0], volumes.ids[1]);
        Self { disks, volumes, first, second, _folder: folder }
    }

    async fn put(&self, volume: VolumeId, sequence: u64) -> Result<(), NodeError> {
        let encoded = block::encode(&[sequence as u8; 1000]).unwrap();
        let block = replication::StoredBlock { id: id(sequence), digest: encoded.digest, stored: encoded.stored };
        self.volumes.put(volume, PgId(1), vec![block]).await
    }

    /// Waits for the threads of the volumes: one that is still at work when the process ends would meet a RocksDB that is
    /// being taken down.
    async fn end(self) {
        self.disks.set(Mood::Good);
        self.volumes.close().await;
    }

    async fn stored(&self, sequence: u64) -> Option<Bytes> {
        self.volumes.get(id(sequence)).await.unwrap().map(|block| block.stored)
    }
}

fn id(sequence: u64) -> BlockId {
    BlockId { session: SessionId(1), sequence }
}

#[tokio::test]
async fn a_volume_that_takes_no_writes_does_not_stop_the_removal_from_another() {
    let world = World::new().await;
    for (volume, sequence) in [(world.first, 1), (world.second, 2), (world.second, 3)] {
        world.put(volume, sequence).await.unwrap();
    }
    world.disks.set(Mood::Broken);
    world.put(world.first, 4).await.unwrap_err();

    let removal = world.volumes.remove([1, 2, 5].map(id).to_vec()).await;

    assert_eq!(removal.removed, [2, 5].map(id));
    assert!(removal.failure.is_some());
    assert!(world.stored(1).await.is_some() && world.stored(2).await.is_none() && world.stored(3).await.is_some());
    let nothing_of_the_broken_one = world.volumes.remove(vec![id(3)]).await;
    assert!(nothing_of_the_broken_one.failure.is_none());
    world.end().await;
}

#[tokio::test]
async fn a_disk_that_hangs_is_given_up_in_time_and_hides_no_block_of_another() {
    let world = World::new().await;
    world.put(world.first, 1).await.unwrap();
    world.put(world.second, 2).await.unwrap();
    world.disks.set(Mood::Hanging);

    let read = Clock::real().timeout(READ_DEADLINE * 2, world.volumes.get(id(1))).await.expect("it is given up");
    assert!(matches!(read, Err(NodeError::SlowVolume { .. })), "{read:?}");
    assert!(world.stored(2).await.is_some());

    world.disks.set(Mood::Good);
    assert!(world.stored(1).await.is_some());
    world.end().await;
}

#[tokio::test]
async fn reads_of_a_disk_that_hangs_leave_threads_for_everything_else() {
    let world = World::new().await;
    world.put(world.first, 1).await.unwrap();
    world.disks.set(Mood::Hanging);
    // As many as the executor has threads that may block.
    let hanging = futures::future::join_all((0..600).map(|_| world.volumes.get(id(1))));
    let other_work = async { Clock::real().timeout(READ_DEADLINE / 2, runtime::blocking(|| 7)).await };
    let (reads, seven) = futures::future::join(hanging, other_work).await;
    world.disks.set(Mood::Good);
    assert!(reads.iter().all(Result::is_err));
    assert_eq!(seven, Ok(7));
    world.end().await;
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_neither_the_removal_from_another_nor_the_end() {
    let world = World::new().await;
    for (volume, sequence) in [(world.first, 1), (world.second, 2)] {
        world.put(volume, sequence).await.unwrap();
    }
    world.disks.set(Mood::Hanging);
    let clock = Clock::real();

    let removal = clock.timeout(PATIENCE, world.volumes.remove([1, 2].map(id).to_vec())).await.expect("it is given up");
    assert!(removal.failure.is_some() && !removal.removed.contains(&id(1)));
    let second = world.volumes.stores.get(&world.second).unwrap();
    assert!(!second.store.holds(id(2)).await.unwrap(), "the other volume has removed its block");
    clock.timeout(PATIENCE, world.volumes.close()).await.expect("the end does not wait for the disk");
    world.end().await;
}
