//! Answers that would not fit into one message.

use std::collections::BTreeSet;

use client::{Parts, StoredContent};
use types::{Lin, Name, Run};
use wire::{Endpoint, v1};

use crate::daemons::{Daemons, content, get, put};

#[tokio::test(flavor = "multi_thread")]
async fn more_blocks_than_a_message_holds_are_fetched_in_several_answers() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let bytes = content(1, 100 << 20);
    put(&client.open_session("test").await.unwrap(), "file", &bytes).await;

    let steps = client.lookup(Lin::ROOT, &[Name::new("file").unwrap()], None).await.unwrap();
    let parts = Parts { xattrs: false, content: true };
    let inode = client.describe(steps.last().unwrap().lin, parts, None).await.unwrap();
    let Some(StoredContent::Runs { runs, .. }) = inode.content else { panic!("{:?}", inode.content) };
    let extent = |run| if let Run::Block(extent) = run { extent } else { panic!("{run:?}") };
    let extents: Vec<_> = runs.into_iter().map(extent).collect();
    let wanted: BTreeSet<_> = extents.iter().map(|extent| extent.block).collect();
    let pg = extents[0].pg.0;
    let mut ids: Vec<v1::BlockId> = wanted.iter().map(|&id| id.into()).collect();
    let connection = Endpoint::Unix(daemons.home(0).join("admin.sock")).connect().await.unwrap();
    let mut fetched = 0;
    while !ids.is_empty() {
        let asked = connection.blocks().fetch(v1::FetchRequest { ids: ids.clone(), pg }).await;
        let answer = asked.unwrap_or_else(|status| panic!("{status}")).into_inner();
        let length: usize = answer.blocks.iter().map(|block| block.stored.len()).sum();
        assert!(length < 16 << 20, "an answer of {length} bytes");
        assert_eq!(answer.blocks.len() + answer.left as usize, ids.len());
        fetched += answer.blocks.len();
        ids.drain(..answer.blocks.len());
    }
    assert_eq!(fetched, wanted.len());
    assert!(get(&client, "file").await.unwrap() == bytes);
}
