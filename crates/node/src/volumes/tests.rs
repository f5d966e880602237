//! Two volumes, one of which fails, hangs or does not open.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use blockstore::{BlockStoreMetrics, Outside};
use bytes::Bytes;
use runtime::{FileOperation, Files, Metrics, Seed, Tasks, Watch};
use types::{ErrorKind, SessionId};

use super::*;
use crate::BlocksConfig;

/// Longer than all deadlines of one call.
const PATIENCE: Duration = Duration::from_secs(40);

/// What the disk of the first volume does.
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
        let is_data = is_segment || operation == FileOperation::FreeSpace;
        if !is_data || !path.starts_with(&self.first) {
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
    folders: [PathBuf; 2],
    opening: Opening,
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
        let outside = Outside {
            files: Files::watched(disks.clone()),
            tasks: Tasks::new("test"),
            seed: Seed::from_os(),
            metrics: BlockStoreMetrics::new(&Metrics::new()),
        };
        let blocks = BlocksConfig { reserve_mib: 0, ..BlocksConfig::default() };
        let opening = Opening { clock: Clock::real(), blocks, outside };
        let volumes = opening.new_volumes(&folders).await.unwrap();
        let (first, second) = (volumes.ids[0], volumes.ids[1]);
        Self { disks, folders, opening, volumes, first, second, _folder: folder }
    }

    /// Closes the volumes, lets something happen to the first folder, and opens them again.
    async fn reopen_after(&mut self, happen: impl FnOnce(&Files, &Path)) {
        self.volumes.close().await;
        self.volumes = Volumes::none(Clock::real());
        happen(&Files::real(), &self.folders[0]);
        self.volumes = self.opening.volumes(&self.folders, &[self.first, self.second]).await.unwrap();
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

/// The volumes that an admin is told of.
async fn failed(volumes: &Volumes) -> Vec<VolumeId> {
    volumes.condition().await.failed.into_iter().map(|failed| failed.volume).collect()
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
    assert_eq!(failed(&world.volumes).await, [world.first], "it is shown");
    assert!(world.stored(1).await.is_some() && world.stored(2).await.is_none() && world.stored(3).await.is_some());
    let nothing_of_the_broken_one = world.volumes.remove(vec![id(3)]).await;
    assert!(nothing_of_the_broken_one.failure.is_none());
    world.end().await;
}

#[tokio::test]
async fn a_volume_whose_disk_is_well_again_takes_writes_again() {
    let world = World::new().await;
    world.disks.set(Mood::Broken);
    world.put(world.first, 1).await.unwrap_err();
    assert!(world.volumes.is_broken(world.first) && !world.volumes.is_broken(world.second));
    world.disks.set(Mood::Good);
    world.put(world.first, 1).await.unwrap_err();

    world.volumes.reopen(world.first).await.unwrap();
    assert!(!world.volumes.is_broken(world.first) && failed(&world.volumes).await.is_empty());
    world.put(world.first, 1).await.unwrap();
    assert!(world.stored(1).await.is_some());
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
    let condition =
        Clock::real().timeout(READ_DEADLINE / 2, world.volumes.condition()).await.expect("it does not wait");
    assert_eq!((condition.failed.len(), condition.failed[0].volume), (1, world.first));
    assert!(condition.room.capacity_bytes > 0, "the other one is told");

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
    let hanging = join_all((0..600).map(|_| world.volumes.get(id(1))));
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
    let second = world.volumes.volumes.get(&world.second).unwrap().store().unwrap();
    assert!(!second.holds(id(2)).await.unwrap(), "the other volume has removed its block");
    clock.timeout(PATIENCE, world.volumes.close()).await.expect("the end does not wait for the disk");
    world.end().await;
}

/// Something that happens to the folder of a volume while its node is down.
type Mishap = (&'static str, fn(&Files, &Path));

fn put_file_at(files: &Files, path: &Path) {
    files.remove_dir_all(path).unwrap();
    files.write_atomic(path, b"no folder", 0o600).unwrap();
}

const MISHAPS: [Mishap; 7] = [
    ("its folder is gone", |files, folder| files.remove_dir_all(folder).unwrap()),
    ("its disk is not mounted", |files, folder| {
        files.remove_dir_all(folder).unwrap();
        files.create_dirs(folder).unwrap();
    }),
    ("a file lies in its place", put_file_at),
    ("a file lies in the place of its segments", |files, folder| put_file_at(files, &folder.join("segments"))),
    ("its index cannot be made anew", |files, folder| put_file_at(files, &folder.join("index"))),
    ("its identity is lost", |files, folder| files.remove(&folder.join("volume")).unwrap()),
    ("its identity is damaged", |files, folder| files.write_atomic(&folder.join("volume"), b"HFVO", 0o600).unwrap()),
];

#[tokio::test]
async fn a_volume_that_does_not_open_fails_alone_and_hides_nothing() {
    for (what, mishap) in MISHAPS {
        let mut world = World::new().await;
        world.put(world.first, 1).await.unwrap();
        world.put(world.second, 2).await.unwrap();
        let whole = world.volumes.condition().await;
        assert!(whole.failed.is_empty());

        world.reopen_after(mishap).await;
        assert_eq!(world.volumes.ids(), [world.first, world.second], "{what}");
        let condition = world.volumes.condition().await;
        assert_eq!((condition.failed.len(), condition.failed[0].volume), (1, world.first), "{what}");
        assert_eq!(condition.failed[0].folder, world.folders[0]);
        assert_eq!(condition.room.block_bytes * 2, whole.room.block_bytes, "{what}: the room of the other is told");

        assert!(world.stored(2).await.is_some(), "{what}");
        for absent in [1, 99] {
            let read = world.volumes.get(id(absent)).await.unwrap_err();
            assert!(matches!(read, NodeError::VolumeNotOpen { volume, .. } if volume == world.first), "{what}: {read}");
        }
        let refused = world.put(world.first, 3).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{what}: {refused}");
        world.put(world.second, 4).await.unwrap();

        let removal = world.volumes.remove([1, 2, 99].map(id).to_vec()).await;
        assert!(removal.removed.is_empty() && removal.failure.is_some(), "{what}: any of them may be on it");
        assert!(world.volumes.get(id(2)).await.is_err(), "{what}: the other has removed its copy");
        world.end().await;
    }
}

#[tokio::test]
async fn a_lost_index_is_rebuilt() {
    let mut world = World::new().await;
    world.put(world.first, 1).await.unwrap();
    world.reopen_after(|files, folder| files.remove_dir_all(&folder.join("index")).unwrap()).await;
    assert!(world.stored(1).await.is_some());
    assert!(failed(&world.volumes).await.is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_node_none_of_whose_volumes_opens_has_no_room_and_says_so() {
    let mut world = World::new().await;
    let second = world.folders[1].clone();
    let lose_both = move |files: &Files, first: &Path| {
        files.remove_dir_all(first).unwrap();
        files.remove_dir_all(&second).unwrap();
    };
    world.reopen_after(lose_both).await;
    let condition = world.volumes.condition().await;
    assert_eq!((condition.room, condition.failed.len()), (Room::default(), 2));
    world.end().await;
}

/// Rule P6.
#[tokio::test]
async fn volumes_in_each_others_place_or_in_use_stop_the_start() {
    let mut world = World::new().await;
    let expected = [world.first, world.second];
    let twice = world.opening.volumes(&world.folders, &expected).await.err().expect("they are in use");
    assert_eq!(twice.kind(), ErrorKind::Conflict, "{twice}");

    world.volumes.close().await;
    world.volumes = Volumes::none(Clock::real());
    world.folders.reverse();
    let swapped = world.opening.volumes(&world.folders, &expected).await.err().expect("they are swapped");
    assert_eq!(swapped.kind(), ErrorKind::Conflict, "{swapped}");
    let one = world.opening.volumes(&world.folders[..1], &expected).await.err().expect("one is missing");
    assert!(matches!(one, NodeError::VolumeCount { configured: 1, joined: 2 }), "{one}");
}
