//! Changes of the membership: one at a time, completed whoever began them, and undisturbed by those that are out.

use std::time::Duration;

use consensus::{Batching, ConsensusError, Role};
use futures::future::join_all;
use runtime::Clock;
use types::NodeId;

use crate::world::{Net, Node, PATIENCE, Setup, agree, create, has_file, leader, make, three};

/// Waits until a member sees exactly these voters, and no change under way.
async fn wait_for_voters(node: &Node, voters: &[u64]) {
    let voters: Vec<_> = voters.iter().map(|voter| NodeId(*voter)).collect();
    let settled = node.handle.wait_status(|status| !status.is_changing && status.voters().eq(voters.iter().copied()));
    Clock::real().timeout(PATIENCE, settled).await.expect("in time").expect("running");
}

/// A fourth node that follows three voters.
async fn with_learner(net: &Net, setup: &Setup) -> (Vec<Node>, Node) {
    let nodes = three(net, setup).await;
    make(&nodes[0], "before").await;
    let learner = Node::start(net, 4, setup).await;
    nodes[0].handle.add_learner(NodeId(4), "node-4:1").await.expect("a learner");
    learner.wait_for_file("before").await;
    (nodes, learner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_change_is_refused_while_one_is_open_and_one_that_was_given_up_is_completed() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(3), ..Setup::default() });
    let (nodes, learner) = with_learner(&net, &setup).await;
    assert!(nodes[0].handle.is_leader());

    // Everything but entries reaches the others: the change stays open, and so does leadership.
    net.starve(NodeId(2));
    net.starve(NodeId(3));
    let second = async {
        let opened = nodes[0].handle.wait_status(|status| status.is_changing);
        Clock::real().timeout(PATIENCE, opened).await.expect("in time").expect("running");
        nodes[0].handle.add_learner(NodeId(5), "nowhere:1").await
    };
    let (first, second) = futures::join!(nodes[0].handle.promote(NodeId(4)), second);
    assert!(matches!(second, Err(ConsensusError::ChangeInProgress { .. })), "{second:?}");
    assert!(first.is_err(), "it was given up: {first:?}");

    net.heal();
    wait_for_voters(&nodes[0], &[1, 2, 3, 4]).await;
    wait_for_voters(&learner, &[1, 2, 3, 4]).await;
    nodes[1].handle.add_learner(NodeId(5), "nowhere:1").await.expect("the next change");
    make(&learner, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_at_once_come_one_after_the_other() {
    let (net, setup) = (Net::default(), Setup::default());
    let nodes = three(&net, &setup).await;
    let adding = (10..16_u64).map(|number| {
        let node = &nodes[number as usize % 3];
        async move { node.handle.add_learner(NodeId(number), "nowhere:1").await }
    });
    for added in join_all(adding).await {
        added.expect("a learner");
    }
    assert_eq!(nodes[0].handle.status().learners().count(), 6);
    wait_for_voters(&nodes[0], &[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_is_far_behind_gets_no_vote_until_it_has_caught_up() {
    // One request an entry, so that there are many.
    let batching = Batching { entry_requests: 1, entries_in_flight: 256, ..Batching::default() };
    let (net, setup) = (Net::default(), Setup { batching, ..Setup::default() });
    let (nodes, learner) = with_learner(&net, &setup).await;
    net.starve(NodeId(4));
    join_all((0..1100).map(|number| {
        let node = &nodes[0];
        async move { make(node, &format!("file {number}")).await }
    }))
    .await;
    let refused = nodes[0].handle.promote(NodeId(4)).await;
    match &refused {
        Err(ConsensusError::Membership { reason }) => assert!(reason.contains("entries behind"), "{reason}"),
        other => panic!("{other:?}"),
    }
    wait_for_voters(&nodes[0], &[1, 2, 3]).await;

    net.heal();
    learner.wait_for_file("file 1099").await;
    nodes[0].handle.promote(NodeId(4)).await.expect("a voter");
    wait_for_voters(&learner, &[1, 2, 3, 4]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_removes_itself() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(10), ..Setup::default() });
    let nodes = three(&net, &setup).await;
    make(&nodes[0], "before").await;
    let old = leader(&nodes.iter().collect::<Vec<_>>()).await;
    let (gone, left): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.id == old);
    gone[0].handle.demote(old).await.expect("no vote any more");
    assert_ne!(gone[0].handle.status().role, Role::Leader);
    gone[0].handle.remove(old).await.expect("removed");
    make(&left[0], "after").await;
    let rest: Vec<_> = left.iter().map(|node| node.id.get()).collect();
    for node in &left {
        wait_for_voters(node, &rest).await;
        assert_eq!(node.handle.status().members.len(), 2);
    }
    agree(&left.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_removed_without_hearing_of_it_disturbs_nobody() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(5), ..Setup::default() });
    let nodes = three(&net, &setup).await;
    let (first, third) = (&nodes[0], &nodes[2]);
    make(first, "before").await;
    net.isolate(third.id);
    first.handle.demote(third.id).await.expect("no vote any more");
    first.handle.remove(third.id).await.expect("removed");
    let term = first.handle.status().term;
    // It stands for election again and again, and everybody hears it.
    net.heal();
    let (clock, mut number) = (Clock::real(), 0);
    let end = clock.now() + 5 * setup.elections.1;
    while clock.now() < end {
        make(first, &format!("file {number}")).await;
        number += 1;
    }
    let status = first.handle.status();
    assert_eq!((status.leader, status.term), (Some(first.id), term), "no election");
    assert!(third.handle.read().await.is_err());
    assert!(!has_file(&third.handle.local_view().expect("a view"), "file 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_the_voters_survives_the_loss_of_its_leader() {
    let (net, setup) = (Net::default(), Setup { request_deadline: Duration::from_secs(2), ..Setup::default() });
    let (nodes, learner) = with_learner(&net, &setup).await;
    net.starve(NodeId(2));
    net.starve(NodeId(3));
    let opened = nodes[0].handle.wait_status(|status| status.is_changing);
    let (promoted, ()) = futures::join!(nodes[0].handle.promote(NodeId(4)), async {
        Clock::real().timeout(PATIENCE, opened).await.expect("in time").expect("running");
    });
    assert!(promoted.is_err(), "{promoted:?}");
    // The learner has the entry by now, or has not: whoever leads next completes the change, or forgets it.
    net.heal();
    net.isolate(NodeId(1));
    make_with_patience(&nodes[1], "without the first").await;
    let settled = nodes[1].handle.wait_status(|status| !status.is_changing);
    Clock::real().timeout(PATIENCE, settled).await.expect("in time").expect("running");
    net.heal();
    let expected: Vec<_> = nodes[1].handle.status().voters().map(NodeId::get).collect();
    for node in nodes.iter().chain([&learner]) {
        wait_for_voters(node, &expected).await;
    }
    agree(&nodes.iter().chain([&learner]).collect::<Vec<_>>()).await;
}

/// Makes a file, however long it takes until somebody leads.
async fn make_with_patience(node: &Node, name: &str) {
    let made = async {
        loop {
            match node.handle.propose(vec![create(name)]).await {
                Ok(_) => return,
                Err(error) => assert!(error.kind() == types::ErrorKind::Unavailable, "{error}"),
            }
        }
    };
    Clock::real().timeout(PATIENCE, made).await.expect("a leader in time");
}
