use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use blockstore::{DamagedRange, NewBlock};
use runtime::{FileOperation, Files, Seed, Watch};
use types::{BlockId, PgId};

use crate::support::{
    Folder, RECORD_HEADER_LENGTH, SEGMENT_BYTES, SEGMENT_HEADER_LENGTH, assert_holds, block_of, close, flip, id,
    noisy_block,
};

fn blocks(range: std::ops::Range<u64>) -> Vec<NewBlock> {
    range.map(|sequence| noisy_block(sequence, 10_000)).collect()
}

#[tokio::test]
async fn all_is_there_when_the_index_is_lost() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = blocks(0..40);
    store.put(all.clone()).await.unwrap();
    store.remove(vec![id(5)]).await.unwrap();
    close(store).await;
    folder.lose_index();
    let store = folder.open().await;
    assert_eq!(store.recovery().replayed_records, 41);
    assert_eq!(store.ids(PgId(1), None, 99).await.unwrap().len(), 39);
    assert_holds(&store, &all[6..]).await;
}

#[tokio::test]
async fn all_is_there_when_the_index_is_damaged() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = blocks(0..10);
    store.put(all.clone()).await.unwrap();
    close(store).await;
    let current = folder.path().join("index/CURRENT");
    folder.files.write_atomic(&current, b"no manifest\n", 0o600).unwrap();
    assert_holds(&folder.open().await, &all).await;
}

#[tokio::test]
async fn an_index_that_is_behind_catches_up() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = blocks(0..30);
    store.put(all[..10].to_vec()).await.unwrap();
    close(store).await;
    let earlier = folder.copy();
    let store = folder.open().await;
    store.put(all[10..].to_vec()).await.unwrap();
    store.remove(vec![id(0)]).await.unwrap();
    close(store).await;
    folder.put_back_index_of(&earlier);
    let store = folder.open().await;
    assert_eq!(store.recovery().replayed_records, 21);
    assert_holds(&store, &all[1..]).await;
    assert!(!store.holds(id(0)).await.unwrap());
}

#[tokio::test]
async fn an_index_that_is_ahead_of_the_segments_is_rebuilt_and_the_loss_is_told() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = blocks(0..3);
    store.put(all.clone()).await.unwrap();
    close(store).await;
    let path = folder.last_segment();
    let length = path.metadata().unwrap().len();
    folder.files.open_update(&path).unwrap().set_len(length - 100).unwrap();
    let store = folder.open().await;
    let lost = DamagedRange { segment: 1, begin: length - 100, end: length };
    assert_eq!(store.recovery().damaged, [lost]);
    assert_holds(&store, &all[..2]).await;
    assert!(!store.holds(id(2)).await.unwrap());
}

/// Every kind of place where the medium may have stopped within the last record.
#[tokio::test]
async fn a_tail_that_was_cut_anywhere_is_removed_and_the_rest_stays() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(blocks(0..3)).await.unwrap();
    close(store).await;
    let begin = folder.last_segment().metadata().unwrap().len();
    let earlier = folder.copy();
    let store = folder.open().await;
    store.put(vec![block_of(3, b"the last one, whose length is no multiple of eight")]).await.unwrap();
    close(store).await;
    folder.put_back_index_of(&earlier);
    let end = folder.last_segment().metadata().unwrap().len();

    let header = begin + RECORD_HEADER_LENGTH;
    for cut in [begin, begin + 1, begin + 8, header - 1, header, header + 1, end - 9, end - 8, end - 1] {
        let crashed = folder.copy();
        crashed.files.open_update(&crashed.last_segment()).unwrap().set_len(cut).unwrap();
        check_that_the_last_one_is_gone(&crashed, cut - begin).await;
    }
    for zeroed_from in [begin, begin + 40, header, header + 20] {
        let crashed = folder.copy();
        let zeros = vec![0; usize::try_from(end - zeroed_from).unwrap()];
        let file = crashed.files.open_update(&crashed.last_segment()).unwrap();
        file.write_all_at(zeroed_from, &zeros).unwrap();
        check_that_the_last_one_is_gone(&crashed, end - begin).await;
    }
    assert!(folder.open().await.holds(id(3)).await.unwrap());
}

/// Notes writes to segments, their syncs, and those of folders.
#[derive(Default)]
struct Writes(Mutex<Vec<FileOperation>>);

impl Watch for Writes {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let of_segment = path.extension().is_some_and(|ending| ending == "segment")
            && matches!(operation, FileOperation::Write | FileOperation::Sync);
        if of_segment || (operation == FileOperation::SyncFolder && path.ends_with("segments")) {
            self.0.lock().unwrap().push(operation);
        }
        Ok(())
    }
}

/// A process that was killed between its write and its sync leaves bytes that only the page cache may have; a sync that
/// failed leaves pages that no later sync writes.
#[tokio::test]
async fn the_last_batch_is_written_and_synced_again_before_the_index_learns_of_it() {
    let folder = Folder::new();
    close(folder.open().await).await;
    let earlier = folder.copy();
    let store = folder.open().await;
    store.put(blocks(0..3)).await.unwrap();
    store.put(blocks(3..5)).await.unwrap();
    close(store).await;
    folder.put_back_index_of(&earlier);
    let before = folder.files.read(&folder.last_segment()).unwrap();

    let writes = Arc::new(Writes::default());
    let store = folder.open_watched(Arc::clone(&writes) as Arc<dyn Watch>).await;
    let seen = writes.0.lock().unwrap().clone();
    let [header, batch] = [FileOperation::Write; 2];
    assert_eq!(seen, [header, batch, FileOperation::Sync, FileOperation::SyncFolder]);
    assert_eq!(folder.files.read(&folder.last_segment()).unwrap(), before, "the same bytes");
    assert_eq!(store.recovery().replayed_records, 5);
    assert_holds(&store, &blocks(0..5)).await;
}

async fn check_that_the_last_one_is_gone(crashed: &Folder, cut_bytes: u64) {
    let store = crashed.open().await;
    assert_eq!((store.recovery().cut_bytes, store.recovery().damaged_bytes), (cut_bytes, 0));
    assert_holds(&store, &blocks(0..3)).await;
    assert!(!store.holds(id(3)).await.unwrap());
    store.put(blocks(3..5)).await.unwrap();
    close(store).await;
    crashed.lose_index();
    let store = crashed.open().await;
    assert_eq!((store.recovery().cut_bytes, store.recovery().damaged_bytes), (0, 0));
    assert_holds(&store, &blocks(0..5)).await;
}

/// The medium may write a later part of a batch and not an earlier one.
#[tokio::test]
async fn what_lies_behind_the_first_hole_of_an_unsynced_batch_is_cut_too() {
    let folder = Folder::new();
    close(folder.open().await).await;
    let earlier = folder.copy();
    let store = folder.open().await;
    store.put(blocks(0..4)).await.unwrap();
    close(store).await;
    folder.put_back_index_of(&earlier);
    let second = SEGMENT_HEADER_LENGTH + record_length(&blocks(0..1)[0]);
    flip(&folder.files, &folder.last_segment(), second + 30);
    let store = folder.open().await;
    assert_eq!(store.recovery().damaged_bytes, 0);
    assert_eq!(store.recovery().cut_bytes, 3 * record_length(&blocks(0..1)[0]));
    assert_eq!(store.ids(PgId(1), None, 9).await.unwrap(), [id(0)]);
}

#[tokio::test]
async fn a_bad_record_among_synced_ones_is_told_and_not_cut() {
    let folder = Folder::new();
    let store = folder.open().await;
    for block in blocks(0..4) {
        store.put(vec![block]).await.unwrap();
    }
    close(store).await;
    folder.lose_index();
    let length = record_length(&blocks(0..1)[0]);
    let second = SEGMENT_HEADER_LENGTH + length;
    flip(&folder.files, &folder.last_segment(), second + 30);
    let store = folder.open().await;
    let damaged = DamagedRange { segment: 1, begin: second, end: second + length };
    assert_eq!((store.recovery().cut_bytes, &store.recovery().damaged[..]), (0, &[damaged][..]));
    assert_eq!(store.ids(PgId(1), None, 9).await.unwrap(), [0, 2, 3].map(id));
    store.put(blocks(1..2)).await.unwrap();
    assert_holds(&store, &blocks(0..4)).await;
}

#[tokio::test]
async fn a_segment_that_lost_its_end_or_its_name_is_told() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(blocks(0..20)).await.unwrap();
    close(store).await;
    let segments = folder.segments();
    let second = segments[1].metadata().unwrap().len();
    folder.lose_index();

    let cut = folder.copy();
    cut.files.open_update(&cut.segments()[1]).unwrap().set_len(second - 8).unwrap();
    let store = cut.open().await;
    let begin = second - record_length(&blocks(0..1)[0]);
    let record = DamagedRange { segment: 2, begin, end: second - 8 };
    let end = DamagedRange { segment: 2, begin: second - 8, end: second };
    assert_eq!(store.recovery().damaged, [record, end]);

    folder.files.remove(&segments[1]).unwrap();
    let store = folder.open().await;
    assert_eq!(store.recovery().damaged, [DamagedRange { segment: 2, begin: 0, end: second }]);
    assert!(store.holds(id(0)).await.unwrap() && store.holds(id(19)).await.unwrap());
}

#[tokio::test]
async fn a_segment_that_was_being_made_is_made_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(blocks(0..2)).await.unwrap();
    close(store).await;
    let unborn = folder.path().join("segments/0000000000000002.segment");
    for length in [0, 1, 55, 56] {
        folder.files.open_write(&unborn).unwrap().set_len(length).unwrap();
        let store = folder.open().await;
        assert!(!folder.files.exists(&unborn).unwrap());
        assert_holds(&store, &blocks(0..2)).await;
        close(store).await;
    }
}

/// Somebody stores a segment file as a file of theirs; damage before it must not bring its records to life.
#[tokio::test]
async fn records_within_a_payload_are_none() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(blocks(0..2)).await.unwrap();
    let segment = folder.files.read(&folder.last_segment()).unwrap();
    let begin = segment.len() as u64;
    store.put(vec![block_of(10, &segment)]).await.unwrap();
    store.remove(vec![id(0), id(1)]).await.unwrap();
    close(store).await;
    folder.lose_index();
    flip(&folder.files, &folder.last_segment(), begin + 30);
    let store = folder.open().await;
    assert!(store.recovery().damaged_bytes > segment.len() as u64);
    assert!(store.ids(PgId(1), None, 9).await.unwrap().is_empty());
}

/// Takes a picture of the segments before each sync: all that was synced, and a random part of what was not.
struct Camera {
    folder: std::path::PathBuf,
    answered: Mutex<BTreeSet<BlockId>>,
    pictures: Mutex<Vec<Picture>>,
    seed: Seed,
}

struct Picture {
    segments: Vec<(std::ffi::OsString, Vec<u8>)>,
    answered: BTreeSet<BlockId>,
}

impl Camera {
    fn take(&self) -> Picture {
        // First those who were answered: who comes later may or may not be in the picture.
        let answered = self.answered.lock().unwrap().clone();
        let files = Files::real();
        let entries = files.list(&self.folder.join("segments")).unwrap();
        let segments = entries.into_iter().map(|entry| (entry.name, files.read(&entry.path).unwrap())).collect();
        Picture { segments, answered }
    }
}

impl Watch for Camera {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        if operation == FileOperation::Sync && path.extension().is_some_and(|ending| ending == "segment") {
            let mut picture = self.take();
            let mut pictures = self.pictures.lock().unwrap();
            let synced = pictures.last().and_then(|before| before.segments.last().cloned());
            let (name, bytes) = picture.segments.last_mut().unwrap();
            let synced = synced.filter(|(before, _)| before == name).map_or(0, |(_, bytes)| bytes.len());
            let unsynced = bytes.len().saturating_sub(synced);
            pictures.push(self.take());
            bytes.truncate(synced + usize::try_from(self.seed.below(unsynced as u64 + 1)).unwrap());
            let whole = pictures.len() - 1;
            pictures.insert(whole, picture);
        }
        Ok(())
    }
}

/// Law 1: what was answered survives the loss of power at any sync.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_the_loss_of_power_at_any_sync() {
    let folder = Folder::new();
    close(folder.open().await).await;
    let camera = Arc::new(Camera {
        folder: folder.path().to_owned(),
        answered: Mutex::default(),
        pictures: Mutex::default(),
        seed: Seed::fixed(crate::histories::seed()),
    });
    let store = folder.open_watched(camera.clone()).await;
    let writers = (0..4).map(|writer| {
        let (store, camera) = (store.clone(), Arc::clone(&camera));
        async move {
            for sequence in (writer * 100)..(writer * 100 + 12) {
                store.put(vec![noisy_block(sequence, 3000)]).await.unwrap();
                camera.answered.lock().unwrap().insert(id(sequence));
            }
        }
    });
    let mut running = tokio::task::JoinSet::new();
    writers.for_each(|writer| drop(running.spawn(writer)));
    running.join_all().await;
    close(store).await;

    let pictures = std::mem::take(&mut *camera.pictures.lock().unwrap());
    assert!(pictures.len() >= 20);
    for picture in pictures {
        let crashed = Folder::new();
        crashed.files.create_dirs(&crashed.path().join("segments")).unwrap();
        let identity = folder.files.read(&folder.path().join("volume")).unwrap();
        crashed.files.write_atomic(&crashed.path().join("volume"), &identity, 0o600).unwrap();
        for (name, bytes) in picture.segments {
            crashed.files.create(&crashed.path().join("segments").join(name)).unwrap().write_all_at(0, &bytes).unwrap();
        }
        let store = crashed.open().await;
        assert_eq!(store.recovery().damaged_bytes, 0);
        for block in picture.answered {
            assert_holds(&store, &[noisy_block(block.sequence, 3000)]).await;
        }
        close(store).await;
    }
}

fn record_length(block: &NewBlock) -> u64 {
    (RECORD_HEADER_LENGTH + block.stored.len() as u64).next_multiple_of(8)
}

#[test]
fn the_tests_cross_segments() {
    assert!(20 * record_length(&blocks(0..1)[0]) > 3 * SEGMENT_BYTES);
}
