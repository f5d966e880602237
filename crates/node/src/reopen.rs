//! Volumes that took no more writes are tried again: one task a volume.
//!
//! After a failed write or sync a volume takes no more writes. Errors that pass, such as those of a cable, a controller or
//! a path to a disk, should not cost a node its disk until somebody restarts it. So the volume is reopened in place: what
//! was not synced for sure is checked, written again and synced, as after a crash.
//!
//! **Bounds.** Each try waits twice as long as the one before. A volume that fails again and again is left alone after some
//! tries: only a person can say whether its disk is to be used. An hour without a failure clears the count.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::VolumeId;

use crate::member::Member;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// From the first failure to the first try.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The last one comes after 43 minutes.
const TRIES_MAX: u32 = 10;
/// After so long without a failure it was another trouble.
const CLEARED_AFTER: Duration = Duration::from_secs(3600);

/// Runs until the member stops.
pub async fn run(member: Arc<Member>, volume: VolumeId) {
    let shutdown = member.front.shutdown();
    let clock = &member.platform.clock;
    let mut tries = Tries::default();
    while !shutdown.is_cancelled() {
        if member.volumes.is_broken(volume) && tries.is_due(clock.now()) {
            match shutdown.unless_cancelled(member.volumes.reopen(volume)).await {
                Some(Ok(())) => tracing::info!(%volume, "the volume was reopened"),
                Some(Err(error)) => tracing::warn!(%volume, %error, tries = tries.made, "the volume is not reopened"),
                None => return,
            }
        }
        shutdown.unless_cancelled(clock.sleep(PERIOD)).await;
    }
}

/// The tries to reopen a volume.
#[derive(Debug, Default)]
struct Tries {
    made: u32,
    /// When the volume was seen broken first since the last try.
    seen: Option<Instant>,
    last: Option<Instant>,
}

impl Tries {
    /// Told that the volume is broken, says whether it is to be tried now.
    fn is_due(&mut self, now: Instant) -> bool {
        if self.seen.is_none() && self.last.is_some_and(|last| now.duration_since(last) >= CLEARED_AFTER) {
            self.made = 0;
        }
        let seen = *self.seen.get_or_insert(now);
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(self.made));
        if self.made >= TRIES_MAX || now.duration_since(seen) < pause {
            return false;
        }
        *self = Self { made: self.made + 1, seen: None, last: Some(now) };
        true
    }
}

#[cfg(test)]
mod tests {
    use runtime::Clock;

    use super::*;

    /// The seconds at which a volume is tried that is broken all the time.
    fn tried(tries: &mut Tries, begin: Instant, seconds: std::ops::Range<u64>) -> Vec<u64> {
        seconds.filter(|second| tries.is_due(begin + Duration::from_secs(*second))).collect()
    }

    #[test]
    fn each_try_waits_longer_and_there_is_a_last_one() {
        let (mut tries, begin) = (Tries::default(), Clock::real().now());
        let seconds = tried(&mut tries, begin, 0..100_000);
        assert_eq!(seconds[..4], [5, 16, 37, 78]);
        assert_eq!(seconds.len(), TRIES_MAX as usize);
    }

    #[test]
    fn an_hour_without_a_failure_clears_the_count() {
        let (mut tries, begin) = (Tries::default(), Clock::real().now());
        assert_eq!(tried(&mut tries, begin, 0..17), [5, 16]);
        assert_eq!(tried(&mut tries, begin, 4000..4006), [4005]);
    }
}
