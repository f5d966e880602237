//! Channels to the other nodes.

use types::{ClusterId, NodeId};
use wire::{Authority, ChannelPool, ConnectError, Connection, Identity};

/// Channels to the other nodes, a connection of its own for each kind of traffic: a heartbeat behind 64 MiB of blocks
/// would start an election.
#[derive(Debug)]
pub struct Peers {
    urgent: ChannelPool,
    log: ChannelPool,
    bulk: ChannelPool,
}

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Heartbeats, votes, and the small calls of the background work.
    Urgent,
    /// Log entries and forwarded requests.
    Log,
    /// Blocks, snapshots of the state, and work of backups.
    Bulk,
}

impl Peers {
    /// Channels for a node that presents `identity`.
    #[must_use]
    pub fn new(cluster: ClusterId, authority: &Authority, identity: &Identity) -> Self {
        let pool = || ChannelPool::new(cluster, authority.clone(), identity.clone());
        Self { urgent: pool(), log: pool(), bulk: pool() }
    }

    /// The channel to a node; it connects at its first call.
    ///
    /// # Errors
    /// The address is none.
    pub fn channel(&self, node: NodeId, address: &str, traffic: Traffic) -> Result<Connection, ConnectError> {
        match traffic {
            Traffic::Urgent => &self.urgent,
            Traffic::Log => &self.log,
            Traffic::Bulk => &self.bulk,
        }
        .get(node, address)
    }
}
