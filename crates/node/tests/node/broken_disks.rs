//! A node whose disk for blocks does not open does everything else.

use runtime::Files;
use wire::v1;

use crate::daemons::{Daemons, content, get, put, small};

fn last_node(status: &v1::ClusterStatus) -> v1::NodeStatus {
    status.nodes.last().cloned().expect("there are nodes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_not_mounted_votes_and_serves_and_has_its_blocks_again_later() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let bytes = content(7, 2 << 20);
    put(&daemons.client(0).await.open_session("test").await.unwrap(), "before", &bytes).await;
    assert!(daemons.terminate(2).success(), "{}", daemons.logs());
    let (files, home) = (Files::real(), daemons.home(2));
    let (volume, mounted) = (home.join("disk/volume"), home.join("mounted"));
    files.rename(&volume, &mounted).unwrap();
    files.create_dirs(&volume).unwrap();

    daemons.spawn(2);
    daemons.ready(2).await;
    assert!(files.list(&volume).unwrap().is_empty(), "nothing is made where the disk will be mounted");
    let client = daemons.client(0).await;
    let shown = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let node = last_node(&status);
        match &node.failed_volumes[..] {
            [failed] => Ok((failed.clone(), node.node.unwrap_or_default(), status.warnings)),
            _ => Err(format!("{node:?}")),
        }
    };
    let (failed, node, warnings) = daemons.until("the volume is shown as failed", shown).await;
    assert_eq!(([failed.volume], failed.folder), ([node.volumes[0].clone()], volume.display().to_string()));
    assert!(warnings.iter().any(|line| line.contains(volume.to_str().unwrap())), "{warnings:?}");

    let client = daemons.client(2).await;
    assert!(get(&client, "before").await.unwrap() == bytes, "the others have the blocks");
    let session = client.open_session("test").await.unwrap();
    put(&session, "during", &bytes).await;
    drop(session);
    daemons.kill(0);
    let client = daemons.client(1).await;
    client.open_session("test").await.unwrap().make_small_files(vec![small("by two", b"votes")]).await.unwrap();
    daemons.spawn(0);

    assert!(daemons.terminate(2).success(), "{}", daemons.logs());
    files.remove_dir_all(&volume).unwrap();
    files.rename(&mounted, &volume).unwrap();
    daemons.spawn(2);
    let client = daemons.client(2).await;
    let whole = || async {
        let node = last_node(&client.status().await.map_err(|error| error.to_string())?);
        let is_whole = node.reachable && node.failed_volumes.is_empty() && node.block_bytes >= bytes.len() as u64;
        if is_whole { Ok(()) } else { Err(format!("{node:?}")) }
    };
    daemons.until("the node has its blocks again", whole).await;
    assert!(get(&client, "before").await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_went_bad_on_the_disk_is_found_and_shown_before_anybody_reads_it() {
    let mut daemons = Daemons::start(1);
    daemons.form().await;
    put(&daemons.client(0).await.open_session("test").await.unwrap(), "file", &content(7, 2 << 20)).await;
    assert!(daemons.terminate(0).success(), "{}", daemons.logs());
    let (files, volume) = (Files::real(), daemons.home(0).join("disk/volume"));
    let segment = files.list(&volume.join("segments")).unwrap().remove(0).path;
    let file = files.open_update(&segment).unwrap();
    let middle = file.len().unwrap() / 2;
    let byte = file.read_exact_at(middle, 1).unwrap()[0];
    file.write_all_at(middle, &[byte ^ 1]).unwrap();
    // The pass that began before there were blocks is over, and the next one is days away.
    files.remove_if_there(&volume.join("scrub")).unwrap();

    daemons.spawn(0);
    let client = daemons.client(0).await;
    let shown = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let is_shown = last_node(&status).damaged_blocks == 1;
        if is_shown { Ok(status.warnings) } else { Err(format!("{status:?}")) }
    };
    let warnings = daemons.until("the block is shown", shown).await;
    assert!(warnings.iter().any(|line| line.contains("1 of its blocks")), "{warnings:?}");
    assert!(files.exists(&volume.join("scrub")).unwrap(), "how far it is was kept");
}
