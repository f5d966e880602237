//! Requests have names, by which they are found in the logs of all nodes that worked for them.

use types::{Change, Create, ErrorKind, FileKind, Lin, Name, NewInode};
use wire::{Endpoint, Failure, v1};

use crate::daemons::{Daemons, new_file};

const LOG_OF_CALLS: &str = "[log]\nformat = \"json\"\nfilter = \"node::calls=debug,consensus::serve=debug\"\n";

/// The names that a log gives to the calls of a method.
fn names_in(log: &str, method: &str) -> Vec<String> {
    let of_method = format!("\"method\":\"/holdfast.v1.{method}\"");
    let lines = log.lines().filter(|line| line.contains(&of_method));
    lines.filter_map(|line| Some(line.split("\"request\":\"").nth(1)?.split('"').next()?.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_name_on_every_node_that_works_for_it() {
    let daemons = Daemons::start_with(3, LOG_OF_CALLS);
    daemons.form().await;
    let leader = daemons.leader().await;
    let follower = (leader + 1) % 3;
    let session = daemons.client(follower).await.open_session("test").await.unwrap();
    let inode = NewInode { kind: FileKind::Directory, mode: 0o755, ..new_file() };
    let name = Name::new("directory".to_owned()).unwrap();
    let create = Create { parent: Lin::ROOT, name, inode, replace: false };
    session.execute_one("make a directory", Change::Create(create)).await.unwrap();

    daemons.line(follower, "Namespace/Execute").await;
    let names = names_in(&daemons.log(follower), "Namespace/Execute");
    assert_eq!(names.len(), 1, "{names:?}");
    // The follower handed the change to the leader.
    let at_leader = daemons.line(leader, &names[0]).await;
    assert!(at_leader.contains("Raft/Exchange"), "{at_leader}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_the_name_that_the_log_has_and_no_two_requests_share_one() {
    let daemons = Daemons::start_with(2, LOG_OF_CALLS);
    let mut told = Vec::new();
    for number in [0, 1, 0, 1] {
        daemons.client(number).await;
        let connection = Endpoint::Unix(daemons.home(number).join("admin.sock")).connect().await.unwrap();
        let request = v1::OpenSessionRequest { label: "test".to_owned() };
        let refused = Failure::from(connection.namespace().open_session(request).await.unwrap_err());
        assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
        let name = refused.request().expect("it is told").to_owned();
        let line = daemons.line(number, &name).await;
        assert!(line.contains("Namespace/OpenSession"), "{line}");
        assert!(!told.contains(&name), "{name} twice: {told:?}");
        told.push(name);
    }
}
