//! What a node refuses, and how it says so.

use types::ErrorKind;
use wire::{Endpoint, v1};

use crate::daemons::{Daemons, holds};
use crate::secrets;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_cluster_says_how_to_get_one() {
    let daemons = Daemons::start(1);
    let error = daemons.client(0).await.snapshots().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("cluster init"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_forming_takes_no_files_and_tells_how_many_are_missing() {
    let daemons = Daemons::start(1);
    let client = daemons.client(0).await;
    let request = v1::InitializeRequest { first_nodes: 3, admin: "test".to_owned() };
    client.initialize(request.clone()).await.unwrap();
    let again = client.initialize(request).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");

    let connection = Endpoint::Unix(daemons.home(0).join("admin.sock")).connect().await.unwrap();
    let request = v1::OpenSessionRequest { label: "test".to_owned() };
    let refused = wire::Failure::from(connection.namespace().open_session(request).await.unwrap_err());
    assert_eq!(refused.code, wire::code::CLUSTER_FORMING);
    assert!(refused.message.contains("1 of 3"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_one_node_and_four_first_nodes_are_none() {
    let daemons = Daemons::start(3);
    let client = daemons.client(0).await;
    let four = v1::InitializeRequest { first_nodes: 4, admin: "test".to_owned() };
    assert_eq!(client.initialize(four).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    let made = client.initialize(v1::InitializeRequest { first_nodes: 3, admin: "test".to_owned() }).await.unwrap();
    let token = &made.tokens[0];
    daemons.client(1).await.join(token.clone()).await.unwrap();
    let used = daemons.client(2).await.join(token.clone()).await.unwrap_err();
    assert_eq!(used.kind(), ErrorKind::Denied, "{used}");
    let cut = daemons.client(2).await.join(token[1..].to_owned()).await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::InvalidRequest, "{cut}");
    daemons.client(2).await.join(made.tokens[1].clone()).await.unwrap();
    daemons.ready(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admins_key_is_kept_nowhere_and_secrets_are_not_in_raft_or_the_logs() {
    let daemons = Daemons::start_with(2, "[log]\nfilter = \"debug\"\n");
    let client = daemons.client(0).await;
    let made = client.initialize(v1::InitializeRequest { first_nodes: 1, admin: "test".to_owned() }).await.unwrap();
    daemons.ready(0).await;
    let token = client.create_tokens(1).await.unwrap().remove(0);
    daemons.join(1, &token).await;
    let keys = secrets::request(&daemons, "cloud", 7);
    client.add_site(keys.clone()).await.unwrap();
    let key: Vec<&str> = made.admin_key_pem.lines().collect();
    assert!(!holds(&daemons.home(0), key[1]), "a line of the admin's key is on disk");
    let node_key = std::fs::read_to_string(daemons.home(0).join("disk/data/keystore/node.key")).unwrap();
    let line = node_key.lines().nth(1).unwrap();
    assert!(holds(&daemons.home(0).join("disk/data/keystore"), line));
    for folder in ["disk/data/raft", "disk/volume"] {
        assert!(!holds(&daemons.home(0).join(folder), line), "{folder}");
    }
    // As a log would show them: bytes as a list, in hexadecimal, or as they are.
    let shown = |bytes: &[u8]| [format!("{bytes:?}"), format!("{bytes:02x?}"), hexadecimal(bytes), lossy(bytes)];
    let raw = shown(&keys.metadata_key).into_iter().chain(shown(&keys.digest_key));
    let secrets: Vec<String> = raw.chain([line.to_owned(), key[1].to_owned(), token]).collect();
    for number in 0..2 {
        let log = daemons.log(number);
        assert!(log.contains("DEBUG"), "the whole log is looked at, and much is logged");
        for secret in &secrets {
            assert!(!log.contains(secret), "{secret:?} is in the log of node {number}");
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_data_folder_is_refused_with_the_folders_name() {
    let daemons = Daemons::start(1);
    daemons.client(0).await;
    let (status, said) = daemons.run_another(0);
    assert_eq!(status.code(), Some(75), "{said}");
    assert!(said.contains(daemons.home(0).join("disk/data").to_str().unwrap()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_a_file_has_no_colours() {
    let daemons = Daemons::start(1);
    // The socket answers before that.
    daemons.line(0, "the node is up").await;
    let log = daemons.log(0);
    assert!(log.contains("belongs to no cluster yet"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
