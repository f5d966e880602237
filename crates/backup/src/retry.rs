//! Trying again what failed for a reason that may pass.

use std::time::Duration;

use runtime::Clock;
use tracing::warn;
use types::ErrorKind;

use crate::Options;

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// How often and after which pauses a step is tried again.
#[derive(Clone, Debug)]
pub struct Retry {
    clock: Clock,
    first: Duration,
    times: u32,
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
    /// Not at all.
    #[must_use]
    pub fn never(clock: &Clock, options: &Options) -> Self {
        Self { times: 0, ..Self::bounded(clock, options) }
    }

    /// A bounded number of times, as the options say.
    #[must_use]
    pub fn bounded(clock: &Clock, options: &Options) -> Self {
        Self { clock: clock.clone(), first: options.retry_first, times: options.retries_max, only: Only::Passing }
    }

    /// A few times and whatever the error is: for a commit that is fixed, which must not be given up (rule P22) and
    /// which another node may be able to put.
    #[must_use]
    pub fn for_commit(clock: &Clock, options: &Options) -> Self {
        let times = options.commit_tries.saturating_sub(1);
        Self { times, only: Only::Any, ..Self::bounded(clock, options) }
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
