//! Numbers about the process, in Prometheus' text format (OpenMetrics 1.0).
//!
//! A component takes its metrics from here once, when it starts, and keeps them: counting is then one atomic addition.
//! Names end in their unit (`_bytes`, `_seconds`); the exporter adds `_total` to counters itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

pub use prometheus_client::encoding::EncodeLabelSet;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Labels as name and value, for families whose labels are known when the component starts.
pub type Labels = Vec<(&'static str, String)>;

/// All metrics of the process; clones are the same.
#[derive(Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Makes an empty set. All names get the prefix `holdfast_`.
    #[must_use]
    pub fn new() -> Self {
        Self { registry: Arc::new(Mutex::new(Registry::with_prefix("holdfast"))) }
    }

    /// A number that only grows.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.add(name, help, Counter::default())
    }

    /// A number that grows and shrinks.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    /// How long something takes, in seconds from 0.1 ms to about 100 s.
    #[must_use]
    pub fn durations(&self, name: &str, help: &str) -> Histogram {
        self.add(name, help, Histogram::new(exponential_buckets(0.0001, 2.0, 21)))
    }

    /// Counters told apart by labels.
    #[must_use]
    pub fn counters(&self, name: &str, help: &str) -> Family<Labels, Counter> {
        self.add(name, help, Family::default())
    }

    /// Gauges told apart by labels.
    #[must_use]
    pub fn gauges(&self, name: &str, help: &str) -> Family<Labels, Gauge> {
        self.add(name, help, Family::default())
    }

    /// Adds a metric of any kind and gives it back.
    pub fn add<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        // The exporter ends the help text with a full stop itself.
        self.registry().register(name, help.trim_end_matches('.'), metric.clone());
        metric
    }

    /// All metrics as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry()).expect("writing to a string does not fail");
        text
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_names_help_labels_and_values() {
        let metrics = Metrics::new();
        metrics.counter("puts", "Blocks put.").inc_by(3);
        metrics.gauges("free_bytes", "Free space").get_or_create(&vec![("volume", "a".to_owned())]).set(7);
        let text = metrics.clone().text();
        assert!(text.contains("# HELP holdfast_puts Blocks put.\n"), "{text}");
        assert!(text.contains("holdfast_puts_total 3\n"), "{text}");
        assert!(text.contains("holdfast_free_bytes{volume=\"a\"} 7\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn durations_fall_into_buckets() {
        let metrics = Metrics::new();
        metrics.durations("sync_seconds", "Time of a sync").observe(0.00015);
        let text = metrics.text();
        assert!(text.contains("holdfast_sync_seconds_bucket{le=\"0.0002\"} 1\n"), "{text}");
    }
}
