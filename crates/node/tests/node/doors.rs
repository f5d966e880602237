//! The doors of a node: mutual TLS on its port, and loopback for metrics.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use types::ErrorKind;
use wire::{Authority, ClientTls, Endpoint, Failure, Identity, v1};
use zeroize::Zeroizing;

use crate::daemons::Daemons;

fn endpoint(daemons: &Daemons, made: &v1::InitializeResponse, identity: Option<Identity>) -> Endpoint {
    endpoint_at(daemons.ports(0).network, made, identity)
}

/// The way to a node of that cluster at a port.
pub fn endpoint_at(port: u16, made: &v1::InitializeResponse, identity: Option<Identity>) -> Endpoint {
    wire::install_crypto_provider();
    let tls = ClientTls {
        server_name: format!("{}.holdfast", made.cluster),
        authority: Authority(made.authority_pem.clone()),
        identity,
    };
    Endpoint::Tcp { address: format!("127.0.0.1:{port}"), tls }
}

/// The admin of a new cluster.
pub fn admin(made: &v1::InitializeResponse) -> Identity {
    Identity::new(made.admin_certificate_pem.clone(), Zeroizing::new(made.admin_key_pem.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_serves_an_admin_with_a_certificate_and_refuses_everybody_without() {
    let daemons = Daemons::start(1);
    let made = daemons.form().await;

    let connection = endpoint(&daemons, &made, Some(admin(&made))).connect().await.unwrap();
    let status = connection.cluster().status(v1::ClusterStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.cluster, made.cluster);
    let raft = connection.raft().exchange(v1::RaftMessage::default()).await.unwrap_err();
    assert_eq!(Failure::from(raft).kind, ErrorKind::Denied, "an admin is no node");
    let initialize = connection.cluster().initialize(v1::InitializeRequest::default()).await.unwrap_err();
    assert_eq!(Failure::from(initialize).kind, ErrorKind::Denied, "that is done on the node itself");

    let nobody = endpoint(&daemons, &made, None).connect().await.unwrap();
    let refused = nobody.cluster().status(v1::ClusterStatusRequest {}).await.unwrap_err();
    assert_eq!(Failure::from(refused).kind, ErrorKind::Denied);
    let joining = nobody.enrolment().join(v1::JoinRequest::default()).await.unwrap_err();
    assert_eq!(Failure::from(joining).kind, ErrorKind::Denied, "joining is open, but not without a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_can_send_little_and_nothing_is_read_of_it_before_its_token() {
    let daemons = Daemons::start(1);
    let made = daemons.form().await;
    let stranger = endpoint(&daemons, &made, None).connect().await.unwrap();

    let garbage = v1::JoinRequest {
        secret: vec![7; 32].into(),
        certificate_request_pem: "no request".to_owned(),
        volumes: vec!["no volume".to_owned(); 100],
        ..v1::JoinRequest::default()
    };
    let refused = Failure::from(stranger.enrolment().join(garbage.clone()).await.unwrap_err());
    assert_eq!((refused.kind, refused.code.as_str()), (ErrorKind::Denied, "token_refused"), "{refused}");

    let long = v1::JoinRequest { certificate_request_pem: "x".repeat(65 << 10), ..garbage };
    let refused = Failure::from(stranger.enrolment().join(long).await.unwrap_err());
    assert_eq!(refused.code, wire::code::TRANSPORT, "{refused}");
    assert!(refused.message.contains("65536"), "{refused}");
}

/// Long beside the deadline of a handshake, and short beside a test run.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_never_finishes_is_given_up() {
    let daemons = Daemons::start(1);
    let made = daemons.form().await;
    let mut silent = runtime::net::connect(&format!("127.0.0.1:{}", daemons.ports(0).network)).await.unwrap();
    let begun = runtime::Clock::real();

    let admin = endpoint(&daemons, &made, Some(admin(&made))).connect().await.unwrap();
    admin.cluster().status(v1::ClusterStatusRequest {}).await.unwrap();
    let mut nothing = Vec::new();
    let ended = begun.timeout(PATIENCE, silent.read_to_end(&mut nothing)).await;

    assert!(ended.is_ok(), "the node still waits for the handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_cluster_does_not_get_through_the_handshake() {
    let daemons = Daemons::start(1);
    let made = daemons.form().await;
    let others = Daemons::start(1);
    let other = others.form().await;

    let stranger = endpoint(&daemons, &made, Some(admin(&other))).connect().await;
    let refused = match stranger {
        // TLS 1.3 tells a client that it was refused only when it reads its first answer.
        Ok(connection) => connection.cluster().status(v1::ClusterStatusRequest {}).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let impostor = Endpoint::Tcp {
        address: format!("127.0.0.1:{}", daemons.ports(0).network),
        tls: ClientTls {
            server_name: format!("{}.holdfast", other.cluster),
            authority: Authority(other.authority_pem.clone()),
            identity: None,
        },
    };
    assert!(impostor.connect().await.is_err(), "a client does not believe another cluster's node");
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_gets_the_figures_of_raft_and_of_the_blocks() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let address = format!("127.0.0.1:{}", daemons.ports(0).metrics);
    let scrape = || async {
        let mut stream = runtime::net::connect(&address).await.map_err(|error| error.to_string())?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.map_err(|error| error.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
        let wanted = [
            "holdfast_raft_leader 1\n",
            "holdfast_cluster_placement_groups 64\n",
            "holdfast_node_free_bytes ",
            "holdfast_node_failed_volumes 0\n",
            "holdfast_backup_units_total 0\n",
        ];
        if wanted.iter().all(|name| text.contains(name)) { Ok(text) } else { Err(text) }
    };
    let text = daemons.until("the figures are there", scrape).await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a figure is there twice: {text}");
}
