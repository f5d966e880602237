//! Places in the log and memberships, as bytes of our own that outlive a change of openraft.

use std::collections::{BTreeMap, BTreeSet};

use openraft::BasicNode;
use serde::{Deserialize, Serialize};

use crate::raft_types::{LeaderId, LogId, Membership, StoredMembership};

/// The version of both encodings.
const VERSION: u8 = 1;

/// A place in the log: its number, and the leader and term that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Position {
    pub term: u64,
    pub leader: u64,
    pub index: u64,
}

/// A membership: joint configurations of voters (one, or two during a change) and all nodes with their addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipRecord {
    pub at: Option<Position>,
    pub voters: Vec<BTreeSet<u64>>,
    pub nodes: BTreeMap<u64, String>,
}

impl From<LogId> for Position {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, leader: id.leader_id.node_id, index: id.index }
    }
}

impl From<Position> for LogId {
    fn from(position: Position) -> Self {
        Self::new(LeaderId { term: position.term, node_id: position.leader }, position.index)
    }
}

impl MembershipRecord {
    /// The record of a membership that is in the log at `at`.
    pub fn new(at: Option<Position>, membership: &Membership) -> Self {
        let nodes = membership.nodes().map(|(node, address)| (*node, address.addr.clone())).collect();
        Self { at, voters: membership.get_joint_config().clone(), nodes }
    }

    /// The membership alone; `None` if it has no voter, or one without an address.
    pub fn membership(&self) -> Option<Membership> {
        let nodes: BTreeMap<_, _> = self.nodes.iter().map(|(node, address)| (*node, BasicNode::new(address))).collect();
        Membership::new(self.voters.clone(), nodes).ok()
    }

    /// The membership with its place.
    pub fn stored(&self) -> Option<StoredMembership> {
        Some(StoredMembership::new(self.at.map(Into::into), self.membership()?))
    }
}

/// Encodes a position or a membership record.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("plain values always encode")
}

/// Decodes what [`encode`] made; `None` if it is something else.
pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_and_a_membership_come_back_as_they_were() {
        let position = Position { term: 3, leader: 2, index: 700 };
        assert_eq!(decode::<Position>(&encode(&position)), Some(position));
        assert_eq!(Position::from(LogId::from(position)), position);

        let record = MembershipRecord {
            at: Some(position),
            voters: vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 2, 3])],
            nodes: BTreeMap::from([(1, "a:1".to_owned()), (2, "b:2".to_owned()), (3, "c:3".to_owned())]),
        };
        assert_eq!(decode::<MembershipRecord>(&encode(&record)), Some(record.clone()));
        assert_eq!(MembershipRecord::new(record.at, &record.membership().expect("a membership")), record);
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(decode::<Position>(&[]), None);
        assert_eq!(decode::<Position>(&[9, 1, 2, 3]), None);
        assert_eq!(decode::<Position>(&[VERSION, 1]), None);
    }
}
