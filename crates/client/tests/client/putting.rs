//! Blocks that a group does not take (rules P10 and P11).

use std::collections::BTreeMap;

use types::{BlockId, PgId};

use crate::cluster::{Cluster, content, read, target};

#[tokio::test]
async fn a_block_has_another_id_in_every_group_that_it_is_offered_to() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let bytes = content(1, 3_000_000);
    cluster.state().puts_without_quorum = 2;

    let mut writer = session.write_file(target("file"));
    writer.write(0, &bytes).await.unwrap();
    let made = writer.finish().await.unwrap();

    assert!(read(session.client(), made.lin).await == bytes);
    let state = cluster.state();
    let mut groups = BTreeMap::<BlockId, Vec<PgId>>::new();
    for (block, (pg, _)) in state.copies.keys() {
        groups.entry(*block).or_default().push(*pg);
    }
    assert!(groups.values().all(|groups| groups.len() == 1), "{groups:?}");
    let extents = state.extents("file");
    assert_eq!(groups.len(), 3 * extents.len(), "two groups took the blocks in vain");
}

#[tokio::test]
async fn extents_stay_in_order_when_some_blocks_found_their_group_later_than_others() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    // Ranges 256 MiB apart have groups of their own, and each group's first put fails.
    let ranges = 4_u64;
    cluster.state().puts_without_quorum = 2;
    let mut writer = session.write_file(target("file"));
    for range in 0..ranges {
        writer.write(range << 28, &content(range, 5000)).await.unwrap();
    }
    writer.finish().await.unwrap();

    let extents = cluster.state().extents("file");
    let offsets: Vec<_> = extents.iter().map(|new| new.extent.offset).collect();
    assert_eq!(offsets, (0..ranges).map(|range| range << 28).collect::<Vec<_>>());
    for (range, new) in (0..).zip(&extents) {
        let plain = content(range, 5000);
        assert_eq!(
            new.extent.digest.0,
            block::digest(&plain).0,
            "the range at {} has its own bytes",
            new.extent.offset
        );
    }
}

#[tokio::test]
async fn the_blocks_of_a_file_with_many_holes_are_put_in_requests_that_a_node_takes() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let mut writer = session.write_file(target("file"));
    for run in 0..1500_u64 {
        writer.write(run * 8192, b"x").await.unwrap();
    }
    writer.finish().await.unwrap();
    let most = cluster.state().most_blocks_of_a_put;
    assert!((1..=1024).contains(&most), "{most} blocks in one put");
}
