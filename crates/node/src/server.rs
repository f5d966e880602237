//! The two doors: the Unix socket for the admin on this node, and the port with mutual TLS for everybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Door, GateLayer, RolePolicy};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::service::Routes;
use tonic::transport::Server;
use wire::{MESSAGE_LENGTH_MAX, v1};

use crate::member::Member;
use crate::services::{
    BackupsService, BlocksService, ClusterService, EnrolmentService, KeysService, NamespaceService, PoliciesService,
    RaftService, SitesService, SnapshotsService, WorkService,
};
use crate::{Daemon, NodeError};

/// HTTP/2's own 64 KiB would stop a block of 4 MiB sixty times.
const STREAM_WINDOW: u32 = 8 << 20;
/// Several blocks in flight on one connection.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// Calls at a time on one connection; more wait in the client.
const STREAMS_MAX: u32 = 256;
/// A client that lost its power is noticed within half a minute.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Serves the admin on this node until the process stops.
///
/// # Errors
/// The socket failed.
pub async fn serve_local(daemon: Arc<Daemon>, listener: UnixListener) -> Result<(), NodeError> {
    let stopped = daemon.platform.tasks.shutdown().cancelled_owned();
    builder()
        .layer(GateLayer::new(RolePolicy::of_protocol(), Door::Local))
        .add_routes(routes(&daemon))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped)
        .await
        .map_err(|source| NodeError::Server { server: "admin", source })
}

/// Serves peers and clients until the member stops.
///
/// # Errors
/// TLS could not be set up, or the port failed.
pub async fn serve_network(daemon: Arc<Daemon>, member: Arc<Member>, listener: TcpListener) -> Result<(), NodeError> {
    let failed = |source| NodeError::Server { server: "network", source };
    let door = Door::Network { cluster: member.identity.cluster, membership: Arc::new(member.registry.clone()) };
    let stopped = member.front.shutdown().cancelled_owned();
    builder()
        .tls_config(member.server_tls())
        .map_err(failed)?
        .layer(GateLayer::new(RolePolicy::of_protocol(), door))
        .add_routes(routes(&daemon))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
        .await
        .map_err(failed)
}

fn builder() -> Server {
    let numbers = AtomicU64::new(1);
    Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .trace_fn(move |request| {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            tracing::info_span!("call", request = number, method = request.uri().path())
        })
}

/// Adds services to a set of routes, all with the same bounds on their messages.
macro_rules! routes_of {
    ($($server:ident::$Server:ident($service:expr)),+ $(,)?) => {
        Routes::default()$(.add_service(
            v1::$server::$Server::new($service)
                .max_decoding_message_size(MESSAGE_LENGTH_MAX)
                .max_encoding_message_size(MESSAGE_LENGTH_MAX),
        ))+
    };
}

fn routes(daemon: &Arc<Daemon>) -> Routes {
    let daemon = || Arc::clone(daemon);
    routes_of! {
        enrolment_server::EnrolmentServer(EnrolmentService::new(daemon())),
        cluster_server::ClusterServer(ClusterService::new(daemon())),
        namespace_server::NamespaceServer(NamespaceService::new(daemon())),
        blocks_server::BlocksServer(BlocksService::new(daemon())),
        snapshots_server::SnapshotsServer(SnapshotsService::new(daemon())),
        sites_server::SitesServer(SitesService::new(daemon())),
        policies_server::PoliciesServer(PoliciesService::new(daemon())),
        backups_server::BackupsServer(BackupsService::new(daemon())),
        raft_server::RaftServer(RaftService::new(daemon())),
        work_server::WorkServer(WorkService::new(daemon())),
        keys_server::KeysServer(KeysService::new(daemon())),
    }
}
