//! Sessions of the command line end with it, so that blocks which nobody published can be cleared away (rule P10).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use namespace::{SessionState, Store};
use rustix::process::{Pid, Signal, kill_process};
use testkit::cluster::{Cli, Cluster};

/// A put from standard input that has a session, and cannot end by itself.
fn put_without_end(cli: &Cli) -> Child {
    let mut put = cli.command(&["fs", "put", "-", "/stream"]);
    let mut put = put.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A pipe holds 64 KiB: once all of it is taken, the session is open.
    put.stdin.as_mut().unwrap().write_all(&vec![7; 4 << 20]).unwrap();
    put
}

/// The sessions that a node which does not run has in its state.
fn open_sessions(node: &Path) -> Vec<SessionState> {
    let stores = node.join("data/raft/state");
    let current = fs::read_to_string(stores.join("CURRENT")).unwrap();
    let store = Store::open(stores.join(current.trim())).unwrap();
    store.view().unwrap().sessions(None, 100).unwrap()
}

#[test]
fn a_command_that_fails_or_is_interrupted_ends_its_session_and_only_a_killed_one_does_not() {
    let mut cluster = Cluster::formed(1).unwrap();
    let cli = cluster.cli(1);
    cli.ok(&["fs", "mkdir", "/a"]).unwrap();
    let refused: [&[&str]; 4] = [
        &["fs", "mkdir", "/a"],
        &["fs", "put", "/no/such/file", "/a"],
        &["fs", "mv", "/missing", "/b"],
        &["fs", "rm", "/missing"],
    ];
    for line in refused {
        let output = cli.run(line).unwrap();
        assert_ne!(output.code, Some(0), "{line:?}");
    }
    let mut interrupted = put_without_end(&cli);
    kill_process(Pid::from_child(&interrupted), Signal::INT).unwrap();
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    let mut killed = put_without_end(&cli);
    killed.kill().unwrap();
    killed.wait().unwrap();

    cluster.node(1).terminate(Duration::from_secs(30)).unwrap();

    let labels: Vec<_> = open_sessions(cluster.node(1).folder()).into_iter().map(|session| session.label).collect();
    assert_eq!(labels, [format!("holdfast, process {}", killed.id())]);
}
