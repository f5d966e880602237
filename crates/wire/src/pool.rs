//! One channel to each peer node.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use types::{ClusterId, NodeId};

use crate::{Authority, ClientTls, ConnectError, Connection, Endpoint, Identity};

/// Channels by node. Each connects at its first call and again when it was lost; a node that moved gets a new one.
///
/// It holds one channel for each member that was ever called, so its bound is the size of the cluster.
#[derive(Debug)]
pub struct ChannelPool {
    cluster: ClusterId,
    authority: Authority,
    identity: Identity,
    channels: Mutex<BTreeMap<NodeId, (String, Connection)>>,
}

impl ChannelPool {
    /// A pool for a process that is `identity` in the cluster.
    #[must_use]
    pub const fn new(cluster: ClusterId, authority: Authority, identity: Identity) -> Self {
        Self { cluster, authority, identity, channels: Mutex::new(BTreeMap::new()) }
    }

    /// The channel to a node at `address`. The peer must have the certificate of exactly that node.
    ///
    /// # Errors
    /// [`ConnectError`] when the address is not one; whether the peer is there is seen at the first call.
    pub fn get(&self, node: NodeId, address: &str) -> Result<Connection, ConnectError> {
        // Nothing can panic while the lock is held; if it ever does, the map is still whole.
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, connection)) = channels.get(&node)
            && known == address
        {
            return Ok(connection.clone());
        }
        let connection = self.endpoint(node, address).connect_lazily()?;
        channels.insert(node, (address.to_owned(), connection.clone()));
        Ok(connection)
    }

    /// Drops the channel to a node, for instance after it left.
    pub fn forget(&self, node: NodeId) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    fn endpoint(&self, node: NodeId, address: &str) -> Endpoint {
        let tls = ClientTls {
            server_name: format!("node-{node}.{}.holdfast", self.cluster),
            authority: self.authority.clone(),
            identity: Some(self.identity.clone()),
        };
        Endpoint::Tcp { address: address.to_owned(), tls }
    }
}
