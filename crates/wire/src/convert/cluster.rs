use types::{
    Incarnation, Node, NodeId, PgId, PgVersion, PlacementGroup, Pool, PoolId, Revision, Seat, SeatState, Snapshot,
    SnapshotId, SnapshotState, VolumeId,
};

use super::enumeration::Numbered;
use crate::invalid::{each, small, time, uuid};
use crate::{InvalidMessage, v1};

impl From<Node> for v1::Node {
    fn from(node: Node) -> Self {
        Self {
            id: node.id.0,
            address: node.address,
            volumes: node.volumes.iter().map(VolumeId::to_string).collect(),
            incarnation: node.incarnation.0,
            key_fingerprint: node.key_fingerprint,
        }
    }
}

impl TryFrom<v1::Node> for Node {
    type Error = InvalidMessage;

    fn try_from(node: v1::Node) -> Result<Self, InvalidMessage> {
        let volumes = node.volumes.iter().map(|text| uuid("volumes", text).map(VolumeId)).collect::<Result<_, _>>()?;
        Ok(Self {
            id: NodeId(node.id),
            address: node.address,
            volumes,
            incarnation: Incarnation(node.incarnation),
            key_fingerprint: node.key_fingerprint,
        })
    }
}

impl From<Pool> for v1::Pool {
    fn from(pool: Pool) -> Self {
        Self { id: pool.id.0, replicas: pool.replicas.into() }
    }
}

impl TryFrom<v1::Pool> for Pool {
    type Error = InvalidMessage;

    fn try_from(pool: v1::Pool) -> Result<Self, InvalidMessage> {
        Ok(Self { id: PoolId(pool.id), replicas: small("replicas", pool.replicas)? })
    }
}

impl From<Seat> for v1::Seat {
    fn from(seat: Seat) -> Self {
        Self { node: seat.node.0, volume: seat.volume.to_string(), state: seat.state.number() }
    }
}

impl TryFrom<v1::Seat> for Seat {
    type Error = InvalidMessage;

    fn try_from(seat: v1::Seat) -> Result<Self, InvalidMessage> {
        Ok(Self {
            node: NodeId(seat.node),
            volume: VolumeId(uuid("volume", &seat.volume)?),
            state: SeatState::from_number("seat.state", seat.state)?,
        })
    }
}

impl From<PlacementGroup> for v1::PlacementGroup {
    fn from(group: PlacementGroup) -> Self {
        Self {
            id: group.id.0,
            pool: group.pool.0,
            version: group.version.0,
            seats: group.seats.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::PlacementGroup> for PlacementGroup {
    type Error = InvalidMessage;

    fn try_from(group: v1::PlacementGroup) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: PgId(group.id),
            pool: PoolId(group.pool),
            version: PgVersion(group.version),
            seats: each(group.seats)?,
        })
    }
}

impl From<Snapshot> for v1::Snapshot {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            id: snapshot.id.0,
            name: snapshot.name,
            revision: snapshot.revision.0,
            created: Some(snapshot.created.into()),
            state: snapshot.state.number(),
            pins: snapshot.pins,
        }
    }
}

impl TryFrom<v1::Snapshot> for Snapshot {
    type Error = InvalidMessage;

    fn try_from(snapshot: v1::Snapshot) -> Result<Self, InvalidMessage> {
        Ok(Self {
            id: SnapshotId(snapshot.id),
            name: snapshot.name,
            revision: Revision(snapshot.revision),
            created: time("created", snapshot.created)?,
            state: SnapshotState::from_number("snapshot.state", snapshot.state)?,
            pins: snapshot.pins,
        })
    }
}
