//! Segments of which little is needed are copied and removed, and nothing else is lost by it.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use blockstore::{BlockStore, BlockStoreError, DamagedRange, NewBlock, ScrubDepth};
use runtime::{FileOperation, Watch};
use types::{BlockId, PgId};

use crate::support::{
    EIO, EOPNOTSUPP, Failing, Folder, RECORD_HEADER_LENGTH, SEGMENT_BYTES, SEGMENT_HEADER_LENGTH, STEP_BYTES,
    assert_holds, close, compact, compact_once, flip, id, noisy_block,
};

/// Six of them fill a segment.
const LENGTH: usize = 10_000;
const PER_SEGMENT: u64 = 6;

fn blocks(range: Range<u64>) -> Vec<NewBlock> {
    range.map(|sequence| noisy_block(sequence, LENGTH)).collect()
}

async fn put(store: &BlockStore, range: Range<u64>) {
    for block in blocks(range) {
        store.put(vec![block]).await.unwrap();
    }
}

async fn remove(store: &BlockStore, sequences: impl IntoIterator<Item = u64>) {
    store.remove(sequences.into_iter().map(id).collect()).await.unwrap();
}

async fn held(store: &BlockStore) -> Vec<BlockId> {
    store.ids(PgId(1), None, 10_000).await.unwrap()
}

/// Opens the volume without its index, which must tell nothing as lost.
async fn rebuilt(folder: &Folder) -> BlockStore {
    folder.lose_index();
    let store = folder.open().await;
    assert_eq!((store.recovery().cut_bytes, &store.recovery().damaged[..]), (0, &[][..]));
    store
}

#[tokio::test]
async fn a_segment_that_is_hardly_needed_is_copied_and_removed() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..4 * PER_SEGMENT + 1).await;
    // One block of the first segment is needed, five of the second, none of the third.
    remove(&store, (1..PER_SEGMENT).chain([PER_SEGMENT]).chain(2 * PER_SEGMENT..3 * PER_SEGMENT)).await;
    let before = (held(&store).await, folder.segments(), store.usage().await.unwrap());

    assert_eq!(compact(&store).await, 2);
    assert_eq!(held(&store).await, before.0);
    assert_eq!(folder.segments().len(), before.1.len() - 2);
    assert!(!before.1[0].exists() && before.1[1].exists() && !before.1[2].exists());
    let after = store.usage().await.unwrap();
    assert_eq!((after.blocks, after.live_bytes), (before.2.blocks, before.2.live_bytes));
    assert!(before.2.dead_bytes > after.dead_bytes + 10 * LENGTH as u64, "{after:?}");
    assert_eq!(compact(&store).await, 0, "what is left is needed");
    let expected: Vec<_> = blocks(0..25).into_iter().filter(|block| before.0.contains(&block.id)).collect();
    assert_holds(&store, &expected).await;
    close(store).await;

    let store = rebuilt(&folder).await;
    assert_eq!(held(&store).await, before.0);
    assert_holds(&store, &expected).await;
    assert_eq!(store.usage().await.unwrap().live_bytes, after.live_bytes);
}

#[tokio::test]
async fn a_removed_block_stays_removed_when_the_segment_of_its_tombstone_goes() {
    let folder = Folder::new();
    let store = folder.open().await;
    // The first segment is needed, but for one block. The tombstone comes into the second one, which is not.
    put(&store, 0..PER_SEGMENT + 1).await;
    remove(&store, [3]).await;
    put(&store, PER_SEGMENT + 1..3 * PER_SEGMENT).await;
    remove(&store, PER_SEGMENT..2 * PER_SEGMENT).await;
    let (first, second) = (folder.segments()[0].clone(), folder.segments()[1].clone());
    let before = held(&store).await;
    assert_eq!(compact(&store).await, 1);
    assert!(first.exists() && !second.exists());
    close(store).await;

    let store = rebuilt(&folder).await;
    assert_eq!(held(&store).await, before);
    assert!(!store.holds(id(3)).await.unwrap());
    // And when its tombstone is the only thing that is needed of the segments behind.
    remove(&store, 2 * PER_SEGMENT..3 * PER_SEGMENT).await;
    put(&store, 100..100 + PER_SEGMENT).await;
    remove(&store, 100..100 + PER_SEGMENT).await;
    compact(&store).await;
    close(store).await;
    let store = rebuilt(&folder).await;
    assert_eq!(held(&store).await, [0, 1, 2, 4, 5].map(id));
}

#[tokio::test]
async fn tombstones_go_with_the_last_record_that_they_keep_from_counting() {
    let folder = Folder::new();
    let store = folder.open().await;
    for round in 0..4 {
        let begin = round * 100;
        put(&store, begin..begin + 3 * PER_SEGMENT).await;
        remove(&store, begin..begin + 3 * PER_SEGMENT).await;
        compact(&store).await;
    }
    put(&store, 1000..1000 + 2 * PER_SEGMENT).await;
    remove(&store, 1000..1000 + 2 * PER_SEGMENT).await;
    compact(&store).await;
    assert_eq!(folder.segments().len(), 1, "only the newest segment is there");
    let usage = store.usage().await.unwrap();
    assert!(usage.dead_bytes <= SEGMENT_BYTES, "{usage:?}");
    close(store).await;
    assert!(held(&rebuilt(&folder).await).await.is_empty());
}

#[tokio::test]
async fn a_block_that_was_put_again_after_its_removal_is_there_whatever_goes() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..PER_SEGMENT).await;
    remove(&store, [0]).await;
    put(&store, 10..10 + PER_SEGMENT).await;
    put(&store, 0..1).await;
    put(&store, 20..20 + 2 * PER_SEGMENT).await;
    remove(&store, (10..10 + PER_SEGMENT).chain(20..20 + 2 * PER_SEGMENT)).await;
    put(&store, 40..40 + PER_SEGMENT).await;
    assert!(compact(&store).await >= 2);
    let before = held(&store).await;
    assert!(before.contains(&id(0)));
    close(store).await;
    let store = rebuilt(&folder).await;
    assert_eq!(held(&store).await, before);
    assert_holds(&store, &blocks(0..1)).await;
}

#[tokio::test]
async fn a_step_copies_no_more_than_it_may() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..2 * PER_SEGMENT).await;
    remove(&store, 2..PER_SEGMENT).await;
    let (mut point, mut copied) = (None, Vec::new());
    loop {
        let step = store.compact(point, 1).await.unwrap();
        copied.push(step.copied_bytes);
        point = step.next;
        if point.is_none() {
            break;
        }
    }
    let record = (RECORD_HEADER_LENGTH + blocks(0..1)[0].stored.len() as u64).next_multiple_of(8);
    assert_eq!(copied.iter().filter(|bytes| **bytes > 0).collect::<Vec<_>>(), [&record, &record]);
    assert!(record < STEP_BYTES);
}

/// Six blocks in the first segment, of which the third and the fifth are needed; the second segment is needed.
async fn sparse(folder: &Folder) -> BlockStore {
    let store = folder.open().await;
    put(&store, 0..2 * PER_SEGMENT + 1).await;
    remove(&store, [0, 1, 3, 5]).await;
    store
}

fn offset_of(index: u64) -> u64 {
    let record = (RECORD_HEADER_LENGTH + blocks(0..1)[0].stored.len() as u64).next_multiple_of(8);
    SEGMENT_HEADER_LENGTH + index * record
}

#[tokio::test]
async fn a_bad_block_is_quarantined_and_keeps_its_segment_until_it_is_put_anew() {
    // In the payload, and in the header, behind which no walk finds the record.
    for place in [RECORD_HEADER_LENGTH + 100, 30] {
        let folder = Folder::new();
        let store = sparse(&folder).await;
        let first = folder.segments()[0].clone();
        flip(&folder.files, &first, offset_of(2) + place);
        assert_eq!(compact(&store).await, 0);
        assert!(first.exists());
        assert_holds(&store, &[noisy_block(4, LENGTH)]).await;
        let listed = store.scrub(None, 100, ScrubDepth::Digests).await.unwrap().bad;
        assert_eq!(listed.iter().map(|bad| bad.id).collect::<Vec<_>>(), [id(2)]);
        // By now the writer has heard of it.
        store.put(vec![noisy_block(99, 10)]).await.unwrap();
        assert_eq!(store.quarantined(None, 9).await.unwrap(), [id(2)]);
        assert!(matches!(store.get(id(2)).await, Err(BlockStoreError::Quarantined { .. })));
        assert_eq!(compact(&store).await, 0);

        store.put(vec![noisy_block(2, LENGTH)]).await.unwrap();
        assert_eq!(compact(&store).await, 1);
        assert!(!first.exists());
        let before = held(&store).await;
        assert_holds(&store, &[noisy_block(2, LENGTH), noisy_block(4, LENGTH)]).await;
        close(store).await;
        assert_eq!(held(&rebuilt(&folder).await).await, before);
    }
}

#[tokio::test]
async fn a_tombstone_behind_a_damaged_header_is_not_forgotten() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..PER_SEGMENT + 1).await;
    remove(&store, [3]).await;
    let tombstone = folder.last_segment().metadata().unwrap().len() - RECORD_HEADER_LENGTH;
    put(&store, PER_SEGMENT + 1..3 * PER_SEGMENT).await;
    remove(&store, PER_SEGMENT..2 * PER_SEGMENT).await;
    flip(&folder.files, &folder.segments()[1], tombstone + 30);
    assert_eq!(compact(&store).await, 0, "it is met in the next round");
    assert_eq!(compact(&store).await, 1);
    let before = held(&store).await;
    close(store).await;
    let store = rebuilt(&folder).await;
    assert_eq!(held(&store).await, before);
    assert!(!store.holds(id(3)).await.unwrap());
}

#[tokio::test]
async fn a_block_that_the_disk_does_not_give_keeps_its_segment_and_is_no_damage() {
    let folder = Folder::new();
    close(sparse(&folder).await).await;
    // Headers of records are still read, as pages of zeros: what is not found by the walk is looked for in the index.
    let disk = Arc::new(Failing::default());
    let store = folder.open_watched(disk.clone()).await;
    disk.set(Some((FileOperation::Read, EIO)));
    assert_eq!(compact(&store).await, 0);
    disk.set(None);
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert_eq!(compact(&store).await, 1);
    assert_holds(&store, &[noisy_block(2, LENGTH), noisy_block(4, LENGTH)]).await;
}

#[tokio::test]
async fn space_comes_back_on_a_file_system_without_holes() {
    let folder = Folder::new();
    let store = folder.open_watched(Arc::new(Failing::with(FileOperation::PunchHole, EOPNOTSUPP))).await;
    put(&store, 0..2 * PER_SEGMENT).await;
    let first = folder.segments()[0].clone();
    remove(&store, [0, 1, 3, 5]).await;
    assert_eq!(compact(&store).await, 1);
    assert!(!first.exists());
    assert_holds(&store, &[noisy_block(2, LENGTH), noisy_block(4, LENGTH)]).await;
    close(store).await;
    assert_eq!(held(&rebuilt(&folder).await).await.len() as u64, 2 * PER_SEGMENT - 4);
}

#[tokio::test]
async fn a_volume_that_takes_no_writes_is_not_compacted() {
    let folder = Folder::new();
    close(sparse(&folder).await).await;
    let disk = Arc::new(Failing::default());
    let store = folder.open_watched(disk.clone()).await;
    disk.set(Some((FileOperation::Write, EIO)));
    assert!(matches!(compact_once(&store).await, Err(BlockStoreError::Unwritable { .. })));
    disk.set(None);
    assert!(matches!(compact_once(&store).await, Err(BlockStoreError::Unwritable { .. })));
    assert_holds(&store, &[noisy_block(2, LENGTH), noisy_block(4, LENGTH)]).await;
}

/// A block is read while it moves from segment to segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_a_block_that_is_copied_never_fails() {
    let folder = Folder::new();
    let store = folder.open().await;
    put(&store, 0..PER_SEGMENT).await;
    remove(&store, 1..PER_SEGMENT).await;
    let end = Arc::new(AtomicBool::new(false));
    let (reading, ended) = (store.clone(), Arc::clone(&end));
    let wanted = noisy_block(0, LENGTH);
    let reader = tokio::task::JoinSet::from_iter([async move {
        let mut reads = 0;
        while !ended.load(Ordering::Relaxed) {
            let found = reading.get(id(0)).await.expect("it can be read").expect("it is there");
            assert_eq!(found.stored, wanted.stored);
            assert_eq!(reading.get_range(id(0), 0, 1).await.expect("a part too").map(|part| part.len()), Some(1));
            reads += 1;
        }
        reads
    }]);
    for round in 1..=30 {
        put(&store, round * 100..round * 100 + PER_SEGMENT).await;
        remove(&store, round * 100..round * 100 + PER_SEGMENT).await;
        compact(&store).await;
    }
    end.store(true, Ordering::Relaxed);
    assert!(reader.join_all().await.iter().sum::<u64>() > 30);
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert!(!folder.path().join("segments/0000000000000001.segment").exists());
}

/// Puts and removals go on while segments are copied, and come between the reading of a block and its copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_while_it_is_copied_is_as_it_was_changed() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut expected = BTreeSet::new();
    for round in 0..20 {
        let begin = round * 100;
        put(&store, begin..begin + 2 * PER_SEGMENT).await;
        remove(&store, begin..begin + PER_SEGMENT).await;
        expected.extend((begin + PER_SEGMENT..begin + 2 * PER_SEGMENT).map(id));
        let changing = async {
            for sequence in begin + PER_SEGMENT..begin + 2 * PER_SEGMENT - 2 {
                remove(&store, [sequence]).await;
                if sequence % 2 == 0 {
                    put(&store, sequence..sequence + 1).await;
                }
            }
        };
        expected.retain(|block| {
            let changed = (begin + PER_SEGMENT..begin + 2 * PER_SEGMENT - 2).contains(&block.sequence);
            !changed || block.sequence % 2 == 0
        });
        futures::future::join(changing, compact(&store)).await;
    }
    let expected: Vec<_> = expected.into_iter().collect();
    assert_eq!(held(&store).await, expected);
    close(store).await;
    assert_eq!(held(&rebuilt(&folder).await).await, expected);
}

/// Holds up a read of a segment until it is told to go on.
#[derive(Default)]
struct Gate {
    /// Reads that are let through before.
    left: Mutex<Option<u32>>,
    is_held: AtomicBool,
    changed: Condvar,
}

impl Watch for Gate {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        if operation == FileOperation::Read && is_segment {
            let mut left = self.left.lock().unwrap();
            if let Some(reads) = left.as_mut() {
                *reads = reads.saturating_sub(1);
                self.is_held.store(*reads == 0, Ordering::Relaxed);
                let _open = self.changed.wait_while(left, |left| *left == Some(0)).unwrap();
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_block_that_is_removed_between_its_reading_and_its_copy_stays_removed() {
    let folder = Folder::new();
    let gate = Arc::new(Gate::default());
    let store = folder.open_watched(gate.clone()).await;
    put(&store, 0..PER_SEGMENT + 1).await;
    remove(&store, 1..PER_SEGMENT - 1).await;
    let point = store.compact(None, STEP_BYTES).await.unwrap().next;
    // The header and the payload of the first block are read, and the header behind it is not.
    *gate.left.lock().unwrap() = Some(3);
    let removal = async {
        while !gate.is_held.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        remove(&store, [0]).await;
        *gate.left.lock().unwrap() = None;
        gate.changed.notify_all();
    };
    let (step, ()) = futures::future::join(store.compact(point, STEP_BYTES), removal).await;
    assert!(step.unwrap().copied_bytes > 0);
    assert!(!store.holds(id(0)).await.unwrap());
    assert_eq!(compact(&store).await, 1);
    assert_eq!(held(&store).await, [PER_SEGMENT - 1, PER_SEGMENT].map(id));
    close(store).await;
    assert_eq!(held(&rebuilt(&folder).await).await, [PER_SEGMENT - 1, PER_SEGMENT].map(id));
}

#[tokio::test]
async fn a_segment_that_was_lost_is_still_told_beside_those_that_are_gone() {
    let folder = Folder::new();
    let store = sparse(&folder).await;
    put(&store, 20..20 + 2 * PER_SEGMENT).await;
    assert_eq!(compact(&store).await, 1);
    close(store).await;
    let segments = folder.segments();
    let length = segments[1].metadata().unwrap().len();
    folder.files.remove(&segments[1]).unwrap();
    folder.lose_index();
    let store = folder.open().await;
    assert_eq!(store.recovery().damaged, [DamagedRange { segment: 3, begin: 0, end: length }]);
}

#[tokio::test]
async fn a_segment_that_was_lost_does_not_keep_the_others() {
    let folder = Folder::new();
    let store = sparse(&folder).await;
    remove(&store, PER_SEGMENT..2 * PER_SEGMENT - 1).await;
    close(store).await;
    let segments = folder.segments();
    folder.files.remove(&segments[0]).unwrap();
    let store = folder.open().await;
    assert_eq!(compact(&store).await, 1);
    assert!(!segments[1].exists());
    assert_holds(&store, &[noisy_block(2 * PER_SEGMENT - 1, LENGTH), noisy_block(2 * PER_SEGMENT, LENGTH)]).await;
    assert!(matches!(store.get(id(2)).await, Err(BlockStoreError::Damaged { .. })), "it is not silently gone");
}

#[tokio::test]
async fn a_damaged_record_of_the_segments_that_are_gone_costs_no_block() {
    let folder = Folder::new();
    let store = sparse(&folder).await;
    assert_eq!(compact(&store).await, 1);
    let before = held(&store).await;
    close(store).await;
    flip(&folder.files, &folder.path().join("gone"), 20);
    for lose_index in [false, true] {
        if lose_index {
            folder.lose_index();
        }
        let store = folder.open().await;
        assert_eq!(held(&store).await, before);
        put(&store, 50..51).await;
        remove(&store, [50]).await;
        close(store).await;
    }
}

#[tokio::test]
async fn an_index_from_before_gives_the_same() {
    let folder = Folder::new();
    close(sparse(&folder).await).await;
    let earlier = folder.copy();
    let store = folder.open().await;
    assert_eq!(compact(&store).await, 1);
    let before = held(&store).await;
    close(store).await;
    folder.put_back_index_of(&earlier);
    let store = folder.open().await;
    assert_eq!(store.recovery().damaged, []);
    assert_eq!(held(&store).await, before);
    assert_holds(&store, &[noisy_block(2, LENGTH), noisy_block(4, LENGTH)]).await;
}

/// Counts operations on segments and the record of those that are gone.
#[derive(Default)]
struct Order(Mutex<Vec<(FileOperation, String)>>);

impl Watch for Order {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if matches!(operation, FileOperation::Rename | FileOperation::Remove | FileOperation::SyncFolder) {
            self.0.lock().unwrap().push((operation, name));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_segment_is_recorded_as_gone_for_good_before_it_is_removed() {
    let folder = Folder::new();
    close(sparse(&folder).await).await;
    let order = Arc::new(Order::default());
    let store = folder.open_watched(Arc::clone(&order) as Arc<dyn Watch>).await;
    order.0.lock().unwrap().clear();
    assert_eq!(compact(&store).await, 1);
    let operations: Vec<_> = order.0.lock().unwrap().iter().map(|(operation, _)| *operation).collect();
    let expected = [FileOperation::Remove, FileOperation::Rename, FileOperation::SyncFolder, FileOperation::Remove];
    assert_eq!(operations, [&expected[..], &[FileOperation::SyncFolder]].concat());
    let removed = order.0.lock().unwrap()[3].1.clone();
    assert_eq!(removed, "0000000000000001.segment");
}
