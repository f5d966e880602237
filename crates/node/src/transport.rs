//! Raft's messages over the protocol's Raft service.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{MessageKind, Transport, TransportError};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use runtime::Clock;
use tonic::Status;
use types::NodeId;
use wire::{RequestId, v1};

use crate::peers::{Peers, Traffic};
use crate::registry::Registry;

/// The only Raft group so far.
const GROUP: u32 = 0;

/// Carries Raft's messages over mutual TLS, heartbeats on a connection of their own.
///
/// A node that moves is looked for where it says that it is, or else where the registry has it. Were it looked for at its
/// old address until the membership has the new one, two of three that move would never form the majority that this
/// change needs.
pub struct PeerTransport {
    node: NodeId,
    clock: Clock,
    peers: Arc<Peers>,
    registry: Registry,
}

impl PeerTransport {
    /// The transport of a node.
    #[must_use]
    pub const fn new(node: NodeId, clock: Clock, peers: Arc<Peers>, registry: Registry) -> Self {
        Self { node, clock, peers, registry }
    }

    async fn exchange(
        &self,
        to: NodeId,
        address: &str,
        kind: MessageKind,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, TransportError> {
        let unreachable =
            |reason: String| TransportError::Unreachable { node: to, address: address.to_owned(), reason };
        let connection =
            self.peers.channel(to, address, traffic(kind)).map_err(|error| unreachable(error.to_string()))?;
        let message =
            v1::RaftMessage { group: GROUP, from: self.node.0, to: to.0, kind: wire_kind(kind).into(), payload };
        let mut client = connection.raft();
        let answered = self.clock.timeout(deadline, client.exchange(message)).await;
        let lost = |reason: String| TransportError::NoAnswer { node: to, address: address.to_owned(), reason };
        match answered {
            Ok(Ok(reply)) => Ok(reply.into_inner().payload),
            Ok(Err(status)) if never_connected(&status) => Err(unreachable(status.to_string())),
            Ok(Err(status)) if is_answer(&status) => {
                Err(TransportError::Refused { node: to, reason: status.message().to_owned() })
            }
            Ok(Err(status)) => Err(lost(status.to_string())),
            Err(timed_out) => Err(lost(timed_out.to_string())),
        }
    }
}

impl Transport for PeerTransport {
    fn send<'a>(
        &'a self,
        to: NodeId,
        address: &'a str,
        kind: MessageKind,
        message: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        async move {
            let registered = self.registry.node(to).map(|node| node.address);
            self.exchange(to, registered.as_deref().unwrap_or(address), kind, message, deadline).await
        }
        .boxed()
    }

    fn request_name(&self) -> Option<String> {
        RequestId::current().map(|name| name.to_string())
    }
}

const fn traffic(kind: MessageKind) -> Traffic {
    match kind {
        MessageKind::Heartbeat => Traffic::Urgent,
        MessageKind::Replication | MessageKind::Forward => Traffic::Log,
        MessageKind::Snapshot => Traffic::Bulk,
    }
}

const fn wire_kind(kind: MessageKind) -> v1::RaftKind {
    match kind {
        MessageKind::Heartbeat | MessageKind::Replication => v1::RaftKind::Message,
        MessageKind::Forward => v1::RaftKind::Forward,
        MessageKind::Snapshot => v1::RaftKind::Snapshot,
    }
}

/// Whether the connection was never made, so that the message certainly did not leave this node.
fn never_connected(status: &Status) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the peer itself wrote the status: it always adds our details, and the gate's refusals have their own codes.
fn is_answer(status: &Status) -> bool {
    !status.details().is_empty()
        || matches!(status.code(), tonic::Code::PermissionDenied | tonic::Code::Unauthenticated)
}
