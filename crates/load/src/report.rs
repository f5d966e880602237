//! What a run took.

use std::time::Duration;

use serde::Serialize;

/// What a run took; times in microseconds.
#[derive(Debug, Serialize)]
pub struct Report {
    pub clients: usize,
    pub operations: usize,
    pub per_second: f64,
    pub median_us: u64,
    pub p95_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
}

impl Report {
    /// Sums up how many operations ended within the measured time, and how long operations took.
    pub fn new(clients: usize, operations: usize, measured: Duration, mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |percent| percentile(&took, percent);
        Self {
            clients,
            operations,
            per_second: operations as f64 / measured.as_secs_f64(),
            median_us: at(50),
            p95_us: at(95),
            p99_us: at(99),
            max_us: at(100),
        }
    }
}

/// The smallest time that so many of a hundred did not exceed (nearest rank).
fn percentile(sorted: &[Duration], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let report = Report::new(2, 200, Duration::from_secs(2), (1..=200).rev().map(Duration::from_micros).collect());
        assert_eq!((report.median_us, report.p95_us, report.p99_us, report.max_us), (100, 190, 198, 200));
        assert!((report.per_second - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_done_is_no_time() {
        let report = Report::new(1, 0, Duration::from_secs(1), Vec::new());
        assert_eq!((report.operations, report.median_us, report.max_us), (0, 0, 0));
    }
}
