//! What volumes count.

use runtime::Metrics;
use runtime::metrics::{Counter, Family, Labels};
use types::VolumeId;

/// The counters of all volumes of a process; made once.
#[derive(Clone, Debug)]
pub struct BlockStoreMetrics {
    puts: Family<Labels, Counter>,
    put_bytes: Family<Labels, Counter>,
    removals: Family<Labels, Counter>,
    syncs: Family<Labels, Counter>,
    quarantined: Family<Labels, Counter>,
}

impl BlockStoreMetrics {
    /// Registers the counters.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            puts: metrics.counters("volume_puts", "Blocks written"),
            put_bytes: metrics.counters("volume_put_bytes", "Stored bytes of the blocks written"),
            removals: metrics.counters("volume_removals", "Blocks removed"),
            syncs: metrics.counters("volume_syncs", "Times a segment was synced"),
            quarantined: metrics.counters("volume_quarantined", "Blocks whose bytes were found to be bad"),
        }
    }

    pub(crate) fn of(&self, volume: VolumeId) -> VolumeMetrics {
        let labels = vec![("volume", volume.to_string())];
        let one = |family: &Family<Labels, Counter>| family.get_or_create(&labels).clone();
        VolumeMetrics {
            puts: one(&self.puts),
            put_bytes: one(&self.put_bytes),
            removals: one(&self.removals),
            syncs: one(&self.syncs),
            quarantined: one(&self.quarantined),
        }
    }
}

/// The counters of one volume.
#[derive(Clone, Debug)]
pub(crate) struct VolumeMetrics {
    pub(crate) puts: Counter,
    pub(crate) put_bytes: Counter,
    pub(crate) removals: Counter,
    pub(crate) syncs: Counter,
    pub(crate) quarantined: Counter,
}
