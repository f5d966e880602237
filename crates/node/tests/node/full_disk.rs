//! A node whose disk is full: it says so, keeps what it acknowledged, lets files be removed, and goes on.

use std::convert::Infallible;

use client::{Client, ClientError, Session, Target};
use testkit::SmallDisk;
use types::{ErrorKind, Lin, Name};

use crate::daemons::{self, Daemons, content, get, new_file, small};

const FILE_LENGTH: usize = 4 << 20;

async fn try_put(session: &Session, number: u64) -> Result<(), ClientError> {
    let name = Name::new(number.to_string()).expect("a name");
    let mut writer = session.write_file(Target { parent: Lin::ROOT, name, inode: new_file(), replace: false });
    writer.write(0, &content(number, FILE_LENGTH)).await?;
    writer.finish().await.map(drop)
}

/// Puts files until there is no room, and gives how many there are, and why there are no more.
async fn fill(session: &Session, most: u64) -> (u64, ClientError) {
    for number in 0..most {
        if let Err(error) = try_put(session, number).await {
            return (number, error);
        }
    }
    panic!("{most} files found room");
}

async fn remove(session: &Session, number: u64) -> Result<(), ClientError> {
    daemons::remove(session, &number.to_string()).await
}

async fn assert_readable(client: &Client, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert!(get(client, &number.to_string()).await.unwrap() == content(number, FILE_LENGTH), "file {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_volumes_refuse_blocks_and_nothing_else_until_files_are_removed() {
    let daemons = Daemons::start_with(3, "[blocks]\nreserve_mib = 1\ncapacity_mib = 32\n");
    daemons.form().await;
    let client = daemons.client(1).await;
    let session = client.open_session("test").await.unwrap();

    let (files, error) = fill(&session, 9).await;
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert_readable(&client, 0..files).await;
    session.make_small_files(vec![small("small", b"in the inode")]).await.unwrap();
    let status = client.status().await.unwrap();
    for node in &status.nodes {
        assert_eq!(node.capacity_bytes, 32 << 20);
        assert!(node.free_bytes < FILE_LENGTH as u64, "{node:?}");
        assert!(node.free_bytes + node.block_bytes <= node.capacity_bytes, "{node:?}");
    }

    remove(&session, 0).await.unwrap();
    let has_room = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let enough = status.nodes.iter().all(|node| node.free_bytes > FILE_LENGTH as u64 + (64 << 10));
        if enough { Ok(()) } else { Err(format!("{status:?}")) }
    };
    daemons.until("the space of the removed file is there", has_room).await;
    try_put(&session, 0).await.unwrap();
    assert_readable(&client, 0..files).await;
}

async fn never_ending(work: impl Future<Output = Infallible>) -> Infallible {
    work.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_a_full_disk_loses_nothing_and_comes_back() {
    let limits = "[blocks]\nreserve_mib = 96\n[metadata]\nreserve_mib = 48\n";
    let mut daemons = Daemons::prepare(1, limits);
    let Some(disk) = SmallDisk::mount(&daemons.home(0).join("disk"), 192) else {
        return testkit::skip("this machine does not let us mount a small disk");
    };
    daemons.run_in_namespace_of(disk.holder());
    daemons.spawn(0);
    daemons.form().await;
    let client = daemons.client(0).await;
    let session = client.open_session("test").await.unwrap();

    let (files, error) = fill(&session, 48).await;
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(disk.free() >= 90 << 20, "blocks leave the reserve alone: {} bytes are free", disk.free());
    session.make_small_files(vec![small("metadata", b"still fits")]).await.unwrap();

    // Somebody else writes to the same disk.
    disk.leave(24 << 20);
    let refused = || async {
        match session.make_small_files(vec![small("too much", b"")]).await {
            Err(error) if error.kind() == ErrorKind::NoSpace => Ok(error.to_string()),
            other => Err(format!("{other:?}")),
        }
    };
    let said = daemons.until("metadata is refused", refused).await;
    assert!(said.contains("remove files"), "{said}");
    remove(&session, 0).await.expect("removals go on");
    assert_readable(&client, 1..files).await;

    // Not even Raft can write: the process ends, and nothing that it acknowledged is lost.
    let removing = async {
        loop {
            // Removed blocks give their space back, and somebody else takes it again.
            disk.leave(0);
            let _there_is_no_such_file = remove(&session, files).await;
        }
    };
    let ended = tokio::select! {
        ended = daemons.ended(0) => ended,
        never = never_ending(removing) => match never {},
    };
    assert!(!ended.success(), "{ended:?}");
    disk.remove_filler();
    daemons.spawn(0);
    daemons.ready(0).await;
    let client = daemons.client(0).await;
    assert_readable(&client, 1..files).await;
    assert_eq!(get(&client, "metadata").await.unwrap(), b"still fits");
    assert!(get(&client, "0").await.is_err(), "a removed file stays removed");
    let session = client.open_session("test").await.unwrap();
    let again = || async { try_put(&session, 0).await.map_err(|error| error.to_string()) };
    daemons.until("there is room again", again).await;
}
