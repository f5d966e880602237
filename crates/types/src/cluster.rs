//! Nodes, placement groups and snapshots as the cluster's state knows them.

use serde::{Deserialize, Serialize};

use crate::{Incarnation, NodeId, PgId, PgVersion, PoolId, Revision, SnapshotId, Timestamp, VolumeId};

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// `host:port` at which its peers and clients reach it.
    pub address: String,
    /// The volumes on which it keeps blocks.
    pub volumes: Vec<VolumeId>,
    /// The number of its last start.
    pub incarnation: Incarnation,
    /// SHA-256 of its certificate's public key, in hex: who may speak as this node.
    pub key_fingerprint: String,
}

/// Placement groups of one replica count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its number.
    pub id: PoolId,
    /// Copies of every block; a quorum is `replicas / 2 + 1`.
    pub replicas: u16,
}

/// A set of seats that hold the same blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroup {
    /// Its number.
    pub id: PgId,
    /// Its pool.
    pub pool: PoolId,
    /// The number of this membership.
    pub version: PgVersion,
    /// The seats; the index of a seat is its bit in [`crate::SeatSet`].
    pub seats: Vec<Seat>,
}

/// One holder of a placement group's blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The node.
    pub node: NodeId,
    /// The volume of that node.
    pub volume: VolumeId,
    /// Whether it counts towards a quorum.
    pub state: SeatState,
}

/// Whether a seat counts towards a quorum (rule P13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeatState {
    /// It gets puts and does not count: what was published before it joined is still being copied to it.
    Joining,
    /// It has everything and counts.
    Full,
}

/// A name for a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its number.
    pub id: SnapshotId,
    /// Its name, unique among those that live.
    pub name: String,
    /// The last operation that it sees.
    pub revision: Revision,
    /// State time of its creation.
    pub created: Timestamp,
    /// Whether it can be read.
    pub state: SnapshotState,
    /// How many jobs and readers hold it against deletion.
    pub pins: u32,
}

/// The life of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotState {
    /// It can be read.
    Live,
    /// It is being dropped in bounded steps and cannot be read.
    Dying,
}
