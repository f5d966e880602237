//! A cluster forms, keeps files, and goes on through the loss of any one node.

use runtime::Clock;
use types::Timestamp;

use crate::daemons::{Daemons, content, get, put, small};

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_form_a_cluster_and_keep_files_through_restarts_and_the_loss_of_the_leader() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let status = daemons.ready(0).await;
    assert_eq!((status.nodes.len(), status.pools[0].replicas), (3, 3), "{status:?}");
    assert!(status.nodes.iter().all(|node| node.reachable), "{status:?}");
    assert!(status.warnings.is_empty(), "a cluster that is ready lacks nothing: {:?}", status.warnings);

    let large = content(1, 20 << 20);
    let session = daemons.client(1).await.open_session("test").await.unwrap();
    put(&session, "large", &large).await;
    session.make_small_files(vec![small("small", b"a few bytes")]).await.unwrap();
    for number in 0..3 {
        let client = daemons.client(number).await;
        assert!(get(&client, "large").await.unwrap() == large, "through node {number}");
        assert_eq!(get(&client, "small").await.unwrap(), b"a few bytes");
    }
    drop(session);

    let ended = daemons.terminate(2);
    assert!(ended.success(), "{ended:?}\n{}", daemons.logs());
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    put(&session, "while one is away", &large).await;
    drop(session);
    daemons.spawn(2);
    daemons.ready(2).await;

    let leader = leader(&daemons).await;
    daemons.kill(leader);
    let survivor = (leader + 1) % 3;
    let client = daemons.client(survivor).await;
    let session = client.open_session("test").await.unwrap();
    put(&session, "after the leader", &large).await;
    for name in ["large", "while one is away", "after the leader"] {
        let read = daemons.until("the file is read", || get(&client, name)).await;
        assert!(read == large, "{name}");
    }
    daemons.spawn(leader);
    let client = daemons.client(leader).await;
    let read = daemons.until("the file is read", || get(&client, "after the leader")).await;
    assert!(read == large);
}

/// The index of the daemon whose node leads: nodes got their numbers in the order in which they joined.
pub async fn leader(daemons: &Daemons) -> usize {
    let status = daemons.ready(0).await;
    let numbers: Vec<u64> = status.nodes.iter().filter_map(|node| Some(node.node.as_ref()?.id)).collect();
    numbers.iter().position(|number| Some(*number) == status.leader).expect("the leader is a node")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_is_a_cluster_that_survives_a_kill() {
    let mut daemons = Daemons::start(1);
    daemons.form().await;
    let bytes = content(2, 5 << 20);
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    put(&session, "file", &bytes).await;
    drop(session);
    daemons.kill(0);
    daemons.spawn(0);
    daemons.ready(0).await;
    assert!(get(&daemons.client(0).await, "file").await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_time_is_that_of_the_clock_and_there_is_nothing_to_accept() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    daemons.client(0).await.open_session("any operation").await.unwrap();
    let status = client.status().await.unwrap();
    assert_eq!(status.time_jump, None);
    let (state, clock) = (status.state_time.unwrap().seconds, Clock::real().wall().seconds);
    assert!((clock - 600..=clock).contains(&state), "{state}, and it is {clock}");
    // An admin who is slower than the clocks that were set right does no harm.
    let far = Timestamp { seconds: clock + 31_536_000, nanoseconds: 0 };
    let now = client.accept_time(far).await.unwrap();
    assert!((clock - 600..=clock + 600).contains(&now.seconds), "{now:?}, and it is {clock}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_nodes_lose_two_of_them_and_no_file_and_go_on() {
    let mut daemons = Daemons::start(5);
    daemons.form().await;
    let bytes = content(3, 10 << 20);
    let session = daemons.client(0).await.open_session("test").await.unwrap();
    put(&session, "before", &bytes).await;
    drop(session);
    // From then on any two of three holders may go (rule P15).
    let client = daemons.client(0).await;
    let is_whole = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        let stored: u64 = status.nodes.iter().map(|node| node.block_bytes).sum();
        if stored >= 3 * bytes.len() as u64 { Ok(status) } else { Err(format!("{stored} bytes are stored")) }
    };
    let status = daemons.until("all three copies are there", is_whole).await;
    assert_eq!((status.nodes.len(), status.pools[0].replicas), (5, 3), "{status:?}");

    let leader = leader(&daemons).await;
    let another = (leader + 1) % 5;
    daemons.kill(leader);
    daemons.kill(another);

    for survivor in (0..5).filter(|number| *number != leader && *number != another) {
        let client = daemons.client(survivor).await;
        let read = daemons.until("the file is read", || get(&client, "before")).await;
        assert!(read == bytes, "through node {survivor}");
        let session = client.open_session("test").await.unwrap();
        let name = format!("after-{survivor}");
        put(&session, &name, &bytes).await;
        assert!(get(&client, &name).await.unwrap() == bytes, "{name}");
    }
}
