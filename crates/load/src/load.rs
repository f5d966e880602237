//! The load itself: clients that each wait for one answer before they ask again.

use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use runtime::Clock;

use crate::report::Report;

/// Something that does one durable operation after the other.
pub trait Writer {
    /// Does the operation of this number; it is durable when this returns.
    async fn write(&mut self, number: u64) -> Result<()>;
}

/// How long, and how much at most.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What is done before this has passed is not measured: connections, caches and a leader settle.
    pub warm_up: Duration,
    /// How long is measured.
    pub measured: Duration,
    /// The bound of each writer.
    pub operations_max: u64,
}

impl Load {
    /// Lets all writers work at once. An operation counts if it began and ended within the measured time.
    pub async fn run<W: Writer>(self, clock: &Clock, writers: Vec<W>) -> Result<Report> {
        let begin = clock.now() + self.warm_up;
        let end = begin + self.measured;
        let works = writers.into_iter().map(|mut writer| async move {
            let mut took = Vec::new();
            for number in 0..self.operations_max {
                let asked = clock.now();
                if asked >= end {
                    break;
                }
                writer.write(number).await?;
                let answered = clock.now();
                if asked >= begin && answered <= end {
                    took.push(answered - asked);
                }
            }
            Ok::<_, anyhow::Error>(took)
        });
        let took = try_join_all(works).await?;
        Ok(Report::new(took.len(), self.measured, took.into_iter().flatten().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter<'a>(&'a std::cell::Cell<u64>);

    impl Writer for Counter<'_> {
        async fn write(&mut self, number: u64) -> Result<()> {
            anyhow::ensure!(number < 3, "one too many");
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }

    #[tokio::test]
    async fn every_writer_stops_at_its_bound() {
        let count = std::cell::Cell::new(0);
        let load = Load { warm_up: Duration::ZERO, measured: Duration::from_secs(60), operations_max: 3 };
        let report = load.run(&Clock::real(), vec![Counter(&count), Counter(&count)]).await.unwrap();
        assert_eq!((count.get(), report.clients, report.operations), (6, 2, 6));
    }

    #[tokio::test]
    async fn an_operation_that_fails_ends_the_run() {
        let count = std::cell::Cell::new(0);
        let load = Load { warm_up: Duration::ZERO, measured: Duration::from_secs(60), operations_max: 4 };
        let error = load.run(&Clock::real(), vec![Counter(&count)]).await.unwrap_err();
        assert_eq!(error.to_string(), "one too many");
    }
}
