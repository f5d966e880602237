//! The port before any request: handshakes under a deadline, and two queues behind them.
//!
//! Everybody may begin a handshake. Who shows a certificate of the cluster's authority in it is *known*, and is served
//! as long as it likes. Anybody else is a *stranger*: a node that is to join, or somebody who looks for a way in. There
//! are few of them at a time, and each stays for a short time, whatever it does; so strangers cannot hold the node's
//! memory, its file descriptors or its tasks.
//!
//! **Limits.** Handshakes at a time, and the time of each; strangers at a time, and the time of each. A connection that
//! is one too many is closed at once: to let it wait would be to hold it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use runtime::{Clock, OnError, Tasks};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::{AuthorityCertificate, Credentials, PkiError, Presented};

/// What HTTP/2 calls itself in a handshake (RFC 9113, section 3.2).
const ALPN_HTTP2: &[u8] = b"h2";
/// When the system gives no more sockets, asking again at once does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may take before anybody knows who they are.
#[derive(Clone, Copy, Debug)]
pub struct ReceptionLimits {
    /// Handshakes that go on at the same time.
    pub handshakes_max: usize,
    /// How long each may take.
    pub handshake: Duration,
    /// Strangers that are connected at the same time.
    pub strangers_max: usize,
    /// How long each may stay.
    pub stay: Duration,
}

/// Where connections go after their handshake.
#[derive(Clone)]
pub struct Arrivals {
    /// Those with a certificate of the cluster's authority.
    pub known: mpsc::Sender<Arrival>,
    /// Those without one.
    pub strangers: mpsc::Sender<Arrival>,
}

/// Receives the connections of one port.
pub struct Reception {
    tls: TlsAcceptor,
    limits: ReceptionLimits,
    clock: Clock,
    handshakes: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Reception {
    /// Shows a node's credentials, and believes certificates of the authority.
    ///
    /// # Errors
    /// The credentials or the authority cannot be used for TLS.
    pub fn new(
        credentials: &Credentials,
        authority: &AuthorityCertificate,
        limits: ReceptionLimits,
        clock: Clock,
    ) -> Result<Self, PkiError> {
        let tls = TlsAcceptor::from(Arc::new(server_config(credentials, authority)?));
        let places = |count| Arc::new(Semaphore::new(count));
        let (handshakes, strangers) = (places(limits.handshakes_max), places(limits.strangers_max));
        Ok(Self { tls, limits, clock, handshakes, strangers })
    }

    /// Receives until the tasks are told to stop.
    pub async fn receive(self: Arc<Self>, listener: TcpListener, tasks: Tasks, arrivals: Arrivals) {
        let shutdown = tasks.shutdown();
        while let Some(accepted) = shutdown.unless_cancelled(listener.accept()).await {
            match (accepted, Arc::clone(&self.handshakes).try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let (this, arrivals, shutdown) = (Arc::clone(&self), arrivals.clone(), shutdown.clone());
                    tasks.spawn("handshake", OnError::Log, async move {
                        shutdown.unless_cancelled(this.greet(stream, place, &arrivals)).await;
                    });
                }
                (Ok((_, peer)), Err(_)) => tracing::debug!(%peer, "closed a connection: too many handshakes go on"),
                (Err(error), _) => {
                    tracing::warn!(%error, "cannot accept a connection now");
                    self.clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn greet(&self, stream: TcpStream, _place: OwnedSemaphorePermit, arrivals: &Arrivals) {
        let peer = stream.peer_addr().ok();
        match self.shake_hands(stream).await {
            Ok(stream) if is_known(&stream) => {
                // Nobody takes it if the server is stopping.
                let _stopping = arrivals.known.send(Arrival { stream, visit: None }).await;
            }
            Ok(stream) => match self.visit() {
                Some(visit) => {
                    let _stopping = arrivals.strangers.send(Arrival { stream, visit: Some(visit) }).await;
                }
                None => tracing::debug!(?peer, "closed a connection: too many strangers are here"),
            },
            Err(error) => tracing::debug!(?peer, %error, "a handshake came to nothing"),
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        self.clock.timeout(self.limits.handshake, self.tls.accept(stream)).await.map_err(late)?
    }

    /// A place among the strangers, if there is one.
    fn visit(&self) -> Option<Visit> {
        let place = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        let (clock, stay) = (self.clock.clone(), self.limits.stay);
        Some(Visit { end: Some(async move { clock.sleep(stay).await }.boxed()), _place: place })
    }
}

fn is_known(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty())
}

fn server_config(credentials: &Credentials, authority: &AuthorityCertificate) -> Result<ServerConfig, PkiError> {
    let unusable = |reason: String| PkiError::Malformed { what: "the node's TLS identity", reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).map_err(|error| unusable(error.to_string()))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(credentials.chain_pem.as_bytes()).collect::<Result<_, _>>();
    let chain = chain.map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key_pem.expose().as_bytes());
    let key = key.map_err(|error| unusable(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_client_cert_verifier(verifier))
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols.push(ALPN_HTTP2.to_vec());
    Ok(config)
}

/// A connection after its handshake.
pub struct Arrival {
    stream: TlsStream<TcpStream>,
    /// Of a stranger.
    visit: Option<Visit>,
}

/// A stranger's stay.
struct Visit {
    /// Gone once the stay is over.
    end: Option<BoxFuture<'static, ()>>,
    _place: OwnedSemaphorePermit,
}

impl Arrival {
    /// Fails once the stay is over; until then it sees to it that the task is woken when it is.
    fn check_stay(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(visit) = &mut self.visit else { return Ok(()) };
        let is_over = visit.end.as_mut().is_none_or(|end| end.poll_unpin(context).is_ready());
        if !is_over {
            return Ok(());
        }
        visit.end = None;
        Err(io::Error::new(io::ErrorKind::TimedOut, "the time for a connection without a certificate is over"))
    }
}

impl AsyncRead for Arrival {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_stay(context)?;
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Arrival {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_stay(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_stay(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_stay(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_stay(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Arrival {
    type ConnectInfo = Presented;

    fn connect_info(&self) -> Presented {
        Presented::new(self.stream.get_ref().1.peer_certificates())
    }
}

#[cfg(test)]
mod tests;
