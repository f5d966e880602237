//! Leaders whose clocks jump (rule P2).

use namespace::TIME_SLACK;
use runtime::{Clock, WallTime};
use types::{Operation, Outcome, Request, Timestamp};

use crate::world::{Net, Node, PATIENCE, Setup, agree, leader, make, three_with};

const BEGIN: i64 = 1_800_000_000;
const YEAR: i64 = 31_536_000;

fn with_own_clock() -> Setup {
    Setup { clock: Clock::simulated(WallTime { seconds: BEGIN, nanoseconds: 0 }), ..Setup::default() }
}

fn jump(clock: &Clock, seconds: i64) {
    clock.jump(seconds * 1_000_000_000);
}

async fn run(node: &Node, operation: Operation) {
    let results = node.handle.propose(vec![Request { key: None, operation }]).await.expect("an answer");
    assert_eq!(results, [Ok(Outcome::Done)]);
}

/// State time in seconds since the begin, and whether there is a jump that is not believed.
async fn time(node: &Node) -> (i64, bool) {
    let view = node.handle.read().await.expect("a view");
    (view.state_time().seconds - BEGIN, view.time_jump().is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_clock_jumps_moves_time_by_the_slack_until_another_leads_or_an_admin_accepts() {
    let (net, setup, first) = (Net::default(), with_own_clock(), with_own_clock());
    let nodes = three_with(&net, &setup, &first).await;
    let slack = i64::try_from(TIME_SLACK.as_secs()).expect("small");
    let moments: i64 = PATIENCE.as_secs().try_into().expect("small");
    make(&nodes[0], "before").await;
    assert!(nodes[0].handle.is_leader());

    jump(&first.clock, YEAR);
    for name in ["no operation", "is refused"] {
        make(&nodes[1], name).await;
    }
    for node in &nodes {
        let (now, jumped) = time(node).await;
        assert!((slack..slack + moments).contains(&now) && jumped, "{now}");
    }

    nodes[0].handle.transfer_leadership(PATIENCE).await.expect("handed over");
    assert_ne!(leader(&nodes.iter().collect::<Vec<_>>()).await, nodes[0].id);
    make(&nodes[0], "right clock").await;
    let (now, jumped) = time(&nodes[0]).await;
    assert!(now < slack + moments && !jumped, "{now}");

    jump(&setup.clock, YEAR);
    make(&nodes[0], "wrong clocks").await;
    let shown = nodes[1].handle.read().await.expect("a view").time_jump().expect("a jump").shown;
    run(&nodes[2], Operation::AcceptTime { shown }).await;
    for node in &nodes {
        let (now, jumped) = time(node).await;
        assert!((YEAR..YEAR + moments).contains(&now) && !jumped, "{now}");
    }

    jump(&setup.clock, -YEAR / 2);
    make(&nodes[0], "a clock that goes back").await;
    let after = time(&nodes[0]).await;
    assert!(after.0 >= YEAR && !after.1, "{after:?}");
    let counted = nodes[0].handle.read().await.expect("a view").counted_time();
    run(&nodes[0], Operation::CountTime { after: counted, length_ms: 60_000 }).await;
    let view = nodes[0].handle.read().await.expect("a view");
    assert_eq!(view.counted_time(), counted.plus(std::time::Duration::from_secs(60)).max(view.state_time()));
    assert_eq!(view.state_time(), Timestamp { seconds: BEGIN + after.0, ..view.state_time() });
    agree(&nodes.iter().collect::<Vec<_>>()).await;
}
