//! Files whose metadata is long.

use bytes::Bytes;
use client::SmallFile;
use types::NewInode;
use wire::code;

use crate::cluster::{Cluster, content, small, target};

fn with_xattrs(file: SmallFile, count: usize) -> SmallFile {
    let xattr = |number| (Bytes::from(format!("user.{number:04}")), Bytes::from(vec![7; 65_536]));
    let inode = NewInode { xattrs: (0..count).map(xattr).collect(), ..file.inode };
    SmallFile { inode, ..file }
}

#[tokio::test]
async fn a_group_of_files_is_cut_where_their_metadata_fills_an_entry_of_the_log() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let file = |number| with_xattrs(small(&format!("file-{number}"), content(number, 100)), 10);

    let results = session.make_small_files((0..40).map(file).collect()).await.unwrap();

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!((results.len(), cluster.state().files.len()), (40, 40));
    let longest = cluster.state().longest_request;
    assert!(longest < 8 << 20, "a request of {longest} bytes is more than an entry holds");
}

#[tokio::test]
async fn a_file_that_no_entry_can_hold_is_refused_and_the_others_are_made() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let files = vec![
        small("before", content(1, 10_000)),
        with_xattrs(small("too large", content(2, 10_000)), 200),
        small("after", content(3, 10_000)),
    ];

    let results = session.make_small_files(files).await.unwrap();

    let codes: Vec<_> = results.iter().map(|result| result.as_ref().err().map(|failure| &failure.code[..])).collect();
    assert_eq!(codes, [None, Some(code::TOO_LARGE), None]);
    assert_eq!(cluster.state().files.len(), 2);
}

#[tokio::test]
async fn a_long_file_that_no_entry_can_hold_is_refused() {
    let cluster = Cluster::start();
    let session = cluster.session().await;
    let large = with_xattrs(small("too large", Vec::new()), 200);
    let mut target = target("too large");
    target.inode = large.inode;
    let mut writer = session.write_file(target);
    writer.write(0, &content(1, 100_000)).await.unwrap();
    let error = writer.finish().await.unwrap_err();
    assert_eq!(error.code(), code::TOO_LARGE);
    assert!(cluster.state().files.is_empty());
}
