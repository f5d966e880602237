//! Nodes, and the placement groups over their volumes.

use types::{
    Incarnation, NewNode, Node, NodeId, OperationError, Outcome, PgId, PgVersion, PlacementGroup, Pool, PoolId, Seat,
    SeatState,
};

use super::{check_record_name, no_record, out_of_range};
use crate::error::Failure;
use crate::genesis::GENESIS;
use crate::keys::{KeyRange, NameKey, Named};
use crate::read::Read as _;
use crate::tables::{Names, Nodes, Pgs, Pools};
use crate::transaction::Transaction;

/// Seats of one placement group: as many as a [`types::SeatSet`] has bits.
const SEATS_MAX: u16 = 16;
/// Placement groups of one pool: their table is small enough to be read whole.
const GROUPS_MAX: u32 = 65_536;

/// Adds a node, or gives the one that has the key already.
///
/// The first node has the revision of the genesis as its number, because the log needs a member before it can have an
/// entry; all others have that of the operation.
pub fn add_node(tx: &mut Transaction<'_>, new: &NewNode) -> Result<Outcome, Failure> {
    check_record_name(&new.key_fingerprint)?;
    let key = NameKey { named: Named::Fingerprint, name: new.key_fingerprint.clone() };
    if let Some(id) = tx.row::<Names>(&key)? {
        return Ok(Outcome::Node(existing(tx, NodeId(id))?));
    }
    let first = tx.rows::<Nodes>(KeyRange::all()).next().transpose()?.is_none();
    let node = Node {
        id: NodeId(if first { GENESIS.0 } else { tx.revision().0 }),
        address: new.address.clone(),
        volumes: new.volumes.clone(),
        incarnation: Incarnation(0),
        key_fingerprint: new.key_fingerprint.clone(),
    };
    tx.put::<Names>(&key, &node.id.0);
    tx.put::<Nodes>(&node.id, &node);
    Ok(Outcome::Node(node))
}

/// Gives a process that started its number: the revision of the operation.
pub fn start_node(tx: &mut Transaction<'_>, id: NodeId, address: &str) -> Result<Outcome, Failure> {
    let mut node = existing(tx, id)?;
    address.clone_into(&mut node.address);
    node.incarnation = Incarnation(tx.revision().0);
    tx.put::<Nodes>(&id, &node);
    Ok(Outcome::Incarnation(node.incarnation))
}

/// Makes the first pool, unless there is one.
pub fn form_pool(tx: &mut Transaction<'_>, replicas: u16, groups: u32, nodes: &[NodeId]) -> Result<Outcome, Failure> {
    if tx.rows::<Pools>(KeyRange::all()).next().transpose()?.is_some() {
        return Ok(Outcome::Done);
    }
    let mut members = nodes.iter().map(|&id| existing(tx, id)).collect::<Result<Vec<_>, _>>()?;
    members.sort_by_key(|node| node.id);
    members.dedup_by_key(|node| node.id);
    check_pool(replicas, groups, &members)?;
    let pool = Pool { id: PoolId(1), replicas };
    for group in spread(&pool, groups, &members) {
        tx.put::<Pgs>(&group.id, &group);
    }
    tx.put::<Pools>(&pool.id, &pool);
    Ok(Outcome::Done)
}

fn check_pool(replicas: u16, groups: u32, members: &[Node]) -> Result<(), OperationError> {
    let replicas_max = members.len().min(SEATS_MAX.into());
    if usize::from(replicas) > replicas_max || replicas == 0 {
        return Err(out_of_range("the number of replicas", replicas.into(), replicas_max));
    }
    if groups == 0 || groups > GROUPS_MAX {
        return Err(out_of_range("the number of placement groups", groups as usize, GROUPS_MAX as usize));
    }
    match members.iter().find(|node| node.volumes.is_empty()) {
        Some(node) => Err(no_record("volume of node", node.id)),
        None => Ok(()),
    }
}

/// Placement groups with seats on neighbours in the ring of nodes. Each next group begins one node further, so that
/// every node has as many seats as any other, one more at most; each round of the ring takes the next volumes.
fn spread(pool: &Pool, groups: u32, members: &[Node]) -> Vec<PlacementGroup> {
    let group = |number: u32| {
        let start = number as usize;
        let round = start / members.len();
        let seat = |index: usize| {
            let node = members.iter().cycle().nth((start + index) % members.len())?;
            let volume = *node.volumes.iter().cycle().nth(round % node.volumes.len())?;
            Some(Seat { node: node.id, volume, state: SeatState::Full })
        };
        let seats = (0..usize::from(pool.replicas)).filter_map(seat).collect();
        PlacementGroup { id: PgId(number + 1), pool: pool.id, version: PgVersion(1), seats }
    };
    (0..groups).map(group).collect()
}

fn existing(tx: &Transaction<'_>, id: NodeId) -> Result<Node, Failure> {
    Ok(tx.row::<Nodes>(&id)?.ok_or(OperationError::NoNode { node: id })?)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use types::VolumeId;
    use uuid::Uuid;

    use super::*;

    fn node(id: u64, volumes: u128) -> Node {
        let volumes = (0..volumes).map(|volume| VolumeId(Uuid::from_u128(u128::from(id) * 100 + volume))).collect();
        let (address, key_fingerprint) = (String::new(), String::new());
        Node { id: NodeId(id), address, volumes, incarnation: Incarnation(0), key_fingerprint }
    }

    #[test]
    fn seats_of_a_group_are_on_different_nodes_and_all_volumes_get_a_fair_share() {
        let members = [node(1, 2), node(4, 2), node(9, 2), node(12, 2), node(20, 2)];
        let groups = spread(&Pool { id: PoolId(1), replicas: 3 }, 60, &members);
        let mut seats: BTreeMap<(NodeId, VolumeId), usize> = BTreeMap::new();
        for group in &groups {
            let nodes: BTreeSet<_> = group.seats.iter().map(|seat| seat.node).collect();
            assert_eq!(nodes.len(), 3, "{group:?}");
            for seat in &group.seats {
                *seats.entry((seat.node, seat.volume)).or_default() += 1;
            }
        }
        assert_eq!(seats.len(), 10);
        assert!(seats.values().all(|&count| count == 18), "{seats:?}");
    }

    #[test]
    fn a_pool_needs_a_node_with_a_volume_for_each_replica() {
        let members = [node(1, 1), node(2, 1), node(3, 0)];
        assert!(check_pool(2, 8, &members[..2]).is_ok());
        assert!(check_pool(3, 8, &members[..2]).is_err());
        assert!(check_pool(0, 8, &members[..2]).is_err());
        assert!(check_pool(1, 0, &members[..2]).is_err());
        assert!(check_pool(3, 8, &members).is_err());
    }
}
