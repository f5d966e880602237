//! What a client that died had put and not published goes away, and nothing else does.

use client::{Client, Target};
use types::{Change, FileKind, Lin, Name};

use crate::daemons::{Daemons, content, get, new_file, put};

/// Two puts of eight MiB are under way when the client dies.
const UNPUBLISHED: usize = 20 << 20;
const PUBLISHED: usize = 3 << 20;

/// Stored bytes of the blocks on each node.
async fn held(client: &Client) -> Result<Vec<u64>, String> {
    let status = client.status().await.map_err(|error| error.to_string())?;
    Ok(status.nodes.iter().map(|node| node.block_bytes).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_client_put_and_did_not_publish_goes_away_on_all_holders() {
    let daemons = Daemons::start_with(3, "[sessions]\nlease_seconds = 6\n");
    daemons.form().await;
    let client = daemons.client(0).await;
    let living = client.open_session("lives").await.unwrap();
    put(&living, "published", &content(1, PUBLISHED)).await;
    let settled = || async {
        let held = held(&client).await?;
        let whole = held.iter().all(|bytes| *bytes == held[0]) && held[0] >= PUBLISHED as u64;
        if whole { Ok(held[0]) } else { Err(format!("{held:?}")) }
    };
    let published = daemons.until("all holders have the published file", settled).await;

    let dead = client.open_session("dies").await.unwrap();
    let name = Name::new("never").unwrap();
    let mut writer = dead.write_file(Target { parent: Lin::ROOT, name, inode: new_file(), replace: false });
    writer.write(0, &content(2, UNPUBLISHED)).await.unwrap();
    let arrived = || async {
        let held = held(&client).await?;
        if held.iter().all(|bytes| *bytes > published + (8 << 20)) { Ok(()) } else { Err(format!("{held:?}")) }
    };
    daemons.until("blocks are put", arrived).await;
    // Nothing tells the cluster: a client that is gone closes no session.
    drop((writer, dead));

    let gone = || async {
        let held = held(&client).await?;
        if held.iter().all(|bytes| *bytes == published) { Ok(()) } else { Err(format!("{held:?}, not {published}")) }
    };
    daemons.until("what nobody published is gone", gone).await;
    assert!(get(&client, "published").await.unwrap() == content(1, PUBLISHED));

    // The living session did nothing all the while, and was kept alive.
    let change = |name: &str| {
        let name = Name::new(name.to_owned()).unwrap();
        let inode = types::NewInode { kind: FileKind::Directory, ..new_file() };
        Change::Create(types::Create { parent: Lin::ROOT, name, inode, replace: false })
    };
    living.execute_one("make a directory", change("later")).await.unwrap();
}
