//! Reading a file that others write.

use std::collections::BTreeMap;

use client::Client;
use types::{Lin, SnapshotId};
use wire::code;

use crate::cluster::{Cluster, content, small};

const PIECES: u64 = 70;
const PIECE_LENGTH: u64 = 5000;

/// Makes a file of many small blocks; gives its bytes and its LIN.
async fn in_pieces(cluster: &Cluster) -> (Vec<u8>, Lin) {
    let parts: Vec<_> = (0..PIECES).map(|number| content(number, usize::try_from(PIECE_LENGTH).unwrap())).collect();
    let files = parts.iter().enumerate().map(|(number, part)| small(&format!("{number}"), part.clone())).collect();
    cluster.session().await.make_small_files(files).await.unwrap();
    let mut state = cluster.state();
    let mut extents = BTreeMap::new();
    for number in 0..PIECES {
        let mut new = state.extents(&number.to_string()).remove(0);
        new.extent.offset = number * PIECE_LENGTH;
        extents.insert(new.extent.offset, new);
    }
    let file = state.files.get_mut("0".as_bytes()).unwrap();
    (file.extents, file.size) = (extents, PIECES * PIECE_LENGTH);
    (parts.concat(), file.lin)
}

/// Puts other blocks with the same bytes in the place of a file's, as whoever merges them does. The first old ones are still
/// there, as far as the reader has asked for them already.
async fn merge(cluster: &Cluster, lin: Lin, bytes: &[u8], kept: usize) {
    let merged = vec![small("merged", bytes.to_vec())];
    cluster.session().await.make_small_files(merged).await.unwrap();
    let mut state = cluster.state();
    let merged = state.files.get("merged".as_bytes()).unwrap().extents.clone();
    let file = state.files.values_mut().find(|file| file.lin == lin).unwrap();
    let old = std::mem::replace(&mut file.extents, merged);
    for new in old.values().skip(kept) {
        state.copies.retain(|(block, _), _| *block != new.extent.block);
    }
}

/// Reads a file of which other blocks have the bytes since it was begun to be read.
async fn read_while_merged(
    cluster: &Cluster,
    client: &Client,
    snapshot: Option<SnapshotId>,
    kept: usize,
) -> Result<bool, String> {
    let (bytes, lin) = in_pieces(cluster).await;
    let mut reader = client.read_file(lin, snapshot).await.unwrap();
    merge(cluster, lin, &bytes, kept).await;
    let mut read = Vec::new();
    while let Some(piece) = reader.next().await.map_err(|error| error.code().to_owned())? {
        assert_eq!(piece.offset, read.len() as u64);
        read.extend_from_slice(&piece.bytes);
    }
    Ok(read == bytes)
}

#[tokio::test]
async fn a_reader_goes_on_where_the_blocks_that_it_knows_of_are_gone() {
    for kept in [0, 64] {
        let cluster = Cluster::start();
        let client = cluster.client().await;
        assert_eq!(read_while_merged(&cluster, &client, None, kept).await, Ok(true), "{kept} blocks are still there");
    }
}

#[tokio::test]
async fn a_block_of_a_snapshot_that_is_gone_is_lost() {
    let cluster = Cluster::start();
    let client = cluster.client().await;
    let read = read_while_merged(&cluster, &client, Some(SnapshotId(1)), 0).await;
    assert_eq!(read, Err(code::NO_BLOCK.to_owned()));
}

/// What lies behind the end by now would be read as a hole, and the reader's file be one of zeros.
#[tokio::test]
async fn a_file_that_is_emptied_while_it_is_read_is_not_read_as_zeros() {
    let cluster = Cluster::start();
    let client = cluster.client().await;
    let (_, lin) = in_pieces(&cluster).await;
    let mut reader = client.read_file(lin, None).await.unwrap();
    {
        let mut state = cluster.state();
        let file = state.files.values_mut().find(|file| file.lin == lin).unwrap();
        let old = std::mem::take(&mut file.extents);
        (file.inline, file.size) = (b"abc".to_vec().into(), 3);
        state.copies.retain(|(block, _), _| !old.values().any(|new| new.extent.block == *block));
    }
    let ended = loop {
        match reader.next().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert_eq!(ended.map_err(|error| error.code().to_owned()), Err("file_changed".to_owned()));
}
