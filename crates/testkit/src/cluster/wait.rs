//! Waiting for a condition.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::ClusterError;

/// How long to wait before looking again: short against what tests wait for, long against a look.
const INTERVAL: Duration = Duration::from_millis(25);

/// Looks again and again until `look` gives a value, and gives that; `Err` from `look` says what is the case instead.
///
/// # Errors
///
/// [`ClusterError::Deadline`] when the time is over, with what was last the case.
pub fn wait_for<T, E: Display>(
    waiting_for: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, E>,
) -> Result<T, ClusterError> {
    let start = Instant::now();
    loop {
        let last_seen = match look() {
            Ok(value) => return Ok(value),
            Err(seen) => seen.to_string(),
        };
        if start.elapsed() >= deadline {
            return Err(ClusterError::Deadline { waiting_for: waiting_for.to_owned(), waited: deadline, last_seen });
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let value = wait_for("three looks", Duration::from_secs(10), || {
            looks += 1;
            if looks < 3 { Err(format!("{looks} looks")) } else { Ok(looks) }
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn a_condition_that_does_not_come_true_is_named_with_what_was_seen() {
        let error = wait_for("rain", Duration::ZERO, || Err::<(), _>("sun")).unwrap_err();
        assert_eq!(error.to_string(), "rain did not come true within 0ns; last seen: sun");
    }
}
