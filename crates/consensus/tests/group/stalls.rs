//! Disks that hang: in the vote, and in what the state store waits for. Those of the log are beside this file.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use consensus::Retention;
use runtime::{Clock, FileOperation, Files, Watch};
use types::NodeId;

use crate::world::{Net, Node, PATIENCE, Setup, agree, has_file, leader, make, three, three_with};

/// A disk on which one kind of operation on some paths hangs while it is held.
struct Holdable {
    operation: FileOperation,
    part: &'static str,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: bool,
    /// Operations that hang or hung.
    caught: u64,
}

impl Holdable {
    fn new(operation: FileOperation, part: &'static str) -> Arc<Self> {
        Arc::new(Self { operation, part, state: Mutex::default(), changed: Condvar::new() })
    }

    fn files(self: &Arc<Self>) -> Files {
        Files::watched(Arc::clone(self) as Arc<dyn Watch>)
    }

    fn set(&self, held: bool) {
        self.state.lock().expect("no panic").held = held;
        self.changed.notify_all();
    }

    fn caught(&self) -> u64 {
        self.state.lock().expect("no panic").caught
    }

    async fn wait_until_caught(&self) {
        let clock = Clock::real();
        let caught = async {
            while self.caught() == 0 {
                clock.sleep(Duration::from_millis(10)).await;
            }
        };
        clock.timeout(PATIENCE, caught).await.expect("the disk hangs");
    }
}

impl Watch for Holdable {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        if operation == self.operation && path.to_string_lossy().contains(self.part) {
            let mut state = self.state.lock().expect("no panic");
            state.caught += u64::from(state.held);
            drop(self.changed.wait_while(state, |state| state.held).expect("no panic"));
        }
        Ok(())
    }
}

/// Releases the disk however the test ends: a thread that hangs would keep the process from ending.
struct Release(Arc<Holdable>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_whose_vote_hangs_holds_up_nobody_but_itself() {
    let (net, disk) = (Net::default(), Holdable::new(FileOperation::Sync, "raft/vote"));
    let _release = Release(Arc::clone(&disk));
    let (setup, first) = (Setup::default(), Setup { files: disk.files(), ..Setup::default() });
    let nodes = three_with(&net, &setup, &first).await;
    make(&nodes[0], "before").await;

    // It follows somebody else now, and hangs when it has to write for whom.
    disk.set(true);
    let handing_over = async {
        net.isolate(NodeId(1));
        let next = leader(&[&nodes[1], &nodes[2]]).await;
        net.heal();
        next
    };
    assert_ne!(handing_over.await, NodeId(1));
    disk.wait_until_caught().await;
    for number in 0..20 {
        make(&nodes[1], &format!("file {number}")).await;
    }
    assert!(!has_file(&nodes[0].handle.local_view().expect("a view"), "file 0"), "it hangs");

    disk.set(false);
    nodes[0].wait_for_file("file 19").await;
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_state_store_hangs_hands_over() {
    let retention = Retention {
        keep_entries: 20,
        purge_entries: 10,
        keep_entries_min: 10,
        period: Duration::from_millis(100),
        ..Retention::default()
    };
    let (net, disk) = (Net::default(), Holdable::new(FileOperation::Remove, "state/store-00000001"));
    let release = Release(Arc::clone(&disk));
    let setup = Setup { retention, segment_bytes: 2 << 10, ..Setup::default() };
    let mut nodes = three(&net, &setup).await;
    make(&nodes[0], "first").await;
    let third = nodes.pop().expect("three nodes").stop().await;
    for number in 0..100 {
        make(&nodes[0], &format!("file {number}")).await;
    }
    for node in &nodes {
        let purged = node.handle.wait_status(|status| status.purged > Some(50));
        Clock::real().timeout(PATIENCE, purged).await.expect("a purge in time").expect("running");
    }
    // The third is sent the state. The first entry that it applies behind that removes the store before, and hangs.
    disk.set(true);
    let third =
        Node::start_in(&net, 3, third, &Setup { files: disk.files(), ..setup.clone() }).await.expect("a member");
    let clock = Clock::real();
    let installed = async {
        while third.metric("raft_snapshots_installed_total") == 0 {
            clock.sleep(Duration::from_millis(10)).await;
        }
    };
    clock.timeout(PATIENCE, installed).await.expect("a state in time");
    make(&nodes[0], "behind it").await;
    disk.wait_until_caught().await;
    let old = leader(&nodes.iter().collect::<Vec<_>>()).await;
    for node in nodes.iter().filter(|node| node.id != old) {
        net.isolate(node.id);
    }
    let leads = nodes.iter().find(|node| node.id == old).expect("the leader");
    let follows = leads.handle.wait_status(|status| {
        let matched = status.members.iter().find(|member| member.node == NodeId(3)).and_then(|member| member.matched);
        matched == status.last_log
    });
    Clock::real().timeout(PATIENCE, follows).await.expect("its log gets on").expect("running");
    // The best of those that are reached takes over: the third.
    leads.handle.transfer_leadership(PATIENCE).await.expect("handed over");
    net.heal();

    // It leads, and tells nobody what became of anything, until it hands over.
    assert_ne!(leader(&[&nodes[0], &nodes[1]]).await, NodeId(3));
    for number in 0..5 {
        make(&nodes[0], &format!("after {number}")).await;
    }
    assert!(!has_file(&third.handle.local_view().expect("a view"), "after 0"), "it hangs");
    drop(release);
    third.wait_for_file("after 4").await;
    agree(&[&nodes[0], &nodes[1], &third]).await;
}
