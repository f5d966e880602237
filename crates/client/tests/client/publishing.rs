//! A placement group changes between a put and the publishing (rule P12).

use std::collections::BTreeSet;

use types::{BlockId, NewExtent};
use wire::code;

use crate::cluster::{Cluster, content, read, small, target};

fn blocks(extents: &[NewExtent]) -> BTreeSet<BlockId> {
    extents.iter().map(|new| new.extent.block).collect()
}

/// The blocks that were ever put.
fn put(cluster: &Cluster) -> BTreeSet<BlockId> {
    cluster.state().copies.keys().map(|(block, _)| *block).collect()
}

#[tokio::test]
async fn a_file_whose_groups_moved_after_the_put_is_put_again_and_published() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let bytes = content(1, 9_000_000);
    cluster.state().moves = 1;

    let mut writer = session.write_file(target("file"));
    writer.write(0, &bytes).await.unwrap();
    let made = writer.finish().await.unwrap();

    assert!(read(session.client(), made.lin).await == bytes);
    let extents = cluster.state().extents("file");
    assert!(extents.iter().all(|new| new.pg_version.0 == 2), "{extents:?}");
    assert_eq!(cluster.state().refused(code::STALE_PLACEMENT), 1);
    assert_eq!(put(&cluster).len(), 2 * extents.len(), "each was put twice, each time under an id of its own");
}

#[tokio::test]
async fn a_long_file_goes_on_where_one_of_its_steps_was_refused() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let mut writer = session.write_file(target("file"));
    // Each run is a block of its own, and more of them than one change publishes.
    let runs = 2300_u64;
    for run in 0..runs {
        writer.write(run * 8192, &run.to_be_bytes()).await.unwrap();
        if run == 2200 {
            cluster.state().moves = 1;
        }
    }
    let made = writer.finish().await.unwrap();

    assert_ne!(cluster.state().refused(code::STALE_PLACEMENT), 0);
    let bytes = read(session.client(), made.lin).await;
    for run in 0..runs {
        let begin = usize::try_from(run).unwrap() * 8192;
        assert_eq!(bytes.get(begin..begin + 8), Some(&run.to_be_bytes()[..]), "run {run}");
    }
    assert_eq!(cluster.state().files.len(), 1, "nothing is left under another name");
}

#[tokio::test]
async fn a_group_that_lost_a_copy_leaves_the_block_to_another_group() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let bytes = content(2, 300_000);
    cluster.state().losses = 1;

    let mut writer = session.write_file(target("file"));
    writer.write(0, &bytes).await.unwrap();
    let made = writer.finish().await.unwrap();

    assert!(read(session.client(), made.lin).await == bytes);
    let extents = cluster.state().extents("file");
    let state = cluster.state();
    for (block, (pg, _)) in state.copies.keys() {
        let is_home = extents.iter().any(|new| new.extent.pg == *pg);
        assert_eq!(is_home, blocks(&extents).contains(block), "{block} in {pg}: {extents:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_refused_again_and_again_fails_after_a_bounded_number_of_puts() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    cluster.state().moves = usize::MAX;

    let mut writer = session.write_file(target("file"));
    writer.write(0, &content(3, 300_000)).await.unwrap();
    let error = writer.finish().await.unwrap_err();

    assert_eq!(error.code(), code::STALE_PLACEMENT);
    assert_eq!(cluster.state().refused(code::STALE_PLACEMENT), 4);
    assert!(cluster.state().files.is_empty());
}

#[tokio::test]
async fn small_files_whose_groups_moved_are_put_again() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let files = (0..10).map(|number| small(&format!("file-{number}"), content(number, 50_000))).collect();
    cluster.state().moves = 1;

    let results = session.make_small_files(files).await.unwrap();

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    for number in 0..10 {
        let lin = cluster.state().files.get(format!("file-{number}").as_bytes()).unwrap().lin;
        assert!(read(session.client(), lin).await == content(number, 50_000), "file {number}");
    }
}
