//! A real TLS server against the pin.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;
use types::{ClusterId, NodeId, Timestamp};

use super::*;
use crate::{Authority, Credentials, NodeKey};

fn cluster(number: u128) -> ClusterId {
    ClusterId(uuid::Uuid::from_u128(number))
}

fn now() -> Timestamp {
    let wall = runtime::Clock::real().wall();
    Timestamp { seconds: wall.seconds, nanoseconds: wall.nanoseconds }
}

/// A node's credentials, signed by one authority and sent with the certificate of another.
fn credentials(signer: &Authority, sent: &Authority, at: Timestamp) -> Credentials {
    let key = NodeKey::generate().unwrap();
    let certificate = signer.sign_node(&key.signing_request().unwrap(), NodeId(1), [1; 16], at).unwrap();
    Credentials::new(&certificate, sent.certificate(), &key).unwrap()
}

/// Serves one handshake with the credentials and gives the address.
async fn serve(credentials: Credentials) -> String {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(credentials.chain_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = runtime::net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let tasks = runtime::Tasks::new("test");
    tasks.spawn("serve", runtime::OnError::Log, async move {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that refuses the certificate ends the handshake with an error here as well.
        let _refused_or_done = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
    });
    address
}

#[tokio::test]
async fn a_server_of_the_pinned_authority_is_found() {
    let authority = Authority::create(cluster(1), now()).unwrap();
    let address = serve(credentials(&authority, &authority, now())).await;
    let found = fetch_authority(cluster(1), &address, authority.certificate().pin()).await.unwrap();
    assert_eq!(&found, authority.certificate());
}

#[tokio::test]
async fn another_authority_another_cluster_or_an_old_certificate_is_refused() {
    let authority = Authority::create(cluster(1), now()).unwrap();
    let other = Authority::create(cluster(1), now()).unwrap();
    let pin = authority.certificate().pin();
    let years_ago = Timestamp { seconds: now().seconds - 11 * 365 * 86_400, nanoseconds: 0 };
    let cases = [
        ("another authority", credentials(&other, &other, now()), cluster(1)),
        (
            "the pinned certificate beside a key that it did not sign",
            credentials(&other, &authority, now()),
            cluster(1),
        ),
        ("another cluster's name", credentials(&authority, &authority, now()), cluster(2)),
        ("an expired certificate", credentials(&authority, &authority, years_ago), cluster(1)),
    ];
    for (case, credentials, cluster) in cases {
        let address = serve(credentials).await;
        let error = fetch_authority(cluster, &address, pin).await.unwrap_err();
        assert!(matches!(error, PinnedError::Untrusted { .. }), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn an_address_where_nobody_answers_is_named() {
    let listener = runtime::net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = fetch_authority(cluster(1), &address, [0; 32]).await.unwrap_err();
    assert!(matches!(error, PinnedError::Unreachable { .. }));
    assert!(error.to_string().contains(&address), "{error}");
}
