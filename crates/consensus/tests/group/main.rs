//! A group of three: real Raft, real logs, real state stores, and a network that can be cut.

#[cfg(test)]
mod leases;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod soak;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod times;
#[cfg(test)]
mod world;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use consensus::{Batching, ConsensusError, Retention, Role};
use futures::future::join_all;
use runtime::{Clock, FileOperation, Files, Watch};
use types::{ErrorKind, NodeId, OperationError};
use world::{
    Net, Node, PATIENCE, Setup, agree, create, create_once, has_file, leader, lin_in, lin_of, make, session, three,
    three_with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_member_acknowledges_every_member_reads() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    for (writer, name) in nodes.iter().zip(["a", "b", "c"]) {
        make(writer, name).await;
        for reader in &nodes {
            let view = reader.handle.read().await.expect("a view");
            assert!(has_file(&view, name), "node {} does not see {name}", reader.id);
        }
    }
    let status = nodes[1].handle.status();
    assert_eq!(status.voters().collect::<Vec<_>>(), [NodeId(1), NodeId(2), NodeId(3)]);
    assert_eq!((status.leader, status.role), (Some(NodeId(1)), Role::Follower));
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_come_back_in_order_refusals_included() {
    let (net, setup) = (Net::default(), Setup::default());
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    let results = node.handle.propose(vec![create("a"), create("a"), create("b")]).await.expect("an answer");
    assert!(matches!(results.as_slice(), [Ok(_), Err(OperationError::EntryExists { .. }), Ok(_)]), "{results:?}");
    assert_eq!(node.handle.propose(Vec::new()).await.expect("nothing to do").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_group_goes_on_without_its_leader_and_takes_it_back() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    make(&nodes[0], "before").await;

    net.isolate(NodeId(1));
    let second = leader(&[&nodes[1], &nodes[2]]).await;
    assert_ne!(second, NodeId(1));
    make(&nodes[1], "during").await;
    make(&nodes[2], "during too").await;
    assert!(!has_file(&nodes[0].handle.local_view().expect("a view"), "during"));

    net.heal();
    nodes[0].wait_for_file("during too").await;
    make(&nodes[0], "after").await;
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_acknowledged_and_nothing_is_read() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(4), ..Setup::default() });
    let nodes = three(&net, &setup).await;
    make(&nodes[0], "before").await;
    let leading = leader(&nodes.iter().collect::<Vec<_>>()).await;
    net.isolate(leading);
    let cut = nodes.iter().find(|node| node.id == leading).expect("the leader");

    let (written, read) = futures::join!(cut.handle.propose(vec![create("lost")]), cut.handle.read());
    let error = written.expect_err("no majority");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.maybe_applied(), "it is in the log of the old leader: {error}");
    assert_eq!(read.err().map(|error| error.kind()), Some(ErrorKind::Unavailable));

    net.heal();
    make(cut, "after").await;
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_is_applied_once_although_answers_are_lost() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(6), ..Setup::default() });
    let nodes = three(&net, &setup).await;
    let session = session(&nodes[0]).await;
    let follower = nodes.iter().find(|node| !node.handle.is_leader()).expect("a follower");

    net.lose_answers();
    let unkeyed = follower.handle.propose(vec![create("unkeyed")]).await.expect_err("the answer is lost");
    assert!(matches!(unkeyed, ConsensusError::OutcomeUnknown), "{unkeyed}");
    assert!(unkeyed.maybe_applied());
    let keyed =
        follower.handle.propose(vec![create_once(session, 1, "keyed")]).await.expect_err("all answers are lost");
    assert!(keyed.maybe_applied(), "{keyed}");

    net.bring_answers();
    let again = follower.handle.propose(vec![create_once(session, 1, "keyed")]).await.expect("an answer");
    assert!(again[0].is_ok(), "the first result, not that the name is taken: {again:?}");
    let other = follower.handle.propose(vec![create("unkeyed")]).await.expect("an answer");
    assert!(matches!(other[0], Err(OperationError::EntryExists { .. })), "it was applied: {other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_a_key_goes_to_the_next_leader_when_the_old_one_stands_still() {
    let (net, setup) = (Net::default(), Setup { request_deadline: PATIENCE, ..Setup::default() });
    let nodes = three(&net, &setup).await;
    let session = session(&nodes[0]).await;
    let old = leader(&nodes.iter().collect::<Vec<_>>()).await;
    let follower = nodes.iter().find(|node| node.id != old).expect("a follower");

    net.freeze(old);
    let keyed = follower.handle.propose(vec![create_once(session, 1, "keyed")]);
    let made =
        Clock::real().timeout(setup.request_deadline / 2, keyed).await.expect("it does not wait for its deadline");
    assert!(made.expect("an answer")[0].is_ok());

    net.heal();
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_after_all_members_restart() {
    let (net, setup) = (Net::default(), Setup::default());
    let mut nodes = three(&net, &setup).await;
    for number in 0..20 {
        make(&nodes[number % 3], &format!("file {number}")).await;
    }
    let mut folders = Vec::new();
    for node in nodes.drain(..) {
        folders.push((node.id.get(), node.stop().await));
    }
    for (id, folder) in folders {
        nodes.push(Node::start_in(&net, id, folder, &setup).await.expect("a member"));
    }
    for node in &nodes {
        let view = node.handle.read().await.expect("a view");
        assert!((0..20).all(|number| has_file(&view, &format!("file {number}"))), "on node {}", node.id);
    }
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_member_applies_its_log_again() {
    let (net, setup) = (Net::default(), Setup::default());
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    for number in 0..50 {
        make(&node, &format!("file {number}")).await;
    }
    let digest = node.handle.local_view().expect("a view").digest();
    let image = node.kill().await;
    let node = Node::start_in(&net, 1, image, &setup).await.expect("a member");
    assert!(node.metric("raft_applied_operations_total") >= 50, "the state store had flushed nothing");
    assert_eq!(node.handle.read().await.expect("a view").digest(), digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_is_too_far_behind_is_sent_the_state() {
    let retention = Retention {
        keep_entries: 20,
        purge_entries: 10,
        keep_entries_min: 10,
        period: Duration::from_millis(100),
        ..Retention::default()
    };
    let (net, setup) = (Net::default(), Setup { retention, segment_bytes: 2 << 10, ..Setup::default() });
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

    let third = Node::start_in(&net, 3, third, &setup).await.expect("a member");
    third.wait_for_file("file 99").await;
    make(&third, "through the third").await;
    agree(&[&nodes[0], &nodes[1], &third]).await;
    assert_eq!(third.metric("raft_snapshots_installed_total"), 1);

    let third = third.restart(&setup).await;
    make(&third, "after its restart").await;
    agree(&[&nodes[0], &nodes[1], &third]).await;
    assert_eq!(third.metric("raft_snapshots_installed_total"), 0, "its own state is enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_was_cut_off_by_a_restart_goes_on_where_it_was() {
    let retention =
        Retention { keep_entries: 5, purge_entries: 5, period: Duration::from_millis(50), ..Retention::default() };
    let (net, setup) = (Net::default(), Setup { retention, segment_bytes: 1 << 10, ..Setup::default() });
    let first = Node::start(&net, 1, &setup).await;
    first.handle.initialize().await.expect("a group of one");
    for number in 0..60 {
        make(&first, &format!("file {number}")).await;
    }
    let purged = first.handle.wait_status(|status| status.purged > Some(30));
    Clock::real().timeout(PATIENCE, purged).await.expect("a purge in time").expect("running");

    // The offer, and some files.
    net.cut_snapshots_after(4);
    let second = Node::start(&net, 2, &setup).await;
    first.handle.add_learner(NodeId(2), "node-2:1").await.expect("a learner");
    let cut = async {
        while !net.snapshots_are_cut() {
            Clock::real().sleep(Duration::from_millis(10)).await;
        }
    };
    Clock::real().timeout(PATIENCE, cut).await.expect("a state is sent");
    let second = second.restart(&setup).await;
    let files = Files::real().list(&second.folder.path().join("raft/state/parts")).expect("parts").len();
    assert!(files > 0, "what came stays");
    net.heal();
    second.wait_for_file("file 59").await;
    agree(&[&first, &second]).await;
    assert_eq!(second.metric("raft_snapshots_installed_total"), 1);
    assert!(
        !Files::real().exists(&second.folder.path().join("raft/state/parts/")).expect("looked")
            || Files::real().list(&second.folder.path().join("raft/state/parts")).expect("a list").is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_joins_an_old_group_through_its_state() {
    let retention =
        Retention { keep_entries: 5, purge_entries: 5, period: Duration::from_millis(50), ..Retention::default() };
    let (net, setup) = (Net::default(), Setup { retention, segment_bytes: 1 << 10, ..Setup::default() });
    let first = Node::start(&net, 1, &setup).await;
    first.handle.initialize().await.expect("a group of one");
    for number in 0..60 {
        make(&first, &format!("file {number}")).await;
    }
    let purged = first.handle.wait_status(|status| status.purged > Some(30));
    Clock::real().timeout(PATIENCE, purged).await.expect("a purge in time").expect("running");

    let second = Node::start(&net, 2, &setup).await;
    first.handle.add_learner(NodeId(2), "node-2:1").await.expect("a learner");
    second.wait_for_file("file 59").await;
    agree(&[&first, &second]).await;
    assert!(second.metric("raft_snapshots_installed_total") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_its_log_does_not_start() {
    let (net, setup) = (Net::default(), Setup::default());
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    let folder = node.stop().await;
    let files = Files::real();

    files.rename(&folder.path().join("raft/vote"), &folder.path().join("away")).expect("moved");
    let refused = Node::start_in(&net, 1, clone_of(&folder), &setup).await.err();
    assert!(matches!(refused, Some(ConsensusError::LogLost { .. })), "{refused:?}");
    files.rename(&folder.path().join("away"), &folder.path().join("raft/vote")).expect("moved");

    let refused = Node::start_in(&net, 2, clone_of(&folder), &setup).await.err();
    assert!(matches!(refused, Some(ConsensusError::ForeignFolder { found: NodeId(1), .. })), "{refused:?}");

    files.remove(&folder.path().join("marker")).expect("removed");
    let refused = Node::start_in(&net, 1, clone_of(&folder), &setup).await.err();
    assert!(matches!(refused, Some(ConsensusError::MarkerLost { .. })), "{refused:?}");

    files.remove_dir_all(&folder.path().join("raft")).expect("removed");
    let refused = Node::start_in(&net, 1, folder, &setup).await.err();
    assert!(matches!(refused, Some(ConsensusError::LogLost { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_lost_entries_that_were_committed_does_not_start() {
    let (net, setup) = (Net::default(), Setup::default());
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    make(&node, "before").await;
    let earlier = node.kill().await;
    let node = Node::start_in(&net, 1, clone_of(&earlier), &setup).await.expect("a member");
    make(&node, "after").await;
    let later = node.stop().await;

    let hint = |folder: &tempfile::TempDir| folder.path().join("raft/committed");
    let written = Files::real().read(&hint(&later)).expect("the hint");
    Files::real().write_atomic(&hint(&earlier), &written, 0o600).expect("written");
    let refused = Node::start_in(&net, 1, clone_of(&earlier), &setup).await.err();
    assert!(matches!(refused, Some(ConsensusError::EntriesLost { .. })), "{refused:?}");

    // What the message says to the admin of a cluster of one.
    Files::real().remove(&hint(&earlier)).expect("removed");
    let node = Node::start_in(&net, 1, earlier, &setup).await.expect("a member");
    node.wait_for_file("before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_share_entries_and_syncs() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    let before = (nodes[0].metric("raft_proposed_entries_total"), nodes[0].metric("raft_log_syncs_total"));
    join_all((0..300).map(|number| {
        let node = &nodes[0];
        async move { make(node, &format!("file {number}")).await }
    }))
    .await;
    let entries = nodes[0].metric("raft_proposed_entries_total") - before.0;
    let syncs = nodes[0].metric("raft_log_syncs_total") - before.1;
    assert!(entries <= 60, "{entries} entries for 300 requests");
    assert!(syncs <= entries + 5, "{syncs} syncs for {entries} entries");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_a_follower_share_messages_to_the_leader() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    let session = session(&nodes[0]).await;
    let leading = leader(&nodes.iter().collect::<Vec<_>>()).await;
    let follower = nodes.iter().find(|node| node.id != leading).expect("a follower");
    let results = join_all((1..=300).map(|number| {
        let request = create_once(session, number, &format!("file {number}"));
        async move { follower.handle.propose(vec![request]).await.expect("an answer").remove(0) }
    }))
    .await;
    let lins: BTreeSet<_> = results.iter().map(lin_of).collect();
    assert_eq!(lins.len(), 300, "each caller got the result of its own request");
    for (number, result) in (1..=300).zip(&results) {
        let view = follower.handle.read().await.expect("a view");
        assert_eq!(lin_in(&view, &format!("file {number}")), lin_of(result));
    }
    let messages = follower.metric("raft_forward_messages_total");
    assert!(messages <= 60, "{messages} messages for 300 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_share_rounds() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    for node in &nodes {
        let views = join_all((0..200).map(|_| node.handle.read())).await;
        assert!(views.iter().all(Result::is_ok));
        let (reads, rounds) = (node.metric("raft_reads_total"), node.metric("raft_read_rounds_total"));
        assert!(reads >= 200 && rounds <= 20, "{rounds} rounds for {reads} reads on node {}", node.id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_before_a_stop() {
    let (net, setup) = (Net::default(), Setup::default());
    let mut nodes = three(&net, &setup).await;
    let leading = leader(&nodes.iter().collect::<Vec<_>>()).await;
    let old = nodes.iter().position(|node| node.id == leading).expect("the leader");
    let old = nodes.remove(old);
    old.handle.transfer_leadership(PATIENCE).await.expect("handed over");
    assert!(!old.handle.is_leader());
    old.stop().await;
    make(&nodes[0], "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_changes_of_membership_are_refused_with_a_reason() {
    let (net, setup) = (Net::default(), Setup::default());
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    let reason = |result: Result<(), ConsensusError>| match result {
        Err(ConsensusError::Membership { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(matches!(node.handle.initialize().await, Err(ConsensusError::AlreadyInitialized { node: NodeId(1) })));
    assert!(reason(node.handle.promote(NodeId(7)).await).contains("add it as a learner first"));
    assert!(reason(node.handle.demote(NodeId(1)).await).contains("the only voter"));
    assert!(reason(node.handle.remove(NodeId(1)).await).contains("demote it first"));
    node.handle.add_learner(NodeId(7), "nowhere:1").await.expect("a learner");
    assert!(reason(node.handle.promote(NodeId(7)).await).contains("caught up"));
    node.handle.add_learner(NodeId(7), "elsewhere:1").await.expect("another address");
    let member = node.handle.status().members.into_iter().find(|member| member.node == NodeId(7)).expect("a member");
    assert_eq!(member.address, "elsewhere:1");
    node.handle.remove(NodeId(7)).await.expect("removed");
    assert_eq!(node.handle.status().members.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn voters_can_be_exchanged_one_by_one() {
    let (net, setup) = (Net::default(), Setup::default());
    let mut nodes = three(&net, &setup).await;
    make(&nodes[0], "before").await;
    let fourth = Node::start(&net, 4, &setup).await;
    // Any member may be asked.
    nodes[1].handle.add_learner(NodeId(4), "node-4:1").await.expect("a learner");
    fourth.wait_for_file("before").await;
    nodes[2].handle.promote(NodeId(4)).await.expect("a voter");
    nodes[1].handle.demote(NodeId(1)).await.expect("no voter any more");
    leader(&[&nodes[1], &nodes[2], &fourth]).await;
    fourth.handle.remove(NodeId(1)).await.expect("removed");
    nodes.remove(0).stop().await;
    make(&fourth, "after").await;
    let voters: Vec<_> = fourth.handle.status().voters().collect();
    assert_eq!(voters, [NodeId(2), NodeId(3), NodeId(4)]);
    agree(&[&nodes[0], &nodes[1], &fourth]).await;
}

/// A disk whose syncs fail once it is broken.
#[derive(Default)]
struct Breakable {
    broken: AtomicBool,
}

impl Watch for Breakable {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        let fails = operation == FileOperation::Sync && self.broken.load(Ordering::SeqCst);
        if fails { Err(io::Error::other("the disk is broken")) } else { Ok(()) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_log_fails_ends_its_process_and_acknowledges_nothing() {
    let disk = Arc::new(Breakable::default());
    let files = Files::watched(Arc::clone(&disk) as Arc<dyn Watch>);
    let (net, setup) = (Net::default(), Setup { files, request_deadline: Duration::from_secs(5), ..Setup::default() });
    let node = Node::start(&net, 1, &setup).await;
    node.handle.initialize().await.expect("a group of one");
    make(&node, "before").await;
    disk.broken.store(true, Ordering::SeqCst);
    let error = node.handle.propose(vec![create("lost")]).await.expect_err("no sync");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let ended = node.tasks.shutdown();
    Clock::real().timeout(PATIENCE, ended.cancelled()).await.expect("the process was told to end");
    let failure = node.tasks.failure().expect("a failure");
    assert!(failure.reason.contains("the disk is broken"), "{failure}");
    assert!(!has_file(&node.handle.local_view().expect("a view"), "lost"));
}

/// A disk whose syncs hang while it is held.
#[derive(Default)]
struct Holdable {
    held: Mutex<bool>,
    released: Condvar,
}

impl Holdable {
    fn set(&self, held: bool) {
        *self.held.lock().expect("no panic") = held;
        self.released.notify_all();
    }
}

impl Watch for Holdable {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        if operation == FileOperation::Sync {
            let held = self.held.lock().expect("no panic");
            drop(self.released.wait_while(held, |held| *held).expect("no panic"));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_hangs_hands_over() {
    let (net, setup, disk) = (Net::default(), Setup::default(), Arc::new(Holdable::default()));
    let files = Files::watched(Arc::clone(&disk) as Arc<dyn Watch>);
    let nodes = three_with(&net, &setup, &Setup { files, ..setup.clone() }).await;
    make(&nodes[0], "before").await;
    assert!(nodes[0].handle.is_leader());

    disk.set(true);
    let (hanging, next) = futures::join!(nodes[0].handle.propose(vec![create("hanging")]), async {
        let next = leader(&[&nodes[1], &nodes[2]]).await;
        make(&nodes[1], "after").await;
        disk.set(false);
        next
    });
    assert_ne!(next, NodeId(1));
    // It was in the log of the others, so whoever leads applies it; the caller learns either that or that it may be.
    assert!(hanging.map_or_else(|error| error.maybe_applied(), |results| results[0].is_ok()));
    nodes[0].wait_for_file("after").await;
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_on_a_node_whose_disk_hangs_end_in_time_and_come_back_with_the_disk() {
    let (net, disk) = (Net::default(), Arc::new(Holdable::default()));
    let setup = Setup { request_deadline: Duration::from_secs(4), ..Setup::default() };
    let files = Files::watched(Arc::clone(&disk) as Arc<dyn Watch>);
    let nodes = three_with(&net, &setup, &Setup { files, ..setup.clone() }).await;
    make(&nodes[0], "before").await;

    disk.set(true);
    let (hanging, next) = futures::join!(nodes[0].handle.propose(vec![create("hanging")]), async {
        leader(&[&nodes[1], &nodes[2]]).await
    });
    assert!(hanging.map_or_else(|error| error.maybe_applied(), |results| results[0].is_ok()));
    assert_ne!(next, NodeId(1));
    // The core of the first node hangs now, in the vote that it has to write for the new leader.
    let clock = Clock::real();
    let (reads, change) = futures::join!(
        clock.timeout(PATIENCE, join_all((0..20).map(|_| nodes[0].handle.read()))),
        clock.timeout(PATIENCE, nodes[0].handle.add_learner(NodeId(7), "nowhere:1")),
    );
    for read in reads.expect("every read ends") {
        assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::Unavailable));
    }
    drop(change.expect("a change of the membership ends"));
    make(&nodes[1], "after").await;

    disk.set(false);
    nodes[0].wait_for_file("after").await;
    let view = clock.timeout(PATIENCE, world::read(&nodes[0])).await.expect("no reader waits for ever");
    assert!(has_file(&view, "after"));
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_that_is_too_large_is_not_to_be_tried_again() {
    let batching = Batching { entry_requests: 2, ..Batching::default() };
    let (net, setup) = (Net::default(), Setup { batching, ..Setup::default() });
    let nodes = three(&net, &setup).await;
    for node in &nodes {
        let three = vec![create("a"), create("b"), create("c")];
        let refused = node.handle.propose(three).await.expect_err("more than an entry takes");
        assert!(matches!(refused, ConsensusError::TooLarge { requests: 3, .. }), "{refused}");
        assert_eq!((refused.kind(), refused.maybe_applied()), (ErrorKind::InvalidRequest, false));
    }
    make(&nodes[1], "a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_does_not_catch_up_does_not_say_that_there_is_no_leader() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(3), ..Setup::default() });
    let nodes = three(&net, &setup).await;
    net.starve(NodeId(3));
    make(&nodes[0], "after").await;
    let error = nodes[2].handle.read().await.err().expect("it lacks what was acknowledged");
    assert!(matches!(error, ConsensusError::Stalled { .. }), "{error}");
    net.heal();
    nodes[2].wait_for_file("after").await;
}

/// A disk whose syncs take long, each on its own.
struct Slow(Duration);

impl Watch for Slow {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        if operation == FileOperation::Sync {
            // Nobody wakes it: this is a wait for the time alone.
            let never = Mutex::new(());
            if !self.0.is_zero() {
                drop(Condvar::new().wait_timeout(never.lock().expect("no panic"), self.0).expect("no panic"));
            }
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_that_gets_on_costs_no_leader_its_place() {
    let (net, files) = (Net::default(), Files::watched(Arc::new(Slow(Duration::from_millis(200)))));
    let nodes = three(&net, &Setup { files, ..Setup::default() }).await;
    let (leading, term) = (nodes[0].handle.status().leader, nodes[0].handle.status().term);
    let clock = Clock::real();
    let end = clock.now() + Duration::from_secs(8);
    // Enough that something always waits for the log: its writer is never idle.
    let writers = (0..64_u64).map(|writer| {
        let (node, clock) = (&nodes[writer as usize % 3], clock.clone());
        async move {
            for number in 0.. {
                if clock.now() >= end {
                    return;
                }
                clock.sleep(Duration::from_millis(writer)).await;
                make(node, &format!("{writer} {number}")).await;
            }
        }
    });
    join_all(writers).await;
    let status = nodes[0].handle.status();
    assert_eq!((status.leader, status.term), (leading, term), "no election");
}

/// A folder with the same files.
fn clone_of(folder: &tempfile::TempDir) -> tempfile::TempDir {
    let clone = tempfile::tempdir().expect("a folder");
    world::copy(folder.path(), clone.path()).expect("copied");
    clone
}
