//! What volumes count.

use runtime::Metrics;
use runtime::metrics::{Counter, Family, Gauge, Labels};
use types::VolumeId;

/// The counters of all volumes of a process; made once.
#[derive(Clone, Debug)]
pub struct BlockStoreMetrics {
    puts: Family<Labels, Counter>,
    put_bytes: Family<Labels, Counter>,
    removals: Family<Labels, Counter>,
    syncs: Family<Labels, Counter>,
    quarantined: Family<Labels, Counter>,
    dead_bytes: Family<Labels, Gauge>,
    copied_bytes: Family<Labels, Counter>,
    segments_removed: Family<Labels, Counter>,
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
            dead_bytes: metrics
                .gauges("volume_dead_bytes", "Bytes of records that are not needed, in segments that are"),
            copied_bytes: metrics
                .counters("volume_copied_bytes", "Bytes of records copied out of segments that are hardly needed"),
            segments_removed: metrics
                .counters("volume_segments_removed", "Segments removed after nothing in them was needed"),
        }
    }

    pub(crate) fn of(&self, volume: VolumeId) -> VolumeMetrics {
        let labels = vec![("volume", volume.to_string())];
        let one = |family: &Family<Labels, Counter>| family.get_or_create(&labels).clone();
        let dead_bytes = self.dead_bytes.get_or_create(&labels).clone();
        VolumeMetrics {
            puts: one(&self.puts),
            put_bytes: one(&self.put_bytes),
            removals: one(&self.removals),
            syncs: one(&self.syncs),
            quarantined: one(&self.quarantined),
            dead_bytes,
            copied_bytes: one(&self.copied_bytes),
            segments_removed: one(&self.segments_removed),
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
    pub(crate) dead_bytes: Gauge,
    pub(crate) copied_bytes: Counter,
    pub(crate) segments_removed: Counter,
}
