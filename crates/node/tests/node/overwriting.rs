//! Small writes into a file that is there, and what is merged of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use client::Session;
use runtime::Seed;
use types::{BlockId, Lin, Run};

use crate::daemons::{Daemons, content, find, get_at, put};

const MIB: usize = 1 << 20;

async fn runs(session: &Session, lin: Lin) -> Vec<Run> {
    let page = session.client().read_runs(lin, 0, None).await.unwrap();
    assert_eq!(page.next_offset, None);
    page.runs
}

async fn blocks(session: &Session, lin: Lin) -> BTreeSet<BlockId> {
    let block = |run| if let Run::Block(extent) = run { Some(extent.block) } else { None };
    runs(session, lin).await.into_iter().filter_map(block).collect()
}

/// Asserts that a file has few extents in each MiB.
async fn assert_merged(session: &Session, lin: Lin, length: usize, after: &str) {
    let runs = runs(session, lin).await;
    for window in (0..length).step_by(MIB) {
        let (begin, end) = (window as u64, (window + MIB) as u64);
        let inside = runs.iter().filter(|run| run.part(begin, end).is_some()).count();
        assert!(inside <= 8, "{inside} extents at {window} after {after}");
    }
}

/// Writes bytes into a file and into what it is expected to be.
async fn write(session: &Session, lin: Lin, expected: &mut Vec<u8>, offset: usize, bytes: Vec<u8>) {
    let end = offset + bytes.len();
    expected.resize(expected.len().max(end), 0);
    expected[offset..end].copy_from_slice(&bytes);
    session.write_at(lin, offset as u64, Bytes::from(bytes)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_overwritten_at_random_has_few_extents_and_the_bytes_that_were_written() {
    let number = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let number = number.unwrap_or_else(|| Seed::from_os().u64());
    println!("replay with HOLDFAST_SEED={number}");
    let seed = Seed::fixed(number);
    let daemons = Daemons::start(1);
    daemons.form().await;
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    let first = content(1, 3 * MIB + 1234);
    put(&session, "file", &first).await;
    let lin = find(session.client(), "file").await;
    let snapshot = session.client().create_snapshot("before").await.unwrap();
    let mut expected = first.clone();
    for write_number in 0..120 {
        let offset = usize::try_from(seed.below(expected.len() as u64)).unwrap();
        write(&session, lin, &mut expected, offset, content(write_number, 4096)).await;
        assert_merged(&session, lin, expected.len(), &format!("write {write_number}")).await;
    }
    assert!(get_at(session.client(), lin, None).await.unwrap() == expected);
    assert!(get_at(session.client(), lin, Some(snapshot.id)).await.unwrap() == first, "the snapshot is unharmed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_which_little_is_left_is_given_up() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    // Too short to be cut.
    let mut expected = content(1, 200_000);
    put(&session, "file", &expected).await;
    let lin = find(session.client(), "file").await;
    let whole = blocks(&session, lin).await;
    assert_eq!(whole.len(), 1);
    write(&session, lin, &mut expected, 30_000, content(2, 140_000)).await;
    assert!(blocks(&session, lin).await.is_superset(&whole), "60,000 bytes of it are left");
    write(&session, lin, &mut expected, 10_000, content(3, 180_000)).await;
    assert!(blocks(&session, lin).await.is_disjoint(&whole), "20,000 were");
    assert!(get_at(session.client(), lin, None).await.unwrap() == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_that_are_blocks_of_their_own_are_merged_as_well() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    put(&session, "file", b"").await;
    let lin = find(session.client(), "file").await;
    let mut expected = Vec::new();
    for number in 0..40 {
        let bytes = content(number, 70_000);
        assert_eq!(session.append(lin, Bytes::from(bytes.clone())).await.unwrap(), expected.len() as u64);
        expected.extend(bytes);
        assert_merged(&session, lin, expected.len(), &format!("append {number}")).await;
    }
    assert!(get_at(session.client(), lin, None).await.unwrap() == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_file_is_written_into_as_any_other() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    put(&session, "file", b"0123456789").await;
    let lin = find(session.client(), "file").await;
    let mut expected = b"0123456789".to_vec();
    for (offset, bytes) in [(3, b"abc".to_vec()), (8, content(1, 5000)), (0, b"z".to_vec())] {
        write(&session, lin, &mut expected, offset, bytes).await;
        assert!(get_at(session.client(), lin, None).await.unwrap() == expected, "{offset}");
    }
    session.write_at(lin, 6000, Bytes::new()).await.unwrap();
    assert_eq!(get_at(session.client(), lin, None).await.unwrap().len(), 5008, "no bytes make no file longer");
}
