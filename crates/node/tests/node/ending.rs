//! A node that is asked to end: it answers what it was asked before, refuses what comes after, and hands over.

use bytes::Bytes;
use client::{Client, Options, Session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use types::{Change, Content, Create, ErrorKind, FileKind, Lin, Name, NewInode};
use wire::{Endpoint, Failure, v1};

use crate::daemons::{Daemons, new_file};
use crate::doors::{admin, endpoint_at};
use crate::slow_way::SlowWay;

/// One call that makes links, and is too long for a way that is held up.
fn long_call() -> Vec<Change> {
    let link = |number: usize| {
        let inode = NewInode {
            kind: FileKind::Symlink,
            mode: 0o777,
            target: Bytes::from(vec![b'x'; 1 << 10]),
            content: Content::Empty,
            size: 1 << 10,
            ..new_file()
        };
        let name = Name::new(format!("link-{number}")).expect("a name");
        Change::Create(Create { parent: Lin::ROOT, name, inode, replace: false })
    };
    (0..2 * SlowWay::LONG_REQUEST / (1 << 10)).map(link).collect()
}

async fn session_at(endpoint: Endpoint) -> Session {
    let client = Client::connect(Options::new(vec![endpoint], runtime::Tasks::new("test"))).await.unwrap();
    client.open_session("test").await.unwrap()
}

/// Waits until a call through a door is under way on a node.
async fn wait_for_call(daemons: &Daemons, number: usize, door: &str) {
    let address = format!("127.0.0.1:{}", daemons.ports(number).metrics);
    let wanted = format!("holdfast_calls_under_way{{door=\"{door}\"}} 1\n");
    let scrape = || async {
        let mut stream = runtime::net::connect(&address).await.map_err(|error| error.to_string())?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.map_err(|error| error.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
        if text.contains(&wanted) { Ok(()) } else { Err(text) }
    };
    daemons.until("a call is under way", scrape).await;
}

/// Holds up a call through the way, ends the node in the middle of it, and sees it answered.
async fn end_in_the_middle(daemons: &mut Daemons, door: &str, way: SlowWay, session: Session) {
    way.hold();
    let call = tokio::spawn(async move { session.execute(long_call()).await });
    wait_for_call(daemons, 0, door).await;

    let ending = daemons.ask_to_end(0);
    daemons.line(0, "no new calls are taken").await;
    let other = Endpoint::Unix(daemons.home(0).join("admin.sock")).connect().await.expect("it is still there");
    let asked = other.cluster().status(v1::ClusterStatusRequest {}).await;
    let refused = Failure::from(asked.expect_err("it takes no new calls"));
    assert_eq!((refused.kind, refused.code.as_str()), (ErrorKind::Unavailable, "stopping"), "{refused}");

    way.release();
    let results = call.await.unwrap().unwrap_or_else(|error| panic!("{error}\n{}", daemons.logs()));
    assert_eq!(results.len(), long_call().len());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let status = ending.await.unwrap();
    assert!(status.success(), "{status:?}\n{}", daemons.logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_through_the_admins_socket_is_answered_before_the_node_ends() {
    let mut daemons = Daemons::start(1);
    daemons.form().await;
    let (way, socket) = SlowWay::to_socket(daemons.home(0).join("admin.sock"));
    let session = session_at(Endpoint::Unix(socket)).await;

    end_in_the_middle(&mut daemons, "admin", way, session).await;

    daemons.spawn(0);
    daemons.ready(0).await;
    let there = daemons.client(0).await.lookup(Lin::ROOT, &[Name::new("link-7".to_owned()).unwrap()], None).await;
    assert!(there.is_ok(), "{there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_through_the_port_is_answered_before_the_node_ends() {
    let mut daemons = Daemons::start(1);
    let made = daemons.form().await;
    let (way, port) = SlowWay::to_port(daemons.ports(0).network).await;
    let session = session_at(endpoint_at(port, &made, Some(admin(&made)))).await;

    end_in_the_middle(&mut daemons, "network", way, session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_answers_what_is_under_way_and_hands_over_before_it_ends() {
    let mut daemons = Daemons::start(3);
    daemons.form().await;
    let term_before = daemons.ready(0).await.term;
    let leader = daemons.leader().await;
    let (way, socket) = SlowWay::to_socket(daemons.home(leader).join("admin.sock"));
    let session = session_at(Endpoint::Unix(socket)).await;
    way.hold();
    let call = tokio::spawn(async move { session.execute(long_call()).await });
    wait_for_call(&daemons, leader, "admin").await;

    let ending = daemons.ask_to_end(leader);
    daemons.line(leader, "no new calls are taken").await;
    assert!(!daemons.log(leader).contains("handed leadership over"), "it first answers what it was asked");
    way.release();

    call.await.unwrap().unwrap_or_else(|error| panic!("{error}\n{}", daemons.logs()));
    assert!(ending.await.unwrap().success());
    let said = daemons.line(leader, "handed leadership over").await;
    let term = said.split("term=").nth(1).and_then(|term| term.trim().parse::<u64>().ok()).expect("it tells the term");
    let after = daemons.ready((leader + 1) % 3).await;
    // Nobody can have waited for an election: the node that ended has seen the next leader.
    assert!(term_before < term && term <= after.term, "{term_before}, {said}, {}", after.term);
}
