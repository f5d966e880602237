//! Trying again what failed for a reason that may pass.

use std::time::Duration;

use runtime::Clock;
use tracing::warn;
use types::ErrorKind;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// How often and after which pauses a step is tried again.
#[derive(Clone, Debug)]
pub struct Retry {
    clock: Clock,
    times: u32,
    first: Duration,
    only: Only,
}

/// Which errors are worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    /// Those that pass by themselves.
    Passing,
    /// All: somebody may put right what is wrong.
    Any,
}

impl Retry {
    /// Tries again what may pass by itself, so many times at most; the pause doubles from the first one.
    #[must_use]
    pub fn new(clock: &Clock, times: u32, first: Duration) -> Self {
        Self { clock: clock.clone(), times, first, only: Only::Passing }
    }

    /// The same, whatever the error is.
    #[must_use]
    pub fn after_any_error(self) -> Self {
        Self { only: Only::Any, ..self }
    }

    /// The clock by which it waits.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Runs the step until it succeeds, or fails for good.
    ///
    /// # Errors
    /// The step's last error.
    pub async fn run<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        step: &str,
        kind: impl Fn(&E) -> ErrorKind,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E> {
        let (mut tried, mut pause) = (0, self.first);
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let passes = matches!(kind(&error), ErrorKind::Unavailable | ErrorKind::NotLeader | ErrorKind::NoSpace);
            if tried >= self.times || (self.only == Only::Passing && !passes) {
                return Err(error);
            }
            tried += 1;
            warn!(step, tried, error = %error, "failed, is tried again");
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
