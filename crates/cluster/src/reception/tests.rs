//! Real handshakes on loopback.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsConnector, client};
use types::{ClusterId, NodeId, Timestamp};

use super::*;
use crate::{Authority, NodeKey, cluster_name};

const CLUSTER: ClusterId = ClusterId(uuid::Uuid::from_u128(1));
/// Longer than any of the limits below.
const PATIENCE: Duration = Duration::from_secs(30);
const GENEROUS: ReceptionLimits =
    ReceptionLimits { handshakes_max: 8, handshake: PATIENCE, strangers_max: 8, stay: PATIENCE };

struct World {
    address: String,
    authority: Authority,
    known: mpsc::Receiver<Arrival>,
    strangers: mpsc::Receiver<Arrival>,
    tasks: Tasks,
}

fn now() -> Timestamp {
    let wall = Clock::real().wall();
    Timestamp { seconds: wall.seconds, nanoseconds: wall.nanoseconds }
}

impl World {
    async fn new(limits: ReceptionLimits) -> Self {
        let authority = Authority::create(CLUSTER, now()).unwrap();
        let key = NodeKey::generate().unwrap();
        let certificate = authority.sign_node(&key.signing_request().unwrap(), NodeId(1), [1; 16], now()).unwrap();
        let credentials = Credentials::new(&certificate, authority.certificate(), &key).unwrap();
        let reception = Reception::new(&credentials, authority.certificate(), limits, Clock::real()).unwrap();
        let listener = runtime::net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to_known, known) = mpsc::channel(8);
        let (to_strangers, strangers) = mpsc::channel(8);
        let tasks = Tasks::new("test");
        let arrivals = Arrivals { known: to_known, strangers: to_strangers };
        tasks.spawn("reception", OnError::Log, Arc::new(reception).receive(listener, tasks.clone(), arrivals));
        Self { address, authority, known, strangers, tasks }
    }

    /// Connects with the admin's certificate, or as a stranger.
    async fn connect(&self, admin: Option<&str>) -> io::Result<client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match admin {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let credentials = self.authority.issue_admin(name, [2; 16], now()).unwrap();
                let chain = CertificateDer::pem_slice_iter(credentials.chain_pem.as_bytes()).collect::<Result<_, _>>();
                let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.expose().as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
            }
        };
        let stream = runtime::net::connect(&self.address).await.unwrap();
        let name = ServerName::try_from(cluster_name(CLUSTER)).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Waits until the other side has closed the connection.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut byte = [0];
    let read = Clock::real().timeout(PATIENCE / 2, stream.read(&mut byte)).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "still open: {read:?}");
}

#[tokio::test]
async fn who_shows_a_certificate_is_known_and_anybody_else_is_a_stranger() {
    let mut world = World::new(GENEROUS).await;
    let mut admin = world.connect(Some("ada")).await.unwrap();
    let mut known = world.known.recv().await.unwrap();
    assert!(known.connect_info().principal(CLUSTER).is_some());
    admin.write_all(b"hello").await.unwrap();
    let mut text = [0; 5];
    known.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"hello");

    let _stranger = world.connect(None).await.unwrap();
    assert!(world.strangers.recv().await.unwrap().connect_info().principal(CLUSTER).is_none());
    drop((admin, known));
    world.tasks.close(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_handshake_ends_at_its_deadline_and_gives_its_place_back() {
    let limits = ReceptionLimits { handshakes_max: 1, handshake: Duration::from_millis(200), ..GENEROUS };
    let mut world = World::new(limits).await;
    let mut silent = runtime::net::connect(&world.address).await.unwrap();
    closed(&mut silent).await;
    let _admin = world.connect(Some("ada")).await.unwrap();
    assert!(world.known.recv().await.is_some());
}

#[tokio::test]
async fn a_handshake_too_many_is_closed_at_once() {
    let world = World::new(ReceptionLimits { handshakes_max: 1, ..GENEROUS }).await;
    let _silent = runtime::net::connect(&world.address).await.unwrap();
    let mut second = runtime::net::connect(&world.address).await.unwrap();
    closed(&mut second).await;
}

#[tokio::test]
async fn a_stranger_is_closed_when_its_stay_is_over_and_a_known_one_stays() {
    let limits = ReceptionLimits { strangers_max: 1, stay: Duration::from_millis(200), ..GENEROUS };
    let mut world = World::new(limits).await;
    let _stranger = world.connect(None).await.unwrap();
    let mut arrival = world.strangers.recv().await.unwrap();
    let ended = arrival.read(&mut [0]).await.unwrap_err();
    assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    assert_eq!(arrival.write(b"more").await.unwrap_err().kind(), io::ErrorKind::TimedOut, "and it stays over");

    let mut second = world.connect(None).await.unwrap();
    closed(&mut second).await;
    drop(arrival);
    let _third = world.connect(None).await.unwrap();
    assert!(world.strangers.recv().await.is_some(), "the place is free again");

    let _admin = world.connect(Some("ada")).await.unwrap();
    let mut known = world.known.recv().await.unwrap();
    let read = Clock::real().timeout(limits.stay * 2, known.read(&mut [0])).await;
    assert!(read.is_err(), "it is open and silent");
}
