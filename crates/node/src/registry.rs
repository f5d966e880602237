//! What this node knows of the members, for questions that are asked often and need no fresh answer.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cluster::Membership;
use types::{Node, NodeId};

/// The members as this node last read them from its own state. It is refreshed when the state has moved on; a node that
/// is not in it yet is unknown, not refused.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    nodes: Arc<RwLock<BTreeMap<NodeId, Node>>>,
}

impl Registry {
    /// Replaces what is known.
    pub fn replace(&self, nodes: Vec<Node>) {
        let nodes = nodes.into_iter().map(|node| (node.id, node)).collect();
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// A member.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<Node> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All members, by number.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Membership for Registry {
    fn key_of(&self, node: NodeId) -> Option<String> {
        self.node(node).map(|node| node.key_fingerprint)
    }
}
