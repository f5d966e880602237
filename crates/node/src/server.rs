//! The two doors: the Unix socket for the admin on this node, and the port with mutual TLS for everybody else.
//!
//! Behind the port are two servers. One is for who has shown a certificate of the cluster. The other is for strangers,
//! who may do nothing but join: it has one service and small windows, and `cluster::Reception` ends their connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Arrival, Arrivals, Door, GateLayer, ReceptionLimits, RolePolicy};
use futures::StreamExt as _;
use runtime::OnError;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::service::Routes;
use tonic::transport::Server;
use wire::v1::enrolment_server::EnrolmentServer;
use wire::{MESSAGE_LENGTH_MAX, v1};

use crate::calls::CallsLayer;
use crate::member::Member;
use crate::message_limits::SizedByMethod;
use crate::services::enrolment;
use crate::services::{
    BackupsService, BlocksService, ClusterService, EnrolmentService, KeysService, NamespaceService, PoliciesService,
    QuotasService, RaftService, SitesService, SnapshotsService, WorkService,
};
use crate::{Daemon, NodeError};

/// HTTP/2's own 64 KiB would stop a block of 4 MiB sixty times.
const STREAM_WINDOW: u32 = 8 << 20;
/// Several blocks in flight on one connection.
const CONNECTION_WINDOW: u32 = 32 << 20;
/// Calls at a time on one connection; more wait in the client.
const STREAMS_MAX: u32 = 256;
/// The metadata of a request: names of methods and content types, no more.
const HEADERS_MAX: u32 = 16 << 10;
/// A client that lost its power is noticed within half a minute.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// What a joining node sends fits into HTTP/2's smallest window.
const STRANGERS_WINDOW: u32 = 64 << 10;
/// A joining node calls once.
const STRANGERS_STREAMS_MAX: u32 = 2;
/// Shorter than the stay, so that a node that joins slowly is told so.
const STRANGERS_CALL: Duration = Duration::from_secs(50);
/// For a whole rack that joins at once. A stranger may hold about 256 KiB; a handshake, less.
const RECEPTION: ReceptionLimits = ReceptionLimits {
    handshakes_max: 512,
    handshake: Duration::from_secs(10),
    strangers_max: 64,
    stay: Duration::from_secs(60),
};
/// Connections that wait until their server takes them.
const ARRIVALS: usize = 16;

/// Serves the admin on this node until the doors close.
///
/// # Errors
/// The socket failed.
pub async fn serve_local(daemon: Arc<Daemon>, listener: UnixListener) -> Result<(), NodeError> {
    let stopped = daemon.doors.shutdown().cancelled_owned();
    builder()
        .layer(CallsLayer::new(daemon.calls.clone(), "admin"))
        .layer(GateLayer::new(RolePolicy::of_protocol(), Door::Local))
        .add_routes(routes(&daemon))
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped)
        .await
        .map_err(|source| NodeError::Server { server: "admin", source })
}

/// Serves peers and clients until the doors close.
///
/// # Errors
/// TLS could not be set up, or the port failed.
pub async fn serve_network(daemon: Arc<Daemon>, member: Arc<Member>, listener: TcpListener) -> Result<(), NodeError> {
    let (to_known, known) = mpsc::channel(ARRIVALS);
    let (to_strangers, strangers) = mpsc::channel(ARRIVALS);
    let reception = Arc::new(member.reception(RECEPTION)?);
    let arrivals = Arrivals { known: to_known, strangers: to_strangers };
    let receiving = reception.receive(listener, daemon.doors.child("reception"), arrivals);
    daemon.doors.spawn("reception", OnError::EndProcess, receiving);
    let serve = |server, routes, arrivals| serve_arrivals(&daemon, &member, server, routes, arrivals);
    tokio::try_join!(
        serve(builder(), routes(&daemon), known),
        serve(builder_for_strangers(), routes_for_strangers(&daemon), strangers)
    )?;
    Ok(())
}

async fn serve_arrivals(
    daemon: &Daemon,
    member: &Member,
    server: Server,
    routes: Routes,
    arrivals: mpsc::Receiver<Arrival>,
) -> Result<(), NodeError> {
    let door = Door::Network { cluster: member.identity.cluster, membership: Arc::new(member.registry.clone()) };
    server
        .layer(CallsLayer::new(daemon.calls.clone(), "network"))
        .layer(GateLayer::new(RolePolicy::of_protocol(), door))
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            ReceiverStream::new(arrivals).map(Ok::<_, Infallible>),
            daemon.doors.shutdown().cancelled_owned(),
        )
        .await
        .map_err(|source| NodeError::Server { server: "network", source })
}

fn builder() -> Server {
    Server::builder()
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(PING_INTERVAL))
}

fn builder_for_strangers() -> Server {
    builder()
        .initial_stream_window_size(STRANGERS_WINDOW)
        .initial_connection_window_size(STRANGERS_WINDOW)
        .max_concurrent_streams(STRANGERS_STREAMS_MAX)
        .timeout(STRANGERS_CALL)
}

/// Adds services to a set of routes, each with bounds on its messages.
macro_rules! routes_of {
    ($($server:ident::$Server:ident($service:expr)),+ $(,)?) => {
        Routes::default()$(.add_service({
            let service = Arc::new($service);
            SizedByMethod::new(|limit| {
                v1::$server::$Server::from_arc(Arc::clone(&service))
                    .max_decoding_message_size(limit)
                    .max_encoding_message_size(MESSAGE_LENGTH_MAX)
            })
        }))+
    };
}

fn routes(daemon: &Arc<Daemon>) -> Routes {
    let daemon = || Arc::clone(daemon);
    routes_of! {
        cluster_server::ClusterServer(ClusterService::new(daemon())),
        namespace_server::NamespaceServer(NamespaceService::new(daemon())),
        blocks_server::BlocksServer(BlocksService::new(daemon())),
        snapshots_server::SnapshotsServer(SnapshotsService::new(daemon())),
        sites_server::SitesServer(SitesService::new(daemon())),
        policies_server::PoliciesServer(PoliciesService::new(daemon())),
        quotas_server::QuotasServer(QuotasService::new(daemon())),
        backups_server::BackupsServer(BackupsService::new(daemon())),
        raft_server::RaftServer(RaftService::new(daemon())),
        work_server::WorkServer(WorkService::new(daemon())),
        keys_server::KeysServer(KeysService::new(daemon())),
    }
    .add_service(enrolment(daemon()))
}

fn routes_for_strangers(daemon: &Arc<Daemon>) -> Routes {
    Routes::new(enrolment(Arc::clone(daemon)))
}

fn enrolment(daemon: Arc<Daemon>) -> EnrolmentServer<EnrolmentService> {
    EnrolmentServer::new(EnrolmentService::new(daemon)).max_decoding_message_size(enrolment::MESSAGE_LENGTH_MAX)
}
