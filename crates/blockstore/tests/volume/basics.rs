use blockstore::{BlockStore, BlockStoreError, FoundVolume, NewBlock, Options, Recovery};
use runtime::{Files, LockError, Tasks};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use types::{Digest, ErrorKind, PgId, VolumeId};

use crate::support::{Folder, assert_holds, block_of, close, id, noise, noisy_block, outside};

#[tokio::test]
async fn blocks_come_back_after_a_reopen() {
    let folder = Folder::new();
    let store = folder.open().await;
    let blocks: Vec<_> = (0..20).map(|sequence| noisy_block(sequence, 20_000)).collect();
    store.put(blocks.clone()).await.unwrap();
    assert_holds(&store, &blocks).await;
    let volume = store.volume();
    close(store).await;
    assert!(folder.segments().len() > 5);

    let store = folder.open().await;
    assert_eq!(store.volume(), volume);
    assert_eq!(store.recovery(), &Recovery::default());
    assert_holds(&store, &blocks).await;
    assert_eq!(store.get(id(99)).await.unwrap(), None);
    assert!(store.holds(id(7)).await.unwrap() && !store.holds(id(99)).await.unwrap());
}

#[tokio::test]
async fn a_block_that_is_larger_than_a_segment_is_kept() {
    let folder = Folder::new();
    let store = folder.open().await;
    let blocks = [noisy_block(1, 1 << 20), noisy_block(2, 10), noisy_block(3, 4 << 20)];
    store.put(blocks.to_vec()).await.unwrap();
    assert_holds(&store, &blocks).await;
}

/// Rule P11.
#[tokio::test]
async fn the_same_block_again_is_fine_and_another_under_its_id_is_refused() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (block, other) = (block_of(1, b"one"), block_of(1, b"other"));
    store.put(vec![block.clone(), block.clone()]).await.unwrap();
    store.put(vec![block.clone()]).await.unwrap();
    assert_eq!(store.usage().await.unwrap().blocks, 1);
    assert_eq!(store.usage().await.unwrap().dead_bytes, 0);

    let refused = store.put(vec![block_of(2, b"two"), other]).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::OtherDigest { .. }) && refused.kind() == ErrorKind::Conflict);
    let refused = store.put(vec![block_of(3, b"three"), block_of(3, b"another three")]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(!store.holds(id(2)).await.unwrap() && !store.holds(id(3)).await.unwrap());
    assert_holds(&store, &[block]).await;
}

#[tokio::test]
async fn bytes_that_are_no_block_are_refused() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut bad = block_of(1, b"bytes").stored.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let block = NewBlock { id: id(1), pg: PgId(1), digest: Digest::default(), stored: bad.into() };
    let refused = store.put(vec![block]).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::BadBlock { .. }) && refused.kind() == ErrorKind::Corrupt);
    assert!(!store.holds(id(1)).await.unwrap());
}

#[tokio::test]
async fn the_ids_of_a_group_are_listed_page_by_page() {
    let folder = Folder::new();
    let store = folder.open().await;
    let of_group = |sequence: u64| NewBlock { pg: PgId((sequence % 2) as u32), ..block_of(sequence, b"same") };
    store.put((0..10).map(of_group).collect()).await.unwrap();
    let first = store.ids(PgId(1), None, 3).await.unwrap();
    assert_eq!(first, [1, 3, 5].map(id));
    assert_eq!(store.ids(PgId(1), first.last().copied(), 3).await.unwrap(), [7, 9].map(id));
    assert_eq!(store.ids(PgId(0), None, 99).await.unwrap(), [0, 2, 4, 6, 8].map(id));
    assert!(store.ids(PgId(2), None, 99).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_block_that_is_put_again_for_another_group_moves_there() {
    let folder = Folder::new();
    let store = folder.open().await;
    let block = noisy_block(1, 20_000);
    store.put(vec![block.clone()]).await.unwrap();
    let moved = NewBlock { pg: PgId(2), ..block };
    store.put(vec![moved.clone()]).await.unwrap();
    close(store).await;
    assert!(bytes_on_disk(&folder) < 32_000);
    for lose in [|_: &Folder| (), Folder::lose_index] {
        lose(&folder);
        let store = folder.open().await;
        assert_eq!(store.ids(PgId(2), None, 9).await.unwrap(), [id(1)]);
        assert!(store.ids(PgId(1), None, 9).await.unwrap().is_empty());
        assert_eq!(store.usage().await.unwrap().blocks, 1);
        assert_holds(&store, std::slice::from_ref(&moved)).await;
        close(store).await;
    }
}

#[tokio::test]
async fn a_range_is_a_slice_and_one_outside_harms_nothing() {
    let folder = Folder::new();
    let store = folder.open().await;
    let plain = [noise(1, 100_000), vec![0; 100_000]].concat();
    store.put(vec![block_of(1, &plain)]).await.unwrap();
    for (offset, length) in [(0, 10), (65_530, 12), (99_000, 101_000), (0, 200_000), (200_000, 0)] {
        let range = store.get_range(id(1), offset, length).await.unwrap().unwrap();
        assert_eq!(range, plain[offset as usize..(offset + length) as usize]);
    }
    let refused = store.get_range(id(1), 199_999, 2).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
    assert!(store.holds(id(1)).await.unwrap());
    assert_eq!(store.get_range(id(2), 0, 1).await.unwrap(), None);
}

#[tokio::test]
async fn removed_blocks_are_gone_for_good_and_give_their_space_back() {
    let folder = Folder::new();
    let store = folder.open().await;
    let blocks: Vec<_> = (0..6).map(|sequence| noisy_block(sequence, 50_000)).collect();
    store.put(blocks.clone()).await.unwrap();
    let before = bytes_on_disk(&folder);
    store.remove(vec![id(1), id(3), id(99)]).await.unwrap();
    assert!(bytes_on_disk(&folder) + 80_000 < before);
    let usage = store.usage().await.unwrap();
    assert_eq!(usage.blocks, 4);
    assert!(usage.dead_bytes > 100_000 && usage.live_bytes > 200_000);
    close(store).await;

    folder.lose_index();
    let store = folder.open().await;
    assert_eq!(store.ids(PgId(1), None, 9).await.unwrap(), [0, 2, 4, 5].map(id));
    assert_eq!(store.get(id(1)).await.unwrap(), None);
    assert_holds(&store, &[blocks[0].clone(), blocks[2].clone()]).await;
    store.put(vec![blocks[1].clone()]).await.unwrap();
    close(store).await;
    folder.lose_index();
    assert_holds(&folder.open().await, &blocks[..3]).await;
}

fn bytes_on_disk(folder: &Folder) -> u64 {
    folder.segments().iter().map(|path| path.metadata().unwrap().blocks() * 512).sum()
}

#[tokio::test]
async fn usage_counts_what_is_held() {
    let folder = Folder::new();
    let store = folder.open().await;
    assert_eq!(store.usage().await.unwrap().blocks, 0);
    let blocks = [noisy_block(1, 1000), noisy_block(2, 2000)];
    store.put(blocks.to_vec()).await.unwrap();
    let usage = store.usage().await.unwrap();
    let records = blocks.iter().map(|block| (88 + block.stored.len() as u64).next_multiple_of(8)).sum::<u64>();
    assert_eq!((usage.blocks, usage.live_bytes, usage.dead_bytes, usage.segments), (2, records, 0, 1));
    assert!(usage.free_bytes <= usage.total_bytes);
    close(store).await;
    folder.lose_index();
    assert_eq!(folder.open().await.usage().await.unwrap().live_bytes, records);
}

#[tokio::test]
async fn a_volume_is_open_once() {
    let folder = Folder::new();
    let store = folder.open().await;
    let second = folder.open_with(folder.options(), Files::real()).await.unwrap_err();
    assert!(matches!(second, BlockStoreError::Lock(LockError::Held { .. })), "{second}");
    close(store).await;
    close(folder.open().await).await;
}

/// Rule P6.
#[tokio::test]
async fn another_volume_than_the_expected_one_is_refused() {
    let folder = Folder::new();
    let volume = close_and_tell(folder.open().await).await;
    let expecting = |expected| Options { expected: Some(expected), ..folder.options() };
    let other = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    let refused = folder.open_with(expecting(other), Files::real()).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::OtherVolume { .. }), "{refused}");
    close(folder.open_with(expecting(volume), Files::real()).await.unwrap()).await;

    folder.files.remove(&folder.path().join("volume")).unwrap();
    let refused = folder.open_with(folder.options(), Files::real()).await.unwrap_err();
    assert!(matches!(refused, BlockStoreError::NoIdentity { .. }), "{refused}");
}

/// As the folder of a disk that is not mounted.
#[tokio::test]
async fn nothing_is_made_in_an_empty_folder_where_a_volume_is_expected() {
    let folder = Folder::new();
    let expected = Some("00000000-0000-4000-8000-000000000000".parse().unwrap());
    let absent = folder.path().join("absent");
    for place in [folder.path(), &absent] {
        let options = Options { expected, folder: place.to_owned(), ..folder.options() };
        let refused = folder.open_with(options, Files::real()).await.unwrap_err();
        assert!(matches!(refused, BlockStoreError::OtherVolume { found: FoundVolume::Nothing, .. }), "{refused}");
        assert!(refused.is_of_the_disk());
        assert!(folder.files.list(folder.path()).unwrap().is_empty());
    }
}

async fn close_and_tell(store: BlockStore) -> VolumeId {
    let volume = store.volume();
    close(store).await;
    volume
}

#[tokio::test]
async fn the_volume_closes_when_the_process_ends() {
    let folder = Folder::new();
    let tasks = Tasks::new("node");
    let store = BlockStore::open(folder.options(), outside(Files::real(), tasks.clone())).await.unwrap();
    store.put(vec![block_of(1, b"one")]).await.unwrap();
    assert_eq!(tasks.close(Duration::from_secs(10)).await, Ok(()));
    let refused = store.put(vec![block_of(2, b"two")]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(store.holds(id(1)).await.unwrap());
}
