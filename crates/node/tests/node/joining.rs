//! A node joins again when the answer to its first try was lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cluster::Token;
use consensus::Options;
use runtime::Files;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use types::{ErrorKind, NodeId};
use wire::v1;

use crate::daemons::{Daemons, content, get, put};

/// A way to the cluster on which the first connection works, and the answers of later ones are lost after the handshake.
async fn lossy_way_to(address: String) -> (String, tokio::task::JoinHandle<()>) {
    let listener = runtime::net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let here = listener.local_addr().unwrap().to_string();
    (here, tokio::spawn(relay(listener, address)))
}

async fn relay(listener: TcpListener, address: String) {
    let mut number = 0;
    while let Ok((client, _)) = listener.accept().await {
        let server = runtime::net::connect(&address).await.unwrap();
        // The joining node says hello once; what it says next is its request.
        let bursts_answered = if number == 0 { usize::MAX } else { 1 };
        tokio::spawn(pass(client, server, bursts_answered));
        number += 1;
    }
}

async fn pass(client: TcpStream, server: TcpStream, bursts_answered: usize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let bursts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bursts);
    let there = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_client.read(&mut bytes).await {
            counted.fetch_add(1, Ordering::SeqCst);
            if to_server.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    };
    let back = async move {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_server.read(&mut bytes).await {
            let answered = bursts.load(Ordering::SeqCst) <= bursts_answered;
            if answered && to_client.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(there, back);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_answer_was_lost_joins_again_as_the_same_node() {
    let mut daemons = Daemons::start(3);
    let request = v1::InitializeRequest { first_nodes: 3, admin: "test".to_owned() };
    let made = daemons.client(0).await.initialize(request).await.unwrap();
    let token: Token = made.tokens[0].parse().unwrap();
    let (address, way) = lossy_way_to(token.address.clone()).await;
    let lossy = Token { address, ..token }.encode();

    let joining = daemons.client(1).await;
    let lost = tokio::spawn(async move { joining.join(lossy).await });
    let client = daemons.client(0).await;
    let registered = || async {
        let status = client.status().await.map_err(|error| error.to_string())?;
        status.nodes.get(1).and_then(|node| Some(node.node.as_ref()?.id)).ok_or_else(|| format!("{status:?}"))
    };
    let number = daemons.until("the node is registered", registered).await;
    daemons.kill(1);
    assert!(lost.await.unwrap().is_err(), "nobody got the answer");
    way.abort();
    // What a crash leaves right before the identity becomes a member's.
    let data = daemons.home(1).join("disk/data");
    let options = Options::new(NodeId(number), String::new(), data.join("raft"), data.join("raft.marker"));
    consensus::create(&options, &Files::real()).unwrap();
    daemons.spawn(1);

    let thief = daemons.client(2).await.join(made.tokens[0].clone()).await.unwrap_err();
    assert_eq!(thief.kind(), ErrorKind::Denied, "the token is the first node's: {thief}");
    let joined = daemons.client(1).await.join(made.tokens[0].clone()).await;
    let joined = joined.unwrap_or_else(|error| panic!("{error}\n{}", daemons.logs()));
    assert_eq!(joined.node, number);

    daemons.join(2, &made.tokens[1]).await;
    let status = daemons.ready(2).await;
    assert_eq!(status.nodes.len(), 3, "{status:?}");
    let bytes = content(4, 3 << 20);
    put(&daemons.client(1).await.open_session("test").await.unwrap(), "file", &bytes).await;
    assert!(get(&daemons.client(2).await, "file").await.unwrap() == bytes);
}
