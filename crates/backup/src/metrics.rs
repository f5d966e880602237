//! What backups count.

use runtime::Metrics;
use runtime::metrics::{Counter, Family, Gauge, Labels};
use types::JobPhase;

/// The figures of the backups of a process; made once. Counters are of this node: their sum over all nodes is the
/// cluster's.
#[derive(Clone, Debug)]
pub struct BackupMetrics {
    jobs: Family<Labels, Counter>,
    queue: Family<Labels, Gauge>,
    pub(crate) units: Counter,
    pub(crate) entries: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) uploaded_bytes: Counter,
    pub(crate) objects: Counter,
}

impl BackupMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            jobs: metrics.counters("backup_jobs", "Backup jobs that this node owned at their end, by outcome"),
            queue: metrics.gauges("backup_queue_units", "Work units of this node's jobs that wait or are at workers"),
            units: metrics.counter("backup_units", "Work units that this node has packed and uploaded"),
            entries: metrics.counter("backup_entries", "Files, directories and links whose changes this node uploaded"),
            read_bytes: metrics
                .counter("backup_read_bytes", "Stored bytes of the blocks that this node read for backups"),
            uploaded_bytes: metrics.counter("backup_uploaded_bytes", "Bytes of the objects that this node uploaded"),
            objects: metrics.counter("backup_objects", "Objects that this node uploaded"),
        }
    }

    /// Counts a job that has ended; one that is open counts for nothing.
    pub(crate) fn count_job(&self, phase: &JobPhase) {
        let outcome = match phase {
            JobPhase::Succeeded(_) => "succeeded",
            JobPhase::Failed(_) => "failed",
            JobPhase::Cancelled => "cancelled",
            JobPhase::Packing | JobPhase::Coalescing | JobPhase::Committing(_) => return,
        };
        self.jobs.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    /// The queue of a policy's job; it is shown as empty once what is given back is dropped.
    pub(crate) fn queue(&self, policy: &str) -> QueueGauges {
        let of = |state: &str| {
            let labels = vec![("policy", policy.to_owned()), ("state", state.to_owned())];
            self.queue.get_or_create(&labels).clone()
        };
        QueueGauges { waiting: of("waiting"), at_worker: of("at_worker") }
    }
}

/// How many units of a job wait, and how many are at workers.
#[derive(Debug)]
pub struct QueueGauges {
    waiting: Gauge,
    at_worker: Gauge,
}

impl QueueGauges {
    pub(crate) fn set(&self, waiting: usize, at_worker: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.at_worker.set(i64::try_from(at_worker).unwrap_or(i64::MAX));
    }
}

impl Drop for QueueGauges {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}
