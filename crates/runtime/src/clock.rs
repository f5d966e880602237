//! Time: a steady clock for waiting and a wall clock for showing.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use tokio::time::{Instant, Interval, MissedTickBehavior};

const NANOSECONDS: i128 = 1_000_000_000;

/// A moment on the wall clock, as seconds and nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// The rest, below 10⁹.
    pub nanoseconds: u32,
}

/// Where time comes from. Waiting follows tokio's clock, which tests and simulations pause; clones share one source.
#[derive(Clone, Debug)]
pub struct Clock {
    wall: Wall,
}

#[derive(Clone, Debug)]
enum Wall {
    System,
    Simulated { begin: Instant, start: WallTime, jumped_ns: Arc<AtomicI64>, suspended_ns: Arc<AtomicU64> },
}

/// The time given to something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("timed out after {limit:?}")]
pub struct TimedOut {
    /// How long it was given.
    pub limit: Duration,
}

impl WallTime {
    /// Nanoseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn as_nanoseconds(self) -> i128 {
        i128::from(self.seconds) * NANOSECONDS + i128::from(self.nanoseconds)
    }

    /// The inverse of [`WallTime::as_nanoseconds`]; saturates at the ends of the range.
    #[must_use]
    pub fn from_nanoseconds(total: i128) -> Self {
        let seconds = total.div_euclid(NANOSECONDS);
        let rest = total.rem_euclid(NANOSECONDS);
        let seconds = i64::try_from(seconds).unwrap_or(if seconds < 0 { i64::MIN } else { i64::MAX });
        Self { seconds, nanoseconds: u32::try_from(rest).unwrap_or(0) }
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn real() -> Self {
        Self { wall: Wall::System }
    }

    /// A wall clock that begins at `start` and follows tokio's time, paused or not.
    #[must_use]
    pub fn simulated(start: WallTime) -> Self {
        let clock = Self::real();
        let (jumped_ns, suspended_ns) = (Arc::default(), Arc::default());
        Self { wall: Wall::Simulated { begin: clock.now(), start, jumped_ns, suspended_ns } }
    }

    /// Sets a simulated wall clock forward or back, as an operator or a broken time server would; a real one stays.
    pub fn jump(&self, nanoseconds: i64) {
        if let Wall::Simulated { jumped_ns, .. } = &self.wall {
            jumped_ns.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }

    /// Lets time pass during which the machine of a simulated clock is suspended: its steady clock stands still.
    pub fn suspend(&self, duration: Duration) {
        if let Wall::Simulated { suspended_ns, .. } = &self.wall {
            suspended_ns.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// How long the machine was suspended so far, as far as it can tell: time that the steady clock leaves out.
    ///
    /// It may be too little by what passes between two instructions.
    #[must_use]
    pub fn suspended(&self) -> Duration {
        match &self.wall {
            Wall::System => {
                let since_boot = clock_gettime(ClockId::Boottime);
                let steady = clock_gettime(ClockId::Monotonic);
                Duration::try_from(since_boot - steady).unwrap_or_default()
            }
            Wall::Simulated { suspended_ns, .. } => Duration::from_nanos(suspended_ns.load(Ordering::Relaxed)),
        }
    }

    /// The steady time now: never goes back, means nothing on another machine.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of day, which may be wrong and may jump: for people, never for order (law 6).
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
    pub fn wall(&self) -> WallTime {
        match &self.wall {
            Wall::System => WallTime::from_nanoseconds(since_epoch(SystemTime::now())),
            Wall::Simulated { begin, start, jumped_ns, suspended_ns } => {
                let passed = i128::try_from((self.now() - *begin).as_nanos()).unwrap_or(i128::MAX);
                let jumped =
                    i128::from(jumped_ns.load(Ordering::Relaxed)) + i128::from(suspended_ns.load(Ordering::Relaxed));
                WallTime::from_nanoseconds(start.as_nanoseconds().saturating_add(passed).saturating_add(jumped))
            }
        }
    }

    /// Waits that long.
    #[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits until that steady time.
    pub async fn sleep_until(&self, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
    }

    /// Gives the future that long, then drops it.
    ///
    /// # Errors
    /// The time was over before the future was ready.
    pub async fn timeout<F: Future>(&self, limit: Duration, future: F) -> Result<F::Output, TimedOut> {
        tokio::time::timeout(limit, future).await.map_err(|_| TimedOut { limit })
    }

    /// Ticks at that period, the first time at once. Ticks that were missed are not made up for. Zero counts as 1 ns.
    #[must_use]
    pub fn interval(&self, period: Duration) -> Interval {
        let mut interval = tokio::time::interval(period.max(Duration::from_nanos(1)));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    }
}

fn since_epoch(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |nanoseconds| -nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: WallTime = WallTime { seconds: 1_000, nanoseconds: 5 };

    #[tokio::test(start_paused = true)]
    async fn a_simulated_wall_clock_follows_paused_time() {
        let clock = Clock::simulated(START);
        assert_eq!(clock.wall(), START);
        clock.sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.wall(), WallTime { seconds: 4_600, nanoseconds: 5 });
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_moves_the_wall_clock_and_not_the_steady_one() {
        let clock = Clock::simulated(START);
        let before = clock.now();
        clock.clone().jump(-6);
        assert_eq!(clock.wall(), WallTime { seconds: 999, nanoseconds: 999_999_999 });
        assert_eq!(clock.now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspension_moves_the_wall_clock_and_is_told_of() {
        let clock = Clock::simulated(START);
        let (before, hour) = (clock.now(), Duration::from_secs(3600));
        assert_eq!(clock.suspended(), Duration::ZERO);
        clock.clone().suspend(hour);
        assert_eq!((clock.suspended(), clock.now()), (hour, before));
        assert_eq!(clock.wall(), WallTime { seconds: 4_600, nanoseconds: 5 });
    }

    #[test]
    fn a_machine_that_is_not_suspended_tells_of_no_suspension() {
        let clock = Clock::real();
        let most = || (0..1000).map(|_| clock.suspended()).max().expect("some");
        let (before, after) = (most(), most());
        assert!(before.abs_diff(after) < Duration::from_millis(50), "{before:?} and {after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_timeout_drops_what_takes_too_long() {
        let limit = Duration::from_millis(5);
        let ended = Clock::real().timeout(limit, std::future::pending::<()>()).await;
        assert_eq!(ended, Err(TimedOut { limit }));
    }

    #[test]
    fn the_real_wall_clock_is_past_2020() {
        assert!(Clock::real().wall().seconds > 1_577_836_800);
    }

    #[test]
    fn nanoseconds_go_there_and_back_on_both_sides_of_1970() {
        for total in [0, 1, -1, 999_999_999, -1_000_000_001, 5_000_000_000] {
            assert_eq!(WallTime::from_nanoseconds(total).as_nanoseconds(), total);
        }
    }
}
