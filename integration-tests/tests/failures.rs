//! Nodes are killed, ended, and started again.

use std::fs;
use std::time::Duration;

use testkit::cluster::{Cluster, wait_for};

const RECOVERY_DEADLINE: Duration = Duration::from_secs(60);

/// Puts a file of some blocks and gives its bytes.
fn put_some(cluster: &Cluster, node: usize, path: &str) -> Vec<u8> {
    let bytes = vec![path.len() as u8; 5_000_000];
    let local = cluster.path("local");
    fs::write(&local, &bytes).unwrap();
    cluster.cli(node).ok(&["fs", "put", &local.display().to_string(), path]).unwrap();
    bytes
}

fn read_soon(cluster: &Cluster, node: usize, path: &str) -> Vec<u8> {
    wait_for("a readable file", RECOVERY_DEADLINE, || cluster.cli(node).ok(&["fs", "cat", path])).unwrap()
}

/// Law 1, as far as one process goes: what was acknowledged is there when any one node is gone, the leader included.
#[test]
fn the_loss_of_any_one_node_of_three_loses_no_acknowledged_file() {
    let mut cluster = Cluster::formed(3).unwrap();
    for lost in 1..=3 {
        let path = format!("/file-{lost}");
        let bytes = put_some(&cluster, lost, &path);

        cluster.node(lost).kill().unwrap();

        let survivor = lost % 3 + 1;
        assert!(read_soon(&cluster, survivor, &path) == bytes, "read through node {survivor}");
        cluster.node(lost).start().unwrap();
        cluster.wait_until_ready().unwrap();
    }
}

/// Law 1: the loss of power on all nodes at once.
#[test]
fn a_cluster_whose_nodes_were_all_killed_at_once_comes_back_with_everything() {
    let mut cluster = Cluster::formed(3).unwrap();
    let bytes = put_some(&cluster, 2, "/file");
    for node in 1..=3 {
        cluster.node(node).kill().unwrap();
    }
    for node in 1..=3 {
        cluster.node(node).start().unwrap();
    }
    assert!(read_soon(&cluster, 1, "/file") == bytes);
    assert!(read_soon(&cluster, 3, "/file") == bytes);
    put_some(&cluster, 1, "/another");
}

#[test]
fn a_node_that_is_asked_to_end_ends_in_order_and_comes_back() {
    let mut cluster = Cluster::formed(3).unwrap();
    let bytes = put_some(&cluster, 1, "/file");

    let status = cluster.node(1).terminate(Duration::from_secs(30)).unwrap();

    assert!(status.is_some_and(|status| status.success()), "{status:?}");
    assert!(read_soon(&cluster, 2, "/file") == bytes);
    cluster.node(1).start().unwrap();
    assert!(read_soon(&cluster, 1, "/file") == bytes);
}

#[test]
fn a_second_process_on_the_folder_of_a_running_one_is_refused() {
    let mut cluster = Cluster::formed(1).unwrap();
    let log_before = cluster.node(1).log();

    let second = cluster.node(1).start_another().unwrap();

    assert_ne!(second.code(), Some(0));
    let log = cluster.node(1).log();
    let said = log.strip_prefix(log_before.as_str()).unwrap_or(&log);
    assert!(said.contains("lock"), "{said}");
}
