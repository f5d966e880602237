//! What consensus counts.

use runtime::metrics::{Counter, Gauge, Histogram};

/// What the log counts.
#[derive(Clone, Debug)]
pub(crate) struct LogMetrics {
    pub syncs: Counter,
    pub sync_seconds: Histogram,
    pub entries: Counter,
    pub bytes: Counter,
}

/// What proposals, reads and the state store count.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub proposals: Counter,
    pub proposed_entries: Counter,
    pub proposal_wait_seconds: Histogram,
    pub entry_seconds: Histogram,
    pub forwarded: Counter,
    pub forward_messages: Counter,
    pub replication_seconds: Histogram,
    pub reads: Counter,
    pub read_rounds: Counter,
    pub leased_reads: Counter,
    pub applied_entries: Counter,
    pub applied_operations: Counter,
    pub apply_seconds: Histogram,
    pub applied_index: Gauge,
    pub state_digest: Gauge,
    pub purged_index: Gauge,
    pub purges: Counter,
    pub snapshots_built: Counter,
    pub snapshots_sent: Counter,
    pub snapshot_bytes: Counter,
    pub snapshots_installed: Counter,
}

impl LogMetrics {
    pub fn new(metrics: &runtime::Metrics) -> Self {
        Self {
            syncs: metrics.counter("raft_log_syncs", "Calls of fdatasync by the log's writer."),
            sync_seconds: metrics.durations("raft_log_sync_seconds", "Time of a sync of the log."),
            entries: metrics.counter("raft_log_entries", "Entries written to the log."),
            bytes: metrics.counter("raft_log_bytes", "Bytes written to the log."),
        }
    }
}

impl Metrics {
    pub fn new(metrics: &runtime::Metrics) -> Self {
        Self {
            proposals: metrics.counter("raft_proposals", "Requests proposed by this node as leader."),
            proposed_entries: metrics.counter("raft_proposed_entries", "Entries into which they were collected."),
            proposal_wait_seconds: metrics
                .durations("raft_proposal_wait_seconds", "Time for which the first request of an entry waited for it."),
            entry_seconds: metrics
                .durations("raft_entry_seconds", "Time from an entry's proposal until its results were there."),
            forwarded: metrics.counter("raft_forwarded_proposals", "Requests handed to the leader."),
            forward_messages: metrics.counter("raft_forward_messages", "Messages in which they were handed over."),
            replication_seconds: metrics.durations(
                "raft_replication_seconds",
                "Time from sending entries to a member until it had synced them and answered.",
            ),
            reads: metrics.counter("raft_reads", "Linearizable reads."),
            read_rounds: metrics.counter("raft_read_rounds", "Rounds that served them."),
            leased_reads: metrics.counter("raft_leased_reads", "Rounds that this node spared as leader by its lease."),
            applied_entries: metrics.counter("raft_applied_entries", "Entries applied to the state store."),
            applied_operations: metrics.counter("raft_applied_operations", "Operations in them."),
            apply_seconds: metrics.durations("raft_apply_seconds", "Time of one write to the state store."),
            applied_index: metrics.gauge("raft_applied_index", "The last entry that is applied."),
            state_digest: metrics.gauge(
                "raft_state_digest",
                "The first 48 bits of the chained hash of all writes: one number on all members with one applied index.",
            ),
            purged_index: metrics.gauge("raft_purged_index", "The last entry that is dropped from the log."),
            purges: metrics.counter("raft_log_purges", "Times that entries were dropped from the front of the log."),
            snapshots_built: metrics.counter("raft_snapshots_built", "Copies made of the state."),
            snapshots_sent: metrics.counter("raft_snapshots_sent", "State snapshots sent to members."),
            snapshot_bytes: metrics.counter("raft_snapshot_bytes_sent", "Bytes of state snapshots sent to members."),
            snapshots_installed: metrics.counter("raft_snapshots_installed", "State snapshots installed."),
        }
    }
}
