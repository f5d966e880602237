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
    times: Option<u32>,
}

impl Retry {
    /// A bounded number of times, as the options say.
    #[must_use]
    pub fn bounded(clock: &Clock, options: &Options) -> Self {
        Self { clock: clock.clone(), first: options.retry_first, times: Some(options.retries_max) }
    }

    /// For ever: for what must not be given up (rule P22).
    #[must_use]
    pub fn for_ever(clock: &Clock, options: &Options) -> Self {
        Self { clock: clock.clone(), first: options.retry_first, times: None }
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
            let may_pass = matches!(kind(&error), ErrorKind::Unavailable | ErrorKind::NotLeader | ErrorKind::NoSpace);
            if self.times.is_some_and(|times| tried >= times || !may_pass) {
                return Err(error);
            }
            tried += 1;
            warn!(step, tried, error = %error, "failed, is tried again");
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}
