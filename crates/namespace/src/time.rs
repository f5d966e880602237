//! State time: what the state machine takes of the leaders' clocks (rule P2).
//!
//! Each batch comes with its leader's clock, which a broken time server or a person can set to anything. Clocks that go
//! back are no danger: state time stands still until they have caught up. One that jumps forward would make what is kept
//! for a time seem old at once. So state time never goes further ahead than [`TIME_SLACK`] of what has passed for sure:
//! of what was taken until the last count, and of the counts since. A count is an operation of the leader's, by his steady
//! clock. Of a larger jump the slack is taken, and from then on time goes by counts alone, until the clocks show a time that
//! it has reached, or an admin takes the jump. Operations go on meanwhile. Whatever removes by age waits while there is a
//! [`TimeJump`].
//!
//! **Limits.** A clock that runs too fast is not noticed until it gains the slack between two counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{OperationError, Timestamp};

/// How far state time may be ahead of what has passed for sure. It covers counts that come late, and a group that was
/// without a leader for some minutes; it is short of the hour by which clocks are set wrong when summer time ends.
pub const TIME_SLACK: Duration = Duration::from_secs(600);

/// State time, and what it rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTime {
    /// State time itself; it never goes back.
    pub now: Timestamp,
    /// What has passed for sure: state time at the last count, or more if the clocks were behind what was counted.
    pub sure: Timestamp,
    /// The jump that is not believed.
    pub jump: Option<TimeJump>,
}

/// A jump of the leaders' clocks that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeJump {
    /// State time before it.
    pub from: Timestamp,
    /// What the last leader's clock showed.
    pub shown: Timestamp,
}

impl StateTime {
    /// Takes the clock of the first batch of all: there is nothing yet to compare it with.
    pub fn found(&mut self, shown: Timestamp) {
        *self = Self { now: shown, sure: shown, jump: None };
    }

    /// Takes what a leader's clock shows, as far as it is believed.
    pub fn show(&mut self, shown: Timestamp) {
        let limit = self.sure.plus(TIME_SLACK);
        match &mut self.jump {
            Some(_) if shown <= self.now => self.jump = None,
            Some(jump) => jump.shown = shown,
            None if shown <= limit => self.now = self.now.max(shown),
            None => {
                self.jump = Some(TimeJump { from: self.now, shown });
                self.now = self.now.max(limit);
            }
        }
    }

    /// Counts time that has passed for sure, unless it was counted before.
    pub fn count(&mut self, after: Timestamp, length: Duration) {
        if self.sure != after {
            return;
        }
        self.sure = self.sure.plus(length);
        match self.jump {
            None => self.sure = self.sure.max(self.now),
            Some(jump) => self.now = self.now.max(self.sure.plus(TIME_SLACK).min(jump.shown)),
        }
    }

    /// Takes a jump after all, if the clock shows about the time that was accepted.
    pub fn accept(&mut self, accepted: Timestamp) -> Result<(), OperationError> {
        let Some(jump) = self.jump else { return Ok(()) };
        if jump.shown > accepted.plus(TIME_SLACK) {
            return Err(OperationError::TimeNotAccepted { seconds: jump.shown.seconds });
        }
        self.found(self.now.max(jump.shown));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::Seed;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SLACK: i64 = TIME_SLACK.as_secs() as i64;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    fn founded(seconds: i64) -> StateTime {
        let mut time = StateTime::default();
        time.found(at(seconds));
        time
    }

    #[test]
    fn of_a_jump_the_slack_is_taken_and_from_then_on_what_is_counted() {
        let mut time = founded(1000);
        time.show(at(1000 + SLACK + 1));
        let jump = Some(TimeJump { from: at(1000), shown: at(1000 + SLACK + 1) });
        assert_eq!((time.now, time.jump), (at(1000 + SLACK), jump));
        for _ in 0..100 {
            time.show(at(1_000_000));
        }
        assert_eq!(time.now, at(1000 + SLACK), "more entries bring no more");
        time.count(time.sure, MINUTE);
        assert_eq!(time.now, at(1060 + SLACK));
        assert_eq!(time.jump.map(|jump| jump.from), Some(at(1000)));
    }

    #[test]
    fn a_clock_that_goes_back_stops_time_and_what_passes_meanwhile_is_no_jump() {
        let mut time = founded(100_000);
        for minute in 0..60 {
            time.show(at(96_400 + 60 * minute));
            assert_eq!((time.now, time.jump), (at(100_000), None));
            time.count(time.sure, MINUTE);
        }
        time.show(at(103_600));
        assert_eq!((time.now, time.jump), (at(103_600), None), "the hour has passed: it was counted");
    }

    #[test]
    fn time_that_two_count_passes_once() {
        let mut time = founded(1000);
        time.count(at(1000), MINUTE);
        time.count(at(1000), 100 * MINUTE);
        assert_eq!(time.sure, at(1060));
    }

    #[test]
    fn a_jump_that_is_taken_back_is_forgotten() {
        let mut time = founded(1000);
        time.show(at(500_000));
        time.show(at(1003));
        assert_eq!((time.now, time.jump), (at(1000 + SLACK), None), "what was taken stays taken");
    }

    #[test]
    fn an_admin_takes_the_jump_that_he_was_shown_and_no_other() {
        let mut time = founded(1000);
        time.show(at(500_000));
        let before = time;
        assert_eq!(time.accept(at(500_000 - SLACK - 1)), Err(OperationError::TimeNotAccepted { seconds: 500_000 }));
        assert_eq!(time, before);
        time.show(at(500_100));
        time.accept(at(500_000)).unwrap();
        assert_eq!((time.now, time.sure, time.jump), (at(500_100), at(500_100), None));
        time.accept(at(1)).unwrap();
        assert_eq!(time.now, at(500_100), "nothing is left to accept");
    }

    /// One leader after the other, each with a clock of its own that is right, or wrong by up to a year either way; true
    /// time goes on, and most of it is counted.
    #[test]
    fn no_history_of_clocks_moves_time_by_more_than_passed_and_a_slack_for_each_leader() {
        let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
        for seed in seed.map_or(0..200, |seed: u64| seed..seed + 1) {
            println!("HOLDFAST_SEED={seed}");
            let random = Seed::fixed(seed);
            let (mut truth, mut leaders) = (10_000_000, 1);
            let mut offset = 0;
            let mut time = founded(truth);
            let (begin, mut before) = (time, time);
            for _ in 0..2000 {
                match random.below(20) {
                    0 => {
                        leaders += 1;
                        let year = random.below(2 * 31_536_000) as i64 - 31_536_000;
                        offset = if random.below(2) == 0 { 0 } else { year };
                    }
                    1..8 => {
                        truth += 60 + random.below(6) as i64;
                        time.count(time.sure, MINUTE);
                    }
                    _ => {
                        truth += random.below(3) as i64;
                        time.show(at(truth + offset));
                    }
                }
                assert!(time.now >= before.now, "it went back: {before:?}, {time:?}");
                let passed = time.now.seconds_after(begin.now);
                let allowed = truth - begin.now.seconds + leaders * (SLACK + 60);
                assert!(passed <= allowed as u64, "{passed} s, and {allowed} s at most: {time:?}");
                before = time;
            }
        }
    }

    #[test]
    fn right_clocks_are_believed_whenever_they_show() {
        let random = Seed::fixed(7);
        let mut truth = 0;
        let mut time = founded(truth);
        for round in 0..10_000 {
            // Counts may be late by half, and nobody may have anything to say for many of them.
            truth += 60 + random.below(30) as i64;
            time.count(time.sure, MINUTE);
            if round % 20 == 0 || random.below(5) == 0 {
                time.show(at(truth));
                assert_eq!((time.now, time.jump), (at(truth), None));
            }
        }
    }
}
