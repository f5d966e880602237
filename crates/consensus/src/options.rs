//! What steers a member of the Raft group.

use std::path::PathBuf;
use std::time::Duration;

use types::NodeId;

/// What steers a member of the Raft group. Every field but the first four has a default that is argued here.
#[derive(Clone, Debug)]
pub struct Options {
    /// The number of this node, allocated from the log; [`NodeId`] 1 founds the cluster.
    pub node: NodeId,
    /// `host:port` at which the other members reach this node, as it is written into the membership.
    pub address: String,
    /// Where log, vote and state store lie; [`create`](crate::create) makes it.
    pub folder: PathBuf,
    /// A file outside `folder`, beside the node's identity, that says that this node has a log. Without it a node that
    /// lost its folder would vote a second time in a term in which it has voted already (rule P6).
    pub marker: PathBuf,
    /// Elections, heartbeats and deadlines.
    pub timing: Timing,
    /// How proposals are collected.
    pub batching: Batching,
    /// How much log is kept.
    pub retention: Retention,
    /// The length at which a segment of the log is closed.
    pub segment_bytes: u64,
}

/// Elections, heartbeats and deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between two heartbeats of a leader: four fit into the shortest election timeout.
    pub heartbeat: Duration,
    /// The shortest wait for a heartbeat before an election; long enough that a slow `fdatasync` starts none.
    pub election_min: Duration,
    /// The longest wait for a heartbeat before an election.
    pub election_max: Duration,
    /// How long a proposal or a read looks for a leader, and waits for its answer, before it gives up.
    pub request_deadline: Duration,
    /// How long one message to another member may take.
    pub message_deadline: Duration,
    /// How long one chunk of a state snapshot, or its installation, may take.
    pub snapshot_deadline: Duration,
}

/// How proposals are collected into log entries.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// Proposals that may wait; the next caller waits for a place.
    pub queue_requests: usize,
    /// Bytes of proposals that may wait or be in flight; the next caller waits for room.
    pub queue_bytes: u64,
    /// Requests in one log entry: bounds the time for which one entry occupies the state machine.
    pub entry_requests: usize,
    /// Bytes of one log entry. It also bounds one call of `propose`.
    pub entry_bytes: usize,
    /// Entries that are proposed and not yet applied. While all are in flight, new requests collect for the next.
    pub entries_in_flight: usize,
}

/// How much log is kept behind the state store.
///
/// A member that fell behind further than this is sent the whole state. The distance is also the guard against the
/// race of purge and apply in the Raft core: see `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Applied entries that are kept.
    pub keep_entries: u64,
    /// Entries beyond those that have to come together before they are purged.
    pub purge_entries: u64,
    /// Bytes of log from which on entries are purged whatever their number.
    pub log_bytes: u64,
    /// Applied entries that are kept even if the log has too many bytes.
    pub keep_entries_min: u64,
    /// Between two looks at the log.
    pub period: Duration,
}

impl Options {
    /// The options with which a node should run.
    #[must_use]
    pub fn new(node: NodeId, address: String, folder: PathBuf, marker: PathBuf) -> Self {
        Self {
            node,
            address,
            folder,
            marker,
            timing: Timing::default(),
            batching: Batching::default(),
            retention: Retention::default(),
            segment_bytes: 64 << 20,
        }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(250),
            election_min: Duration::from_secs(1),
            election_max: Duration::from_secs(2),
            request_deadline: Duration::from_secs(15),
            message_deadline: Duration::from_secs(3),
            snapshot_deadline: Duration::from_secs(300),
        }
    }
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            queue_requests: 16 << 10,
            queue_bytes: 64 << 20,
            entry_requests: 2048,
            entry_bytes: 8 << 20,
            entries_in_flight: 4,
        }
    }
}

impl Retention {
    /// Keeps so many applied entries, and purges when a fifth of them has come together beyond.
    #[must_use]
    pub fn of_entries(keep_entries: u64) -> Self {
        Self {
            keep_entries,
            purge_entries: (keep_entries / 5).max(1),
            log_bytes: 2 << 30,
            keep_entries_min: keep_entries.min(2_000),
            period: Duration::from_secs(10),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::of_entries(50_000)
    }
}
