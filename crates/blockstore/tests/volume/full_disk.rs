use std::sync::Arc;

use blockstore::{BlockStore, BlockStoreError, NewBlock, Options};
use runtime::{FileOperation, Files, Tasks};
use testkit::SmallDisk;
use types::ErrorKind;

use crate::support::{
    EIO, ENOSPC, EOPNOTSUPP, Failing, Folder, SEGMENT_BYTES, assert_holds, close, compact, compact_once, id,
    noisy_block, outside,
};

#[tokio::test]
async fn the_reserve_is_not_used_up_by_puts() {
    let folder = Folder::new();
    let greedy = Options { reserve_bytes: 1 << 60, ..folder.options() };
    let store = folder.open_with(greedy, Files::real()).await.unwrap();
    let refused = store.put(vec![noisy_block(1, 1000)]).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::NoSpace { .. }) && refused.kind() == ErrorKind::NoSpace);
    close(store).await;
    let store = folder.open().await;
    store.put(vec![noisy_block(1, 1000)]).await.unwrap();
    close(store).await;

    let greedy = Options { reserve_bytes: 1 << 60, ..folder.options() };
    let store = folder.open_with(greedy, Files::real()).await.unwrap();
    store.remove(vec![id(1)]).await.unwrap();
    assert!(!store.holds(id(1)).await.unwrap());
}

#[tokio::test]
async fn blocks_take_no_more_than_the_capacity_and_removal_gives_it_back() {
    let folder = Folder::new();
    let limited = Options { capacity_bytes: Some(100_000), ..folder.options() };
    let store = folder.open_with(limited, Files::real()).await.unwrap();
    let blocks: Vec<_> = (0..9).map(|sequence| noisy_block(sequence, 10_000)).collect();
    store.put(blocks.clone()).await.unwrap();
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.capacity_bytes, usage.available_bytes()), (100_000, 100_000 - usage.live_bytes));

    let refused = store.put(vec![noisy_block(9, 10_000)]).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::NoSpace { .. }), "{refused}");
    // Many at once: those that wait for the same sync are counted as well.
    let small = (10..30).map(|sequence| store.put(vec![noisy_block(sequence, 2_000)]));
    let answers = futures::future::join_all(small).await;
    assert!(answers.iter().any(Result::is_ok) && answers.iter().any(Result::is_err));
    assert!(store.usage().await.unwrap().live_bytes <= 100_000);
    assert_holds(&store, &blocks).await;

    store.remove(vec![id(0), id(1)]).await.unwrap();
    store.put(vec![noisy_block(9, 10_000)]).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_the_put_and_nothing_else() {
    for failing in [FileOperation::Write, FileOperation::Open] {
        let folder = Folder::new();
        let disk = Arc::new(Failing::default());
        let store = folder.open_watched(disk.clone()).await;
        let first: Vec<_> = (0..5).map(|sequence| noisy_block(sequence, 10_000)).collect();
        store.put(first.clone()).await.unwrap();
        disk.set(Some((failing, ENOSPC)));
        let more: Vec<_> = (5..10).map(|sequence| noisy_block(sequence, 10_000)).collect();
        let refused = store.put(more.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{refused}");
        disk.set(None);
        assert_holds(&store, &first).await;
        assert!(!store.holds(id(5)).await.unwrap());
        store.put(vec![noisy_block(20, 10)]).await.unwrap();
        disk.set(Some((FileOperation::Write, ENOSPC)));
        assert_eq!(store.remove(vec![id(20)]).await.unwrap_err().kind(), ErrorKind::NoSpace);
        disk.set(None);
        assert!(store.holds(id(20)).await.unwrap());
        store.put(more.clone()).await.unwrap();
        close(store).await;

        folder.lose_index();
        let store = folder.open().await;
        assert_eq!((store.recovery().cut_bytes, store.recovery().damaged_bytes), (0, 0));
        assert_holds(&store, &[first, more, vec![noisy_block(20, 10)]].concat()).await;
    }
}

#[tokio::test]
async fn after_a_failed_write_or_sync_nothing_is_taken_before_a_reopen() {
    for failing in [(FileOperation::Write, EIO), (FileOperation::Sync, EIO), (FileOperation::Sync, ENOSPC)] {
        let folder = Folder::new();
        let disk = Arc::new(Failing::default());
        let store = folder.open_watched(disk.clone()).await;
        store.put(vec![noisy_block(1, 1000)]).await.unwrap();
        disk.set(Some(failing));
        let refused = store.put(vec![noisy_block(2, 1000)]).await.unwrap_err();
        assert!(matches!(refused, BlockStoreError::Unwritable { .. }) && refused.kind() == ErrorKind::Unavailable);
        disk.set(None);
        assert!(store.put(vec![noisy_block(3, 1000)]).await.is_err());
        assert!(store.remove(vec![id(1)]).await.is_err());
        store.remove(vec![id(2), id(3)]).await.expect("nothing is to be written for blocks that are not there");
        assert_holds(&store, &[noisy_block(1, 1000)]).await;
        assert!(!store.holds(id(2)).await.unwrap());
        close(store).await;

        let store = folder.open().await;
        store.put(vec![noisy_block(2, 1000), noisy_block(3, 1000)]).await.unwrap();
        assert_holds(&store, &[1, 2, 3].map(|sequence| noisy_block(sequence, 1000))).await;
    }
}

#[tokio::test]
async fn a_volume_whose_disk_is_well_again_is_reopened_in_place() {
    for failing in [(FileOperation::Write, EIO), (FileOperation::Sync, EIO), (FileOperation::Open, EIO)] {
        let folder = Folder::new();
        let disk = Arc::new(Failing::default());
        let store = folder.open_watched(disk.clone()).await;
        store.reopen().await.expect("nothing has failed");
        // The next put needs a new segment.
        let first: Vec<_> = (0..6).map(|sequence| noisy_block(sequence, 10_000)).collect();
        store.put(first.clone()).await.unwrap();
        disk.set(Some(failing));
        let failed = store.put(vec![noisy_block(7, 10_000)]).await.unwrap_err();
        assert!(matches!(failed, BlockStoreError::Unwritable { .. }), "{failing:?}: {failed}");
        // The disk fails still, though there may be nothing to write that would tell.
        let reopened = store.reopen().await;
        assert!(reopened.is_err() || failing.0 == FileOperation::Write, "{failing:?}");
        assert!(store.put(vec![noisy_block(7, 10_000)]).await.is_err() && store.takes_writes().is_err());
        assert!(store.remove(vec![id(0)]).await.is_err());

        disk.set(None);
        store.reopen().await.unwrap();
        store.takes_writes().unwrap();
        assert_holds(&store, &first).await;
        store.put(vec![noisy_block(7, 10_000), noisy_block(8, 10)]).await.unwrap();
        store.remove(vec![id(0)]).await.unwrap();
        let expected = [&first[1..], &[noisy_block(7, 10_000), noisy_block(8, 10)]].concat();
        assert_holds(&store, &expected).await;
        close(store).await;

        folder.lose_index();
        let store = folder.open().await;
        assert_eq!((store.recovery().cut_bytes, store.recovery().damaged_bytes), (0, 0), "{failing:?}");
        assert_holds(&store, &expected).await;
        assert!(!store.holds(id(0)).await.unwrap());
    }
}

/// What a failed sync left in the page cache alone must be written again before the index learns of it.
#[tokio::test]
async fn what_a_failed_sync_left_is_synced_before_it_counts() {
    let folder = Folder::new();
    let disk = Arc::new(Failing::default());
    let store = folder.open_watched(disk.clone()).await;
    store.put(vec![noisy_block(1, 10_000)]).await.unwrap();
    let length = folder.last_segment().metadata().unwrap().len();
    disk.set(Some((FileOperation::Sync, EIO)));
    store.put(vec![noisy_block(2, 10_000)]).await.unwrap_err();
    assert!(!store.holds(id(2)).await.unwrap());
    // Half of it never came to the disk.
    let file = folder.files.open_update(&folder.last_segment()).unwrap();
    file.write_all_at(length + 5000, &[0; 4000]).unwrap();
    disk.set(None);
    store.reopen().await.unwrap();
    assert!(!store.holds(id(2)).await.unwrap());
    assert_eq!(folder.last_segment().metadata().unwrap().len(), length);
    store.put(vec![noisy_block(2, 10_000)]).await.unwrap();
    assert_holds(&store, &[noisy_block(1, 10_000), noisy_block(2, 10_000)]).await;
}

/// Removals give nothing back here, for the file system makes no holes: only a compaction does, and it needs room.
#[tokio::test]
async fn a_disk_that_is_full_is_compacted_within_the_reserve() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 24) else {
        return testkit::skip("this machine does not let us mount a small disk");
    };
    const RESERVE: u64 = 8 << 20;
    let options =
        Options { segment_bytes: 4 * SEGMENT_BYTES, reserve_bytes: RESERVE, ..Options::new(disk.path("volume")) };
    let files = Files::watched(Arc::new(Failing::with(FileOperation::PunchHole, EOPNOTSUPP)));
    let store = BlockStore::open(options, outside(files, Tasks::new("test"))).await.unwrap();
    let (mut blocks, mut refused) = (Vec::new(), None);
    while refused.is_none() {
        let block = noisy_block(blocks.len() as u64, 50_000);
        match store.put(vec![block.clone()]).await {
            Ok(()) => blocks.push(block),
            Err(error) => refused = Some(error),
        }
    }
    assert!(matches!(refused, Some(BlockStoreError::NoSpace { .. })), "{refused:?}");
    let (kept, removed): (Vec<NewBlock>, _) = blocks.into_iter().partition(|block| block.id.sequence % 4 == 0);
    store.remove(removed.iter().map(|block| block.id).collect()).await.unwrap();
    let more = noisy_block(1_000_000, 50_000);
    store.put(vec![more.clone()]).await.expect_err("no space came back");

    // Somebody else takes half of the reserve and more: copying would take what removals need.
    disk.leave(RESERVE / 2);
    let too_full = compact_once(&store).await.unwrap_err();
    assert_eq!(too_full.kind(), ErrorKind::NoSpace, "{too_full}");
    store.remove(vec![kept[0].id]).await.expect("removals go on");
    assert_holds(&store, &kept[1..]).await;

    disk.remove_filler();
    let before = disk.free();
    store.put(vec![more.clone()]).await.expect_err("as before");
    assert!(compact(&store).await > 10);
    assert!(disk.free() > before + 6 * (1 << 20), "{before} bytes were free, {} are", disk.free());
    assert_holds(&store, &kept[1..]).await;
    store.put(vec![more.clone()]).await.unwrap();
    assert_holds(&store, &[more]).await;
    close(store).await;
}
