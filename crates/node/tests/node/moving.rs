//! Nodes get other addresses, one after another or at once.

use std::time::Duration;

use runtime::Clock;

use crate::daemons::{Daemons, content, get, put, small};
use crate::forming::leader;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_move_to_other_addresses_are_found_there() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let bytes = content(5, 2 << 20);
    for number in [1, 2] {
        assert!(daemons.terminate(number).success(), "{}", daemons.logs());
        let name = format!("while {number} moves");
        put(&daemons.client(0).await.open_session("test").await.unwrap(), &name, &bytes).await;
        daemons.move_to_another_port(number);
        daemons.spawn(number);
        // It has what was written meanwhile only from a leader that reaches it.
        let client = daemons.client(number).await;
        let read = daemons.until("the node is reached at its new address", || get(&client, &name)).await;
        assert!(read == bytes, "node {number}");
    }

    // Neither of the two knows an address of the other but the new one.
    daemons.kill(0);
    let client = daemons.client(1).await;
    put(&client.open_session("test").await.unwrap(), "after both moves", &bytes).await;
    let client = daemons.client(2).await;
    let read = daemons.until("the file is read", || get(&client, "after both moves")).await;
    assert!(read == bytes);

    // The others have another leader since, and only the node that moved can tell where it is.
    daemons.move_to_another_port(0);
    daemons.spawn(0);
    let client = daemons.client(0).await;
    let read = daemons.until("the old leader is reached at its new address", || get(&client, "after both moves")).await;
    assert!(read == bytes);
}

/// The two find the third and not each other, and without its vote for itself neither can lead.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_move_at_once_are_found_by_the_third_that_alone_has_the_newest_entry() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let stays = leader(&daemons).await;
    let movers = [(stays + 1) % 3, (stays + 2) % 3];
    let session = daemons.client(stays).await.open_session("test").await.unwrap();
    session.make_small_files(vec![small("before", b"in all logs")]).await.unwrap();
    movers.iter().for_each(|number| daemons.kill(*number));
    let newest = session.make_small_files(vec![small("newest", b"in the log of one")]);
    let answer = Clock::real().timeout(Duration::from_secs(2), Box::pin(newest)).await;
    assert!(answer.is_err(), "one of three acknowledges nothing: {answer:?}");

    for number in movers {
        daemons.move_to_another_port(number);
        daemons.spawn(number);
    }
    for number in 0..3 {
        let client = daemons.client(number).await;
        let read = daemons.until("the entry is in all logs", || get(&client, "newest")).await;
        assert_eq!(read, b"in the log of one", "node {number}");
    }
}
