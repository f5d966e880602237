//! What this node knows of the members, for questions that are asked often and need no fresh answer.
//!
//! Raft has the addresses of all members. A node that moved says so in Raft, but it may be the one without which Raft does
//! not get on: of three nodes, two that move at once find the third and not each other, and the third, which alone may
//! have the newest entry, finds none of them. So a node also tells every other one where it is. What it said stands above
//! what Raft says, until Raft has news of that node's address: then the older word is dropped, and if the node is somewhere
//! else again, it says that within a second.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use cluster::{KnownKey, Membership};
use types::{Node, NodeId, Revision};

/// The members as this node last read them from its own state. It is refreshed when the state has moved on.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    known: Arc<RwLock<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// How far the state was when it was read.
    revision: Revision,
    nodes: BTreeMap<NodeId, Node>,
    /// At most one for each of the nodes.
    announced: BTreeMap<NodeId, Announced>,
}

/// Where a node says that it is.
#[derive(Debug)]
struct Announced {
    address: String,
    /// Where Raft had it then.
    registered: String,
}

impl Registry {
    /// Replaces what is known by the nodes that are registered at a revision.
    pub fn replace(&self, revision: Revision, nodes: Vec<Node>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Known { nodes: now, announced, .. } = &mut *known;
        *now = nodes.into_iter().map(|node| (node.id, node)).collect();
        announced.retain(|id, said| now.get(id).is_some_and(|node| node.address == said.registered));
        known.revision = revision;
    }

    /// Notes where a node says that it is. Of one that is not registered nothing is noted.
    pub fn announce(&self, id: NodeId, address: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(registered) = known.nodes.get(&id).map(|node| node.address.clone()) else { return };
        if registered == address {
            known.announced.remove(&id);
            return;
        }
        let said = Announced { address: address.to_owned(), registered };
        let before = known.announced.insert(id, said);
        if before.is_none_or(|before| before.address != address) {
            tracing::info!(node = %id, address, "a node is at another address than Raft has");
        }
    }

    /// A member.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<Node> {
        let known = self.read();
        known.nodes.get(&id).map(|node| known.reached(node))
    }

    /// All members, by number.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        let known = self.read();
        known.nodes.values().map(|node| known.reached(node)).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The node with the address at which it is reached.
    fn reached(&self, node: &Node) -> Node {
        let mut node = node.clone();
        if let Some(said) = self.announced.get(&node.id) {
            node.address.clone_from(&said.address);
        }
        node
    }
}

impl Membership for Registry {
    /// A node's number is the revision of its registration, so a state that is as far and has no such node never will.
    fn key_of(&self, id: NodeId) -> KnownKey {
        let known = self.read();
        match known.nodes.get(&id) {
            Some(node) => KnownKey::Registered(node.key_fingerprint.clone()),
            // The founder's number lies before its registration.
            None if known.nodes.is_empty() || id.0 > known.revision.0 => KnownKey::NotYet,
            None => KnownKey::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Incarnation;

    use super::*;

    fn node(id: u64, address: &str) -> Node {
        Node {
            id: NodeId(id),
            address: address.to_owned(),
            volumes: Vec::new(),
            incarnation: Incarnation(0),
            key_fingerprint: format!("key of {id}"),
        }
    }

    fn address(registry: &Registry, id: u64) -> String {
        let found = registry.node(NodeId(id)).unwrap();
        assert!(registry.nodes().contains(&found));
        found.address
    }

    #[test]
    fn what_a_node_says_of_its_address_stands_until_raft_has_news_of_it() {
        let registry = Registry::default();
        registry.replace(Revision(9), vec![node(1, "a:1"), node(5, "b:1")]);
        registry.announce(NodeId(5), "b:2");
        registry.replace(Revision(10), vec![node(1, "a:1"), node(5, "b:1")]);
        assert_eq!((address(&registry, 1), address(&registry, 5)), ("a:1".into(), "b:2".into()));

        registry.replace(Revision(11), vec![node(1, "a:1"), node(5, "b:2")]);
        assert_eq!(address(&registry, 5), "b:2");
        registry.replace(Revision(12), vec![node(1, "a:1"), node(5, "b:3")]);
        assert_eq!(address(&registry, 5), "b:3", "what it said before is old");

        registry.announce(NodeId(5), "b:4");
        registry.announce(NodeId(5), "b:3");
        assert_eq!(address(&registry, 5), "b:3", "it is back where Raft has it");
        registry.announce(NodeId(7), "c:1");
        assert_eq!(registry.node(NodeId(7)), None);
    }

    #[test]
    fn a_node_is_unknown_only_to_a_state_that_is_as_far_as_its_registration_would_be() {
        let registry = Registry::default();
        assert_eq!(registry.key_of(NodeId(1)), KnownKey::NotYet, "this node has just joined");
        registry.replace(Revision(9), vec![node(1, "a:1"), node(5, "b:1")]);
        assert_eq!(registry.key_of(NodeId(5)), KnownKey::Registered("key of 5".into()));
        assert_eq!(registry.key_of(NodeId(9)), KnownKey::None);
        assert_eq!(registry.key_of(NodeId(10)), KnownKey::NotYet);
    }
}
