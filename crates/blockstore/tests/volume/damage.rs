use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use blockstore::{BlockStoreError, Damage, NewBlock, ScrubDepth, ScrubProgress};
use runtime::{FileOperation, Files, Watch};
use types::{Digest, ErrorKind, PgId};

use crate::support::{
    Folder, RECORD_HEADER_LENGTH, SEGMENT_HEADER_LENGTH, assert_holds, block_of, close, flip, id, noise, noisy_block,
};

const FIRST_PAYLOAD: u64 = SEGMENT_HEADER_LENGTH + RECORD_HEADER_LENGTH;

#[tokio::test]
async fn a_damaged_block_is_an_error_then_in_quarantine_and_a_new_put_heals_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = [noisy_block(1, 10_000), noisy_block(2, 10_000)];
    store.put(all.to_vec()).await.unwrap();
    flip(&folder.files, &folder.last_segment(), FIRST_PAYLOAD + 5_000);

    let error = store.get(id(1)).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Damaged { source: Damage::Payload { .. }, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    // The next put waits behind the note about the damage.
    store.put(vec![noisy_block(3, 10)]).await.unwrap();
    assert!(matches!(store.get(id(1)).await, Err(BlockStoreError::Quarantined { .. })));
    assert!(!store.holds(id(1)).await.unwrap());
    assert_eq!(store.quarantined(None, 9).await.unwrap(), [id(1)]);
    assert_eq!(store.ids(PgId(1), None, 9).await.unwrap(), [2, 3].map(id));
    assert_eq!(store.usage().await.unwrap().blocks, 2);

    let refused = store.put(vec![block_of(1, b"something else")]).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::OtherDigest { .. }), "{refused}");
    store.put(all.to_vec()).await.unwrap();
    assert_holds(&store, &all).await;
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert_eq!(store.usage().await.unwrap().blocks, 3);
    close(store).await;

    folder.lose_index();
    assert_holds(&folder.open().await, &all).await;
}

#[tokio::test]
async fn quarantine_survives_a_reopen_and_ends_with_a_removal() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(vec![noisy_block(1, 1000)]).await.unwrap();
    flip(&folder.files, &folder.last_segment(), FIRST_PAYLOAD);
    assert!(store.get(id(1)).await.is_err());
    close(store).await;
    let store = folder.open().await;
    assert_eq!(store.quarantined(None, 9).await.unwrap(), [id(1)]);
    store.remove(vec![id(1)]).await.unwrap();
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert_eq!(store.get(id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_header_and_a_missing_end_are_found() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.put(vec![noisy_block(1, 1000), noisy_block(2, 1000)]).await.unwrap();
    flip(&folder.files, &folder.last_segment(), SEGMENT_HEADER_LENGTH + 20);
    let error = store.get(id(1)).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Damaged { source: Damage::Header, .. }), "{error}");
    let length = folder.last_segment().metadata().unwrap().len();
    folder.files.open_update(&folder.last_segment()).unwrap().set_len(length - 100).unwrap();
    let error = store.get(id(2)).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Damaged { source: Damage::Missing(_), .. }), "{error}");
}

#[tokio::test]
async fn a_range_is_given_as_long_as_its_own_frames_are_good() {
    let folder = Folder::new();
    let store = folder.open().await;
    let plain = noise(1, 200_000);
    store.put(vec![block_of(1, &plain)]).await.unwrap();
    flip(&folder.files, &folder.last_segment(), FIRST_PAYLOAD + 150_000);
    assert_eq!(store.get_range(id(1), 5, 100).await.unwrap().unwrap(), plain[5..105]);
    let error = store.get_range(id(1), 150_000, 1).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Damaged { source: Damage::Block(_), .. }), "{error}");
}

#[tokio::test]
async fn a_scrub_goes_through_all_blocks_and_lists_the_bad_ones() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all: Vec<_> = (1..=10).map(|sequence| noisy_block(sequence, 1000)).collect();
    store.put(all.clone()).await.unwrap();
    flip(&folder.files, &folder.last_segment(), FIRST_PAYLOAD + 10);

    let (mut after, mut blocks, mut bad) = (None, 0, Vec::new());
    loop {
        let step = store.scrub(after, 3, ScrubDepth::Checksums).await.unwrap();
        blocks += step.blocks;
        bad.extend(step.bad.into_iter().map(|bad| (bad.id, bad.pg)));
        after = step.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((blocks, bad), (9, vec![(id(1), Some(PgId(1)))]));
}

#[tokio::test]
async fn only_a_deep_scrub_finds_a_block_that_was_wrong_from_the_start() {
    let folder = Folder::new();
    let store = folder.open().await;
    let wrong = NewBlock { digest: Digest([7; 32]), ..noisy_block(1, 1000) };
    store.put(vec![wrong, noisy_block(2, 1000)]).await.unwrap();
    assert!(store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap().bad.is_empty());
    let deep = store.scrub(None, 9, ScrubDepth::Digests).await.unwrap();
    assert_eq!(deep.bad.iter().map(|bad| bad.id).collect::<Vec<_>>(), [id(1)]);
}

#[tokio::test]
async fn the_blocks_of_a_segment_that_is_gone_are_damaged_and_can_be_put_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all: Vec<_> = (0..20).map(|sequence| noisy_block(sequence, 10_000)).collect();
    store.put(all.clone()).await.unwrap();
    close(store).await;
    folder.files.remove(&folder.segments()[1]).unwrap();
    let store = folder.open().await;
    let bad = store.scrub(None, 99, ScrubDepth::Checksums).await.unwrap().bad;
    assert!(bad.len() > 3 && bad.iter().all(|bad| bad.error.kind() == ErrorKind::Corrupt));
    store.put(all.clone()).await.unwrap();
    assert_holds(&store, &all).await;
}

/// Does not give what one read of a segment asks for, nor when it is asked again at once.
struct BadSector {
    read: u64,
    reads: AtomicU64,
}

impl Watch for BadSector {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        if !is_segment || operation != FileOperation::Read {
            return Ok(());
        }
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        if (self.read..self.read + 2).contains(&read) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_bad_sector_keeps_at_most_one_block_from_a_rebuild_and_cuts_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    for sequence in 1..=4 {
        store.put(vec![noisy_block(sequence, 1000)]).await.unwrap();
    }
    close(store).await;
    let (mut lost, mut refused) = (0, 0);
    for read in 0..20 {
        let copy = folder.copy();
        copy.lose_index();
        let disk = Arc::new(BadSector { read, reads: AtomicU64::default() });
        match copy.open_with(copy.options(), Files::watched(disk)).await {
            Ok(store) => {
                let held = store.ids(PgId(1), None, 9).await.unwrap().len();
                assert!(held >= 3, "read {read}: {held}");
                assert_eq!((held == 4, store.recovery().cut_bytes), (store.recovery().damaged_bytes < 1000, 0));
                lost += 4 - held;
                close(store).await;
            }
            Err(BlockStoreError::File(error)) if error.is_medium() => refused += 1,
            Err(error) => panic!("read {read}: {error}"),
        }
        // The tail is not cut for what could not be seen.
        assert_eq!(copy.last_segment().metadata().unwrap().len(), folder.last_segment().metadata().unwrap().len());
    }
    assert!(lost >= 4 && (1..=4).contains(&refused), "{lost} {refused}");
}

/// Gives nothing of the segments as long as it is told so.
#[derive(Default)]
struct Cable {
    is_loose: AtomicBool,
}

impl Watch for Cable {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_read = operation == FileOperation::Read && path.extension().is_some_and(|ending| ending == "segment");
        if is_read && self.is_loose.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_error_that_passes_costs_no_copy() {
    let folder = Folder::new();
    let cable = Arc::new(Cable::default());
    let store = folder.open_watched(cable.clone()).await;
    let all = [noisy_block(1, 10_000), noisy_block(2, 10_000)];
    store.put(all.to_vec()).await.unwrap();

    cable.is_loose.store(true, Ordering::Relaxed);
    let whole = store.get(id(1)).await.unwrap_err();
    let part = store.get_range(id(1), 5, 100).await.unwrap_err();
    for error in [whole, part] {
        assert!(matches!(&error, BlockStoreError::Unreadable { id: found, .. } if *found == id(1)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    let scrubbed = store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap();
    assert_eq!((scrubbed.blocks, scrubbed.bad.iter().map(|bad| bad.id).collect::<Vec<_>>()), (0, vec![id(1), id(2)]));

    cable.is_loose.store(false, Ordering::Relaxed);
    // The put waits behind whatever the reads have told the writer.
    store.put(vec![noisy_block(3, 10)]).await.unwrap();
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert_holds(&store, &all).await;
}

/// A segment that lies on bad sectors.
struct BadSectors(PathBuf);

impl Watch for BadSectors {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        if operation == FileOperation::Read && path == self.0 {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_block_that_the_disk_does_not_give_is_not_told_as_held_and_a_put_writes_it_anew() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = [1, 2, 3].map(|sequence| noisy_block(sequence, 40_000));
    store.put(all.to_vec()).await.unwrap();
    close(store).await;
    let first = folder.segments().remove(0);
    let store = folder.open_watched(Arc::new(BadSectors(first))).await;
    assert!(store.holds(id(1)).await.unwrap(), "nobody has read it yet");
    let before = store.usage().await.unwrap();

    let error = store.get(id(1)).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Unreadable { .. }), "{error}");
    assert!(!store.holds(id(1)).await.unwrap());
    assert_eq!(store.ids(PgId(1), None, 2).await.unwrap(), [2, 3].map(id), "as many as were asked for");
    assert_eq!(store.remaining(vec![id(1)]).await.unwrap(), [id(1)], "it is not removed");

    store.put(all.to_vec()).await.unwrap();
    assert_holds(&store, &all).await;
    assert!(store.holds(id(1)).await.unwrap());
    assert_eq!(store.ids(PgId(1), None, 9).await.unwrap(), [1, 2, 3].map(id));
    let after = store.usage().await.unwrap();
    let one_record = after.dead_bytes - before.dead_bytes;
    assert!((40_000..80_000).contains(&one_record), "only what cannot be read is written anew: {one_record} bytes");
    assert_eq!((after.blocks, after.live_bytes), (before.blocks, before.live_bytes));
}

#[tokio::test]
async fn a_block_that_is_read_again_is_held_and_not_written_anew() {
    let folder = Folder::new();
    let cable = Arc::new(Cable::default());
    let store = folder.open_watched(cable.clone()).await;
    let block = noisy_block(1, 10_000);
    store.put(vec![block.clone()]).await.unwrap();
    cable.is_loose.store(true, Ordering::Relaxed);
    store.get(id(1)).await.unwrap_err();
    assert!(!store.holds(id(1)).await.unwrap());
    cable.is_loose.store(false, Ordering::Relaxed);

    assert!(store.holds(id(1)).await.unwrap());
    store.put(vec![block.clone()]).await.unwrap();
    assert_eq!(store.usage().await.unwrap().dead_bytes, 0);
    assert_holds(&store, &[block]).await;
}

#[tokio::test]
async fn a_quarantined_block_whose_bytes_are_right_again_is_held_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    let all = [noisy_block(1, 10_000), noisy_block(2, 10_000)];
    store.put(all.to_vec()).await.unwrap();
    let place = FIRST_PAYLOAD + 5_000;

    flip(&folder.files, &folder.last_segment(), place);
    assert_eq!(store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap().bad.len(), 1);
    store.put(vec![noisy_block(3, 10)]).await.unwrap();
    assert_eq!(store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap().bad.len(), 1, "it is still bad");
    assert_eq!(store.quarantined(None, 9).await.unwrap(), [id(1)]);
    flip(&folder.files, &folder.last_segment(), place);
    assert!(store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap().bad.is_empty());
    store.put(vec![noisy_block(4, 10)]).await.unwrap();
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
    assert_eq!((store.holds(id(1)).await.unwrap(), store.usage().await.unwrap().blocks), (true, 4));

    flip(&folder.files, &folder.last_segment(), place);
    assert!(store.get(id(1)).await.is_err());
    close(store).await;
    flip(&folder.files, &folder.last_segment(), place);
    let store = folder.open().await;
    assert!(!store.holds(id(1)).await.unwrap());
    assert_holds(&store, &all).await;
    close(store).await;
    assert!(folder.open().await.holds(id(1)).await.unwrap());
}

#[tokio::test]
async fn a_range_of_a_quarantined_block_is_given_only_if_the_whole_block_is_right() {
    let folder = Folder::new();
    let store = folder.open().await;
    let plain = noise(1, 200_000);
    store.put(vec![block_of(1, &plain)]).await.unwrap();
    let segment = folder.last_segment();
    flip(&folder.files, &segment, FIRST_PAYLOAD + 150_000);
    store.get(id(1)).await.unwrap_err();
    store.put(vec![noisy_block(2, 10)]).await.unwrap();
    let error = store.get_range(id(1), 5, 100).await.unwrap_err();
    assert!(matches!(error, BlockStoreError::Quarantined { .. }), "{error}");
    flip(&folder.files, &segment, FIRST_PAYLOAD + 150_000);
    assert_eq!(store.get_range(id(1), 5, 100).await.unwrap().unwrap(), plain[5..105]);
}

#[tokio::test]
async fn a_block_that_was_wrong_from_the_start_stays_in_quarantine() {
    let folder = Folder::new();
    let store = folder.open().await;
    let wrong = NewBlock { digest: Digest([7; 32]), ..noisy_block(1, 1000) };
    store.put(vec![wrong]).await.unwrap();
    assert_eq!(store.scrub(None, 9, ScrubDepth::Digests).await.unwrap().bad.len(), 1);
    store.put(vec![noisy_block(2, 10)]).await.unwrap();
    // Its checksums are right, and its digest is not.
    assert!(matches!(store.get(id(1)).await, Err(BlockStoreError::Quarantined { .. })));
    assert_eq!(store.scrub(None, 9, ScrubDepth::Checksums).await.unwrap().bad.len(), 1);
}

/// A read that comes between the removal and the hole must not take the block for damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_goes_and_comes_while_it_is_read_is_never_damaged() {
    let folder = Folder::new();
    let store = folder.open().await;
    let block = noisy_block(1, 40_000);
    let (reading, wanted) = (store.clone(), block.stored.clone());
    let reader = tokio::task::JoinSet::from_iter([async move {
        for _ in 0..400 {
            let found = reading.get(id(1)).await.expect("it is there as a whole, or not at all");
            assert!(found.is_none_or(|found| found.stored == wanted));
        }
    }]);
    for _ in 0..40 {
        store.put(vec![block.clone()]).await.unwrap();
        store.remove(vec![id(1)]).await.unwrap();
    }
    reader.join_all().await;
    assert!(store.quarantined(None, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn how_far_a_scrub_is_survives_a_reopen_and_a_lost_index() {
    let folder = Folder::new();
    let store = folder.open().await;
    assert_eq!(store.scrub_progress().await.unwrap(), None);
    let progress = ScrubProgress { after: Some(id(7)), bytes: 8, began_seconds: 9, completed_seconds: Some(10) };
    store.keep_scrub_progress(progress).await.unwrap();
    close(store).await;
    folder.lose_index();
    let store = folder.open().await;
    assert_eq!(store.scrub_progress().await.unwrap(), Some(progress));
    flip(&folder.files, &folder.path().join("scrub"), 30);
    assert_eq!(store.scrub_progress().await.unwrap(), None);
}
