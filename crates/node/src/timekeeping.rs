//! Counts of steady time, by which the state judges the leaders' clocks (rule P2).
//!
//! The leader proposes one each minute. A count names what was counted before it, and how long the leader has seen that
//! on its steady clock: so it says less than what has passed, never more, whoever leads and however many believe that they
//! do. A steady clock stands still while a machine is suspended; what it misses is a jump of the wall clock then.
//!
//! **Crash**: what was counted lies in the state; whoever leads next goes on from there. While the whole cluster is down
//! nothing is counted. Clocks that show afterwards how long it was down are a jump, which an admin accepts.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::{Operation, Timestamp};

use crate::NodeError;
use crate::member::Member;

/// Between two counts: often beside the slack that the state allows, and rarely for a cluster that has nothing to do.
const PERIOD: Duration = Duration::from_secs(60);
/// Between two looks: a count leaves out so much at most.
const PAUSE: Duration = Duration::from_secs(2);

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    let mut watch = Watch::default();
    while !shutdown.is_cancelled() {
        if let Some(Err(error)) = shutdown.unless_cancelled(Box::pin(look(&member, &mut watch))).await {
            tracing::info!(%error, "cannot count steady time now");
        }
        shutdown.unless_cancelled(member.platform.clock.sleep(PAUSE)).await;
    }
}

async fn look(member: &Member, watch: &mut Watch) -> Result<(), NodeError> {
    if !member.consensus.is_leader() {
        *watch = Watch::default();
        return Ok(());
    }
    let after = member.read_local(|view| Ok::<_, NodeError>(view.counted_time())).await?;
    let Some(length) = watch.passed(after, member.platform.clock.now()) else { return Ok(()) };
    let length_ms = u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
    member.propose(Operation::CountTime { after, length_ms }).await.map(drop)
}

/// What was counted when the leader looked, and since when it sees that.
#[derive(Default)]
struct Watch {
    seen: Option<(Timestamp, Instant)>,
}

impl Watch {
    /// What has passed since this was first seen, once it is worth a count.
    fn passed(&mut self, counted: Timestamp, now: Instant) -> Option<Duration> {
        match self.seen {
            Some((seen, since)) if seen == counted => {
                Some(now.duration_since(since)).filter(|passed| *passed >= PERIOD)
            }
            _ => {
                self.seen = Some((counted, now));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::Clock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanoseconds: 0 }
    }

    #[test]
    fn a_count_says_how_long_its_predecessor_was_seen() {
        let start = Clock::real().now();
        let mut watch = Watch::default();
        assert_eq!(watch.passed(at(5), start), None);
        assert_eq!(watch.passed(at(5), start + PERIOD - SECOND), None);
        assert_eq!(watch.passed(at(5), start + PERIOD + SECOND), Some(PERIOD + SECOND));
        assert_eq!(watch.passed(at(66), start + PERIOD + 3 * SECOND), None, "somebody has counted it");
        assert_eq!(watch.passed(at(66), start + 2 * PERIOD + 3 * SECOND), Some(PERIOD));
    }
}
