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
    reopened: Family<Labels, Counter>,
    quarantined_blocks: Family<Labels, Gauge>,
    scrubbed_blocks: Family<Labels, Counter>,
    scrubbed_bytes: Family<Labels, Counter>,
    scrub_completed: Family<Labels, Gauge>,
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
            reopened: metrics.counters("volume_reopened", "Times that a volume took writes again after one had failed"),
            quarantined_blocks: metrics
                .gauges("volume_quarantined_blocks", "Blocks whose bytes are bad and that no good copy has replaced"),
            scrubbed_blocks: metrics.counters("volume_scrubbed_blocks", "Blocks read through and found good"),
            scrubbed_bytes: metrics.counters("volume_scrubbed_bytes", "Stored bytes of the blocks read through"),
            scrub_completed: metrics.gauges(
                "volume_scrub_completed_timestamp_seconds",
                "When all blocks had been read through last, in Unix time",
            ),
        }
    }

    pub(crate) fn of(&self, volume: VolumeId) -> VolumeMetrics {
        let labels = vec![("volume", volume.to_string())];
        let one = |family: &Family<Labels, Counter>| family.get_or_create(&labels).clone();
        let gauge = |family: &Family<Labels, Gauge>| family.get_or_create(&labels).clone();
        VolumeMetrics {
            puts: one(&self.puts),
            put_bytes: one(&self.put_bytes),
            removals: one(&self.removals),
            syncs: one(&self.syncs),
            quarantined: one(&self.quarantined),
            dead_bytes: gauge(&self.dead_bytes),
            copied_bytes: one(&self.copied_bytes),
            segments_removed: one(&self.segments_removed),
            reopened: one(&self.reopened),
            quarantined_blocks: gauge(&self.quarantined_blocks),
            scrubbed_blocks: one(&self.scrubbed_blocks),
            scrubbed_bytes: one(&self.scrubbed_bytes),
            scrub_completed: gauge(&self.scrub_completed),
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
    pub(crate) reopened: Counter,
    pub(crate) quarantined_blocks: Gauge,
    pub(crate) scrubbed_blocks: Counter,
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) scrub_completed: Gauge,
}
