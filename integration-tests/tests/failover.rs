//! A client goes on through another node when the one it talks to dies.

use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;

use testkit::cluster::{Cli, Cluster};

/// A cluster of three, and a command line that knows all of its nodes, the first one first.
fn cluster() -> (Cluster, Cli) {
    let cluster = Cluster::formed(3).unwrap();
    let cli = cluster.cli_without_cluster().clone();
    cli.ok(&["cluster", "status"]).unwrap();
    let context = cli.json(&["context", "list"]).unwrap();
    assert_eq!(context["endpoints"].as_array().map(Vec::len), Some(3), "{context}");
    (cluster, cli)
}

fn bytes() -> Vec<u8> {
    (0..60_000_000_u32 / 4).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

#[test]
fn a_put_outlives_the_node_that_it_talks_to() {
    let (mut cluster, cli) = cluster();
    let bytes = bytes();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut put = cli.command(&["fs", "put", "-", "/file"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = put.stdin.take().unwrap();
    // A pipe holds 64 KiB and the program a few MiB: once all of the first half is taken, blocks of it have been put.
    input.write_all(first).unwrap();

    cluster.node(1).kill().unwrap();

    input.write_all(second).unwrap();
    drop(input);
    let output = put.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(cli.ok(&["fs", "cat", "/file"]).unwrap() == bytes);
}

#[test]
fn a_read_outlives_the_node_that_it_talks_to() {
    let (mut cluster, cli) = cluster();
    let bytes = bytes();
    fs::write(cluster.path("file"), &bytes).unwrap();
    cli.ok(&["fs", "put", &cluster.path("file").display().to_string(), "/file"]).unwrap();
    let mut cat = cli.command(&["fs", "cat", "/file"]);
    let mut cat = cat.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut read = vec![0; 1_000_000];
    // The rest stays in the cluster but for what is fetched ahead, since nobody takes it from the pipe.
    cat.stdout.as_mut().unwrap().read_exact(&mut read).unwrap();

    cluster.node(1).kill().unwrap();

    let output = cat.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read.extend(output.stdout);
    assert!(read == bytes);
}
