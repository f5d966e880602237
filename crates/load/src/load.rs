//! The load itself: clients that each wait for one answer before they ask again.

use std::time::Duration;

use anyhow::{Result, bail};
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
    /// Lets all writers work at once.
    ///
    /// The rate is of the operations that ended within the measured time. The times are of those that began in it, however
    /// long they took: whoever leaves out the ones that are not done at the end leaves out the slowest.
    ///
    /// # Errors
    /// An operation failed, or a writer came to its bound before the time was over, so that the rate would be too low.
    pub async fn run<W: Writer>(self, clock: &Clock, writers: Vec<W>) -> Result<Report> {
        let begin = clock.now() + self.warm_up;
        let end = begin + self.measured;
        let works = writers.into_iter().map(|mut writer| async move {
            let mut done = Done::default();
            for number in 0..self.operations_max {
                let asked = clock.now();
                if asked >= end {
                    return Ok(done);
                }
                writer.write(number).await?;
                let answered = clock.now();
                if asked >= begin {
                    done.took.push(answered - asked);
                }
                done.ended += usize::from((begin..end).contains(&answered));
            }
            match clock.now() >= end {
                true => Ok(done),
                false => bail!("a client came to its {} operations before the time was over", self.operations_max),
            }
        });
        let done: Vec<Done> = try_join_all(works).await?;
        let operations = done.iter().map(|done| done.ended).sum();
        let took = done.iter().flat_map(|done| done.took.iter().copied()).collect();
        Ok(Report::new(done.len(), operations, self.measured, took))
    }
}

/// What one writer did.
#[derive(Default)]
struct Done {
    /// Operations that ended within the measured time.
    ended: usize,
    /// How long those took that began in it.
    took: Vec<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so long for each operation; fails at the fifth.
    struct Steady(Clock, Duration);

    impl Writer for Steady {
        async fn write(&mut self, number: u64) -> Result<()> {
            self.0.sleep(self.1).await;
            anyhow::ensure!(number < 4, "one too many");
            Ok(())
        }
    }

    async fn run(measured_ms: u64, operations_max: u64) -> Result<Report> {
        let clock = Clock::real();
        let [warm_up, took, measured] = [100, 400, measured_ms].map(Duration::from_millis);
        let writers = vec![Steady(clock.clone(), took), Steady(clock.clone(), took)];
        Load { warm_up, measured, operations_max }.run(&clock, writers).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_of_what_ended_in_the_time_and_the_times_are_of_what_began_in_it() {
        let report = run(1000, 100).await.unwrap();
        assert_eq!((report.clients, report.operations), (2, 4), "at 400 and 800 ms; that at 1200 ms is too late");
        assert_eq!((report.median_us, report.max_us), (400_000, 400_000));
        let report = run(250, 100).await.unwrap();
        assert_eq!((report.operations, report.max_us), (0, 0), "it began before and ended after");
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_beyond_the_end_counts_among_the_times() {
        let report = run(350, 100).await.unwrap();
        assert_eq!((report.operations, report.max_us), (2, 400_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bound_that_is_reached_too_early_is_an_error() {
        let error = run(1100, 2).await.unwrap_err();
        assert_eq!(error.to_string(), "a client came to its 2 operations before the time was over");
        assert_eq!(run(1100, 3).await.unwrap().operations, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_that_fails_ends_the_run() {
        assert_eq!(run(60_000, 100).await.unwrap_err().to_string(), "one too many");
    }
}
