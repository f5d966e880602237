//! The one task that makes this node a member of a cluster.
//!
//! Founding and joining write files in an order that matters, so they happen one at a time, in a task that owns the
//! matter. Once the node is a member, every further request is refused.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::founding::{self, Founded};
use crate::joining::{self, Joined};
use crate::{Daemon, NodeError};

/// Requests that may wait: an admin at a terminal sends one.
pub const QUEUE: usize = 4;

/// What an admin on this node may ask for.
pub enum Request {
    /// Make a cluster of this one node.
    Found {
        /// How many nodes the cluster begins with.
        first_nodes: u32,
        /// The name of the first admin.
        admin: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Founded, NodeError>>,
    },
    /// Join the cluster that made the token.
    Join {
        /// The token's text.
        token: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Joined, NodeError>>,
    },
}

/// Serves requests until the daemon stops.
pub async fn serve(daemon: Arc<Daemon>, mut requests: mpsc::Receiver<Request>) {
    let shutdown = daemon.platform.tasks.shutdown();
    while let Some(Some(request)) = shutdown.unless_cancelled(requests.recv()).await {
        // An admin who went away does not need the answer; the node is a member all the same.
        match request {
            Request::Found { first_nodes, admin, reply } => {
                let founded = Box::pin(founding::found(&daemon, first_nodes, &admin)).await;
                let _gone = reply.send(founded);
            }
            Request::Join { token, reply } => {
                let joined = Box::pin(joining::join(&daemon, &token)).await;
                let _gone = reply.send(joined);
            }
        }
    }
}
