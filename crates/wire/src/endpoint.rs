//! Where a peer is, and how a channel to it is made.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use runtime::net::{self, NetError};
use thiserror::Error;
use tonic::transport::{Channel, Endpoint as TonicEndpoint, Uri};
use tower::service_fn;
use types::ErrorKind;

use crate::{ClientTls, Connection, Failure, code};

/// The longest time that a call may take; the caller sets shorter ones where it knows better.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// A peer in the same building answers to a handshake in milliseconds; one that is busy with a start takes seconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Idle connections are probed, so that a peer that lost its power is noticed.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longer than any stall of a node that works at its limit.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// HTTP/2's own 64 KiB would stop a block of 4 MiB sixty times.
const STREAM_WINDOW: u32 = 8 << 20;
/// Several blocks in flight at once.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// Where a peer is.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// On this machine: the socket's mode is what protects it.
    Unix(PathBuf),
    /// On the network, with mutual TLS.
    Tcp {
        /// `host:port`.
        address: String,
        /// Whom to expect, and who to be.
        tls: ClientTls,
    },
}

/// A channel could not be made.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address is not one.
    #[error("{address:?} is not host:port")]
    Address {
        /// The address.
        address: String,
    },
    /// Certificate, key or authority cannot be used.
    #[error("the TLS identity for {address} cannot be used: {source}")]
    Identity {
        /// Where it was to be used.
        address: String,
        /// What is wrong with it.
        source: tonic::transport::Error,
    },
    /// The peer was not reached, or is not whom we expect.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// The peer.
        address: String,
        /// Every cause, the outermost first.
        reason: String,
    },
}

impl ConnectError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } | Self::Identity { .. } => ErrorKind::InvalidRequest,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new(error.kind(), code::TRANSPORT, error.to_string())
    }
}

impl Endpoint {
    /// The address or path, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Tcp { address, .. } => address.clone(),
        }
    }

    /// Connects now, so that a peer that is not there is known at once.
    ///
    /// # Errors
    /// [`ConnectError`] names the peer and tells what is wrong.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let prepared = self.prepare()?;
        let channel = match self.clone() {
            Self::Unix(path) => prepared.connect_with_connector(service_fn(move |_: Uri| unix(path.clone()))).await,
            Self::Tcp { address, .. } => {
                prepared.connect_with_connector(service_fn(move |_: Uri| tcp(address.clone()))).await
            }
        };
        channel.map(Connection::new).map_err(|error| self.unreachable(&error))
    }

    /// Makes a channel that connects at its first call, and again whenever the connection was lost.
    ///
    /// # Errors
    /// [`ConnectError`] when address or identity cannot be used.
    pub fn connect_lazily(&self) -> Result<Connection, ConnectError> {
        let prepared = self.prepare()?;
        let channel: Channel = match self.clone() {
            Self::Unix(path) => prepared.connect_with_connector_lazy(service_fn(move |_: Uri| unix(path.clone()))),
            Self::Tcp { address, .. } => {
                prepared.connect_with_connector_lazy(service_fn(move |_: Uri| tcp(address.clone())))
            }
        };
        Ok(Connection::new(channel))
    }

    fn prepare(&self) -> Result<TonicEndpoint, ConnectError> {
        let endpoint = match self {
            // The URI of a Unix socket is never looked at; gRPC wants one for its authority header.
            Self::Unix(_) => TonicEndpoint::from_static("http://node.holdfast"),
            Self::Tcp { address, tls } => TonicEndpoint::from_shared(format!("https://{address}"))
                .map_err(|_| ConnectError::Address { address: address.clone() })?
                .tls_config(tls.to_tonic())
                .map_err(|source| ConnectError::Identity { address: address.clone(), source })?,
        };
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT_MAX)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW))
    }

    fn unreachable(&self, error: &tonic::transport::Error) -> ConnectError {
        ConnectError::Unreachable { address: self.name(), reason: causes(error) }
    }
}

/// The innermost cause is what a person needs; tonic's own layers all say "transport error".
fn causes(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

async fn unix(path: PathBuf) -> Result<TokioIo<tokio::net::UnixStream>, NetError> {
    net::connect_unix(&path).await.map(TokioIo::new)
}

async fn tcp(address: String) -> Result<TokioIo<tokio::net::TcpStream>, NetError> {
    net::connect(&address).await.map(TokioIo::new)
}
