//! The lease of a session: how long the cluster waits for a sign of it (rule P3).
//!
//! Every change renews it. A session that makes none for a third of the lease sends the block mark as it stands, which
//! costs the cluster one small operation and lets it clear blocks away as well. Time is what has passed by the steady clock
//! or by the wall clock, whichever is more: the steady one stands still while the machine sleeps, and the cluster's does
//! not. A sign too many does no harm, whatever the wall clock does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Clock, WallTime};
use tokio::time::Instant;

/// Parts of the lease: after one of them without a sign there is one, so that two may be lost.
const PARTS: u32 = 3;
/// Looks at the clock in such a part: a machine that wakes up sends a sign after one of them.
const LOOKS: u32 = 10;

/// A lease and the last sign that was given for it.
pub struct Lease {
    clock: Clock,
    length: Duration,
    last: Mutex<Sign>,
}

/// When a request was sent.
#[derive(Clone, Copy)]
pub struct Sign {
    steady: Instant,
    wall: WallTime,
}

impl Lease {
    /// A lease that begins now.
    pub fn new(clock: Clock, length: Duration) -> Self {
        let last = Mutex::new(Sign { steady: clock.now(), wall: clock.wall() });
        Self { clock, length, last }
    }

    /// The moment before a request is sent: what it renews runs from then on at the earliest.
    pub fn now(&self) -> Sign {
        Sign { steady: self.clock.now(), wall: self.clock.wall() }
    }

    /// Notes that a request was carried out.
    pub fn renew(&self, sent: Sign) {
        *self.last() = sent;
    }

    /// Whether a sign has to be given.
    pub fn is_due(&self) -> bool {
        let Sign { steady, wall } = *self.last();
        let passed_ns = self.clock.wall().as_nanoseconds().saturating_sub(wall.as_nanoseconds()).unsigned_abs();
        let by_wall = Duration::from_nanos(u64::try_from(passed_ns).unwrap_or(u64::MAX));
        by_wall.max(self.clock.now().duration_since(steady)) >= self.length / PARTS
    }

    /// Waits until it is time to look at the clock again; for ever if the session has no lease.
    pub async fn pause(&self) {
        if self.length.is_zero() {
            return std::future::pending().await;
        }
        self.clock.sleep(self.length / PARTS / LOOKS).await;
    }

    fn last(&self) -> MutexGuard<'_, Sign> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_sign_is_due_after_a_third_of_the_lease_without_one() {
        let clock = Clock::simulated(WallTime { seconds: 1_000_000, nanoseconds: 0 });
        let lease = Lease::new(clock.clone(), HOUR);
        clock.sleep(19 * MINUTE).await;
        assert!(!lease.is_due());
        clock.sleep(MINUTE).await;
        assert!(lease.is_due());
        lease.renew(lease.now());
        clock.sleep(19 * MINUTE).await;
        assert!(!lease.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_wakes_up_gives_a_sign_at_once() {
        let clock = Clock::simulated(WallTime { seconds: 1_000_000, nanoseconds: 0 });
        let lease = Lease::new(clock.clone(), HOUR);
        // The wall clock alone goes on in its sleep.
        clock.jump(i64::try_from((30 * MINUTE).as_nanos()).unwrap());
        assert!(lease.is_due());
        lease.renew(lease.now());
        assert!(!lease.is_due());
        // Somebody sets it back: the steady clock still tells.
        clock.jump(-60_000_000_000);
        assert!(!lease.is_due());
        clock.sleep(20 * MINUTE).await;
        assert!(lease.is_due());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_renews_the_lease_from_when_its_request_was_sent() {
        let clock = Clock::simulated(WallTime { seconds: 1_000_000, nanoseconds: 0 });
        let lease = Lease::new(clock.clone(), HOUR);
        let sent = lease.now();
        clock.sleep(20 * MINUTE).await;
        lease.renew(sent);
        assert!(lease.is_due());
    }
}
