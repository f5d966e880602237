//! The way to the other members, as this crate needs it.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use thiserror::Error;
use types::NodeId;

/// Carries messages to other members. The bytes are opaque: what [`crate::Handle::serve`] of the receiver gives back is
/// the answer.
///
/// An implementation authenticates both sides. It must keep [`MessageKind::Heartbeat`] from waiting behind the others,
/// or a large append starts an election.
pub trait Transport: Send + Sync + 'static {
    /// Sends one message and waits for its answer, at most for `deadline`.
    fn send<'a>(
        &'a self,
        to: NodeId,
        address: &'a str,
        kind: MessageKind,
        message: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>>;

    /// The name of the request on which the calling task works, by which it is found in the logs of all nodes. What
    /// [`Transport::send`] carries for one caller has its name anyway; this is for what it carries for several.
    fn request_name(&self) -> Option<String> {
        None
    }
}

/// What a message is for, so that a transport can give each kind a channel of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Heartbeats, votes and the hand-over of leadership: small and urgent.
    Heartbeat,
    /// Log entries.
    Replication,
    /// Chunks of a state snapshot.
    Snapshot,
    /// Proposals, reads and changes of membership that a follower hands to the leader.
    Forward,
}

/// Why a message brought no answer.
#[derive(Clone, Debug, Error)]
pub enum TransportError {
    /// The message certainly did not reach the other member.
    #[error("node {node} cannot be reached at {address}: {reason}")]
    Unreachable {
        /// The receiver.
        node: NodeId,
        /// Where it should be.
        address: String,
        /// What the transport says.
        reason: String,
    },
    /// The message may have been received; the answer did not arrive.
    #[error("no answer from node {node} at {address}: {reason}")]
    NoAnswer {
        /// The receiver.
        node: NodeId,
        /// Where it should be.
        address: String,
        /// What the transport says.
        reason: String,
    },
    /// The other member received the message and refused it; nothing was done.
    #[error("node {node} refused the message: {reason}")]
    Refused {
        /// The receiver.
        node: NodeId,
        /// What it says.
        reason: String,
    },
}
