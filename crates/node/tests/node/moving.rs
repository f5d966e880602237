//! Nodes get other addresses, one after another.

use crate::daemons::{Daemons, content, get, put};

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
