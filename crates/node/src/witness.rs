//! What this node's clock can say of the time that has passed (rule P2).
//!
//! State time follows the leaders' clocks in bounded steps, so it stays behind after a stop of the whole cluster, or after
//! a long time without a leader. If every voter bears witness that so much time has really passed, nobody has to accept it.
//!
//! A voter knows until when its clock agreed with the state, when it started, and how long it has run since by its steady
//! clock. The first outlives the process in a small file, which is not written while the two disagree: so the witness is
//! the same however often a node is started before all are up.
//!
//! **Limits.** If all clocks are set wrong while their machines are down, nothing here can tell.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use namespace::{TIME_SLACK, TimeJump};
use runtime::{Clock, FileError, Files, blocking};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::Timestamp;
use wire::v1;

use crate::NodeError;
use crate::member::Member;

/// The file's format.
const FORMAT: u32 = 1;
/// Between two looks whether the clocks still agree: short beside the slack.
const PERIOD: Duration = Duration::from_secs(60);
/// The same while they do not agree, as at a start, when this node may have to catch up first.
const PERIOD_APART: Duration = Duration::from_secs(2);
/// Nothing in it is secret, and only the node reads it.
const MODE: u32 = 0o600;

/// This node's clock since it last agreed with the state.
#[derive(Debug)]
pub struct Witness {
    files: Files,
    path: PathBuf,
    clock: Clock,
    agreed: AtomicI64,
    started: i64,
    started_steady: Instant,
    suspended_before: Duration,
}

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    agreed_seconds: i64,
}

impl Witness {
    /// Reads the file. One that is not there or cannot be understood says nothing: the clock then agrees from now on.
    pub fn open(files: Files, path: PathBuf, clock: Clock) -> Self {
        let started = clock.wall().seconds;
        let recorded = files.read(&path).ok().and_then(|bytes| parse(&bytes));
        let agreed = AtomicI64::new(recorded.unwrap_or(started));
        let (started_steady, suspended_before) = (clock.now(), clock.suspended());
        Self { files, path, clock, agreed, started, started_steady, suspended_before }
    }

    /// What it says now.
    pub fn testimony(&self) -> v1::ClockWitness {
        let suspended = self.clock.suspended().saturating_sub(self.suspended_before);
        let up = self.clock.now().saturating_duration_since(self.started_steady) + suspended;
        v1::ClockWitness {
            agreed_seconds: self.agreed.load(Ordering::Relaxed),
            started_seconds: self.started,
            now_seconds: self.clock.wall().seconds,
            up_seconds: i64::try_from(up.as_secs()).unwrap_or(i64::MAX),
        }
    }

    /// Whether the clock agrees with the state's time, which is noted.
    ///
    /// # Errors
    /// The file cannot be written.
    fn compare(&self, state: Timestamp, jump: Option<TimeJump>) -> Result<bool, FileError> {
        let now = self.clock.wall().seconds;
        if jump.is_some() || !is_near(now, state.seconds) {
            return Ok(false);
        }
        let record = format!("format = {FORMAT}\nagreed_seconds = {now}\n");
        self.files.write_atomic(&self.path, record.as_bytes(), MODE)?;
        self.agreed.store(now, Ordering::Relaxed);
        Ok(true)
    }
}

/// Compares the clock with the state until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        let pause = match look(&member).await {
            Ok(false) => PERIOD_APART,
            Ok(true) => PERIOD,
            Err(error) => {
                tracing::warn!(%error, "cannot note that the clock is right");
                PERIOD
            }
        };
        shutdown.unless_cancelled(member.platform.clock.sleep(pause)).await;
    }
}

async fn look(member: &Member) -> Result<bool, NodeError> {
    let (state, jump) = member.read_local(|view| Ok::<_, NodeError>((view.state_time(), view.time_jump()))).await?;
    let witness = Arc::clone(&member.witness);
    Ok(blocking(move || witness.compare(state, jump)).await?)
}

/// Whether a clock that says this confirms a jump: it has run true since it agreed with the state before the jump, but for
/// one stop, and shows what the leader's shows.
pub fn confirms(said: &v1::ClockWitness, jump: TimeJump) -> bool {
    let v1::ClockWitness { agreed_seconds, started_seconds, now_seconds, up_seconds } = *said;
    let agreed_before = agreed_seconds <= jump.from.plus(TIME_SLACK).seconds;
    agreed_before
        && is_near(now_seconds, jump.shown.seconds)
        && is_near(now_seconds.saturating_sub(started_seconds), up_seconds)
}

fn is_near(one: i64, other: i64) -> bool {
    one.abs_diff(other) <= TIME_SLACK.as_secs()
}

fn parse(bytes: &[u8]) -> Option<i64> {
    let record: Record = toml::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    (record.format == FORMAT).then_some(record.agreed_seconds)
}

#[cfg(test)]
mod tests {
    use runtime::WallTime;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const START: WallTime = WallTime { seconds: 1_000_000, nanoseconds: 0 };

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn jump(from: i64, shown: i64) -> TimeJump {
        TimeJump { from: at(from), shown: at(shown) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_confirmed_however_often_the_node_starts_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let open = |clock: &Clock| Witness::open(Files::real(), folder.path().join("clock.toml"), clock.clone());
        let clock = Clock::simulated(START);
        let witness = open(&clock);
        assert!(witness.compare(at(START.seconds), None).unwrap());
        drop(witness);
        // The machine is off for three hours.
        let stop = jump(START.seconds, START.seconds + 3 * 3600);
        clock.sleep(3 * HOUR).await;
        for _ in 0..3 {
            let witness = open(&clock);
            clock.sleep(Duration::from_secs(60)).await;
            assert!(!witness.compare(at(START.seconds + 600), None).unwrap());
            assert!(!witness.compare(at(clock.wall().seconds), Some(stop)).unwrap());
            assert!(confirms(&witness.testimony(), stop), "{:?}", witness.testimony());
        }
        // Once the state has the time, a later jump is another matter.
        let witness = open(&clock);
        assert!(witness.compare(at(clock.wall().seconds), None).unwrap());
        assert!(!confirms(&witness.testimony(), stop), "{:?}", witness.testimony());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_confirms_nothing_and_one_that_ran_on_does() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START);
        let witness = Witness::open(Files::real(), folder.path().join("clock.toml"), clock.clone());
        assert!(witness.compare(at(START.seconds), None).unwrap());
        clock.sleep(HOUR).await;
        let without_leader = jump(START.seconds, START.seconds + 3600);
        assert!(confirms(&witness.testimony(), without_leader), "{:?}", witness.testimony());
        assert!(!confirms(&witness.testimony(), jump(START.seconds, START.seconds + 7200)), "its clock shows less");
        clock.jump(3600 * 1_000_000_000);
        assert!(!confirms(&witness.testimony(), jump(START.seconds, START.seconds + 7200)), "its clock was set");
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_was_suspended_knows_how_long() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START);
        let witness = Witness::open(Files::real(), folder.path().join("clock.toml"), clock.clone());
        clock.suspend(HOUR);
        assert!(confirms(&witness.testimony(), jump(START.seconds, START.seconds + 3600)), "{:?}", witness.testimony());
    }

    #[test]
    fn a_file_that_makes_no_sense_says_nothing() {
        assert_eq!(parse(b"format = 1\nagreed_seconds = 7\n"), Some(7));
        for text in [b"".as_slice(), b"format = 2\nagreed_seconds = 7\n", b"format = 1\n", b"\xff"] {
            assert_eq!(parse(text), None);
        }
    }
}
