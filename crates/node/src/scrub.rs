//! Every block of this node's volumes is read once in so many days, before somebody needs it: one task a volume.
//!
//! Blocks are read as a whole, opened, and their digests taken; decoding costs little beside the disk, and finds what a
//! checksum of bytes that were wrong from the start does not. The block store takes bad ones into quarantine: they are no
//! longer held, and the status of the cluster shows how many there are.
//!
//! **Pace.** A pass goes through the blocks in order of their ids and takes a little less than half of the configured
//! days: a block that is read early in one pass may be read late in the next one. At each moment, the share of the bytes
//! that was read should be that of the time that has passed. A node that was down catches up, no faster than the
//! configuration allows.
//!
//! **Crash.** The position is kept about every minute; what was read behind it is read again.
//!
//! **Time.** The wall clock sets the pace and nothing else. One that was set back by days begins the pass anew.

use std::sync::Arc;
use std::time::Duration;

use blockstore::{ScrubProgress, Scrubbed};
use runtime::Clock;
use types::VolumeId;

use crate::NodeError;
use crate::compact::pause;
use crate::member::Member;
use crate::volumes::{Volumes, mebibytes};

/// Blocks that are read before the pace is looked at.
const STEP_BLOCKS: usize = 16;
/// After a failure.
const RETRY: Duration = Duration::from_secs(60);
/// Without a look at how many blocks there are by now, and whether the clock was set.
const WAIT_MAX: Duration = Duration::from_secs(3600);
/// Between two times that the position is kept.
const KEEP_PERIOD_SECONDS: i64 = 60;
const DAY_SECONDS: i64 = 86_400;

/// What a scrub keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Every block is read once within it.
    pub period_seconds: i64,
    pub bytes_per_second: u64,
}

/// The pass of a volume.
#[derive(Debug)]
pub struct Pass {
    progress: ScrubProgress,
    kept_seconds: i64,
}

/// Runs until the member stops.
pub async fn run(member: Arc<Member>, volume: VolumeId) {
    let shutdown = member.front.shutdown();
    let blocks = &member.config.blocks;
    let pace = Pace {
        period_seconds: i64::from(blocks.scrub_days) * DAY_SECONDS,
        bytes_per_second: mebibytes(blocks.scrub_mib_per_second),
    };
    let (clock, mut pass) = (&member.platform.clock, None);
    while !shutdown.is_cancelled() {
        let wait =
            match shutdown.unless_cancelled(Box::pin(step(&member.volumes, volume, &mut pass, pace, clock))).await {
                Some(Ok(wait)) => wait.min(WAIT_MAX),
                Some(Err(error)) => {
                    tracing::info!(%volume, %error, "cannot read blocks through now");
                    RETRY
                }
                None => return,
            };
        shutdown.unless_cancelled(clock.sleep(wait)).await;
    }
}

/// Reads some blocks if they are due, and says how long to wait.
///
/// # Errors
/// The volume did not open, or its disk failed.
pub async fn step(
    volumes: &Volumes,
    volume: VolumeId,
    pass: &mut Option<Pass>,
    pace: Pace,
    clock: &Clock,
) -> Result<Duration, NodeError> {
    let now = clock.wall().seconds;
    let pass = match pass {
        Some(pass) => pass,
        None => pass.insert(Pass::resume(volumes.scrub_progress(volume).await?, now)),
    };
    pass.begin_anew_if_set_back(now, pace);
    let held = volumes.usage(volume).await?.live_bytes;
    let wait = wait(&pass.progress, held, now, pace);
    if !wait.is_zero() {
        return Ok(wait);
    }
    let scrubbed = volumes.scrub(volume, pass.progress.after, STEP_BLOCKS).await?;
    let is_through = pass.take_up(&scrubbed, now, pace);
    if is_through || now - pass.kept_seconds >= KEEP_PERIOD_SECONDS {
        volumes.keep_scrub_progress(volume, pass.progress).await?;
        pass.kept_seconds = now;
    }
    Ok(pause(scrubbed.bytes, pace.bytes_per_second))
}

impl Pass {
    fn resume(kept: Option<ScrubProgress>, now: i64) -> Self {
        let anew = ScrubProgress { began_seconds: now, ..ScrubProgress::default() };
        Self { progress: kept.unwrap_or(anew), kept_seconds: now }
    }

    fn begin_anew_if_set_back(&mut self, now: i64, pace: Pace) {
        if self.progress.began_seconds > now.saturating_add(pace.period_seconds) {
            self.progress = ScrubProgress { began_seconds: now, ..self.progress };
        }
    }

    /// Takes up what a step has read; whether it was the last one. Then the next pass begins when this one should have
    /// ended: a volume of few blocks is not read all the time.
    fn take_up(&mut self, scrubbed: &Scrubbed, now: i64, pace: Pace) -> bool {
        self.progress.bytes += scrubbed.bytes;
        self.progress.after = scrubbed.next;
        if scrubbed.next.is_some() {
            return false;
        }
        let due = self.progress.began_seconds.saturating_add(pace.pass_seconds());
        self.progress =
            ScrubProgress { after: None, bytes: 0, began_seconds: due.max(now), completed_seconds: Some(now) };
        true
    }
}

impl Pace {
    /// What a pass takes: two of them, the second of which is a little behind, end in time.
    const fn pass_seconds(self) -> i64 {
        self.period_seconds / 20 * 9
    }
}

/// How long until the next bytes of a pass are due.
fn wait(progress: &ScrubProgress, held_bytes: u64, now: i64, pace: Pace) -> Duration {
    let share = u128::from(progress.bytes) * u128::from(pace.pass_seconds().unsigned_abs());
    let since_begin = i64::try_from(share / u128::from(held_bytes.max(1))).unwrap_or(i64::MAX);
    let due = progress.began_seconds.saturating_add(since_begin.min(pace.pass_seconds()));
    Duration::from_secs(u64::try_from(due.saturating_sub(now)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use types::{BlockId, SessionId};

    use super::*;

    const PACE: Pace = Pace { period_seconds: 1000, bytes_per_second: 1 << 20 };

    fn scrubbed(bytes: u64, next: Option<u64>) -> Scrubbed {
        let next = next.map(|sequence| BlockId { session: SessionId(1), sequence });
        Scrubbed { blocks: 1, bytes, bad: Vec::new(), next }
    }

    fn begun(bytes: u64) -> ScrubProgress {
        ScrubProgress { bytes, began_seconds: 5000, ..ScrubProgress::default() }
    }

    #[test]
    fn the_share_that_was_read_is_that_of_the_time() {
        assert_eq!(wait(&begun(0), 1000, 5000, PACE), Duration::ZERO);
        assert_eq!(wait(&begun(100), 1000, 5000, PACE), Duration::from_secs(45));
        assert_eq!(wait(&begun(100), 1000, 5045, PACE), Duration::ZERO);
        assert_eq!(wait(&begun(100), 1000, 9999, PACE), Duration::ZERO, "it was down for a while");
        assert_eq!(wait(&begun(7), 0, 5000, PACE), Duration::from_secs(450), "all was removed meanwhile");
    }

    #[test]
    fn a_pass_that_is_through_early_lets_the_next_one_wait() {
        let mut pass = Pass::resume(None, 5000);
        assert!(!pass.take_up(&scrubbed(10, Some(3)), 5001, PACE));
        assert_eq!((pass.progress.bytes, pass.progress.after.map(|id| id.sequence)), (10, Some(3)));
        assert!(pass.take_up(&scrubbed(10, None), 5002, PACE));
        let next = ScrubProgress { after: None, bytes: 0, began_seconds: 5450, completed_seconds: Some(5002) };
        assert_eq!(pass.progress, next);
        assert_eq!(wait(&pass.progress, 20, 5002, PACE), Duration::from_secs(448));
    }

    #[test]
    fn a_pass_that_is_through_late_is_followed_by_the_next_one() {
        let mut pass = Pass::resume(Some(begun(0)), 7000);
        assert!(pass.take_up(&scrubbed(10, None), 7000, PACE));
        assert_eq!(pass.progress.began_seconds, 7000);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_scrub() {
        let mut pass = Pass::resume(Some(begun(10)), 0);
        pass.begin_anew_if_set_back(4500, PACE);
        assert_eq!(pass.progress, begun(10));
        pass.begin_anew_if_set_back(1000, PACE);
        assert_eq!(wait(&pass.progress, 10, 1000, PACE), Duration::from_secs(450));
        assert_eq!(pass.progress.began_seconds, 1000);
    }
}
