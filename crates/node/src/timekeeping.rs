//! Counts of steady time, by which the state judges the leaders' clocks (rule P2).
//!
//! The leader proposes one each minute. A count names what was counted before it, and how long the leader has seen that
//! on its steady clock: so it says less than what has passed, never more, whoever leads and however many believe that they
//! do. A steady clock stands still while a machine is suspended; what it misses is a jump of the wall clock then.
//!
//! **Crash**: what was counted lies in the state; whoever leads next goes on from there. While the whole cluster is down
//! nothing is counted. Clocks that show afterwards how long it was down are a jump, which the leader accepts if the clocks
//! of all voters confirm it ([`crate::witness`]), and else an admin.

use std::sync::Arc;
use std::time::Duration;

use namespace::{TimeJump, View};
use tokio::time::Instant;
use types::{Operation, Timestamp};
use wire::v1;

use crate::member::Member;
use crate::services::survey;
use crate::{NodeError, witness};

/// Between two counts: often beside the slack that the state allows, and rarely for a cluster that has nothing to do.
const PERIOD: Duration = Duration::from_secs(60);
/// Between two times that the voters are asked about one jump.
const ASKED_AGAIN: Duration = Duration::from_secs(10);
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

async fn look(member: &Arc<Member>, watch: &mut Watch) -> Result<(), NodeError> {
    if !member.consensus.is_leader() {
        *watch = Watch::default();
        return Ok(());
    }
    let read = |view: View| Ok::<_, NodeError>((view.counted_time(), view.time_jump()));
    let (after, jump) = member.read_local(read).await?;
    if let Some(jump) = jump
        && watch.is_time_to_ask(member.platform.clock.now())
        && is_confirmed(member, jump).await?
    {
        tracing::info!(from = jump.from.seconds, to = jump.shown.seconds, "the clocks of all voters confirm the time");
        return member.propose(Operation::AcceptTime { shown: jump.shown }).await.map(drop);
    }
    let Some(length) = watch.passed(after, member.platform.clock.now()) else { return Ok(()) };
    let length_ms = u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
    member.propose(Operation::CountTime { after, length_ms }).await.map(drop)
}

/// Whether the clock of every voter shows that so much time has passed. One that does not answer confirms nothing.
async fn is_confirmed(member: &Arc<Member>, jump: TimeJump) -> Result<bool, NodeError> {
    let nodes = survey::nodes(member).await?;
    let mut voters = nodes.iter().filter(|node| node.role() == v1::NodeRole::Voter).peekable();
    Ok(voters.peek().is_some() && voters.all(|voter| voter.clock.is_some_and(|said| witness::confirms(&said, jump))))
}

/// What was counted when the leader looked, and since when it sees that.
#[derive(Default)]
struct Watch {
    seen: Option<(Timestamp, Instant)>,
    /// When the voters were asked about a jump.
    asked: Option<Instant>,
}

impl Watch {
    /// Whether the voters are to be asked about a jump: soon after it, and now and then later, when they may all be up.
    fn is_time_to_ask(&mut self, now: Instant) -> bool {
        let is_time = self.asked.is_none_or(|asked| now.duration_since(asked) >= ASKED_AGAIN);
        if is_time {
            self.asked = Some(now);
        }
        is_time
    }

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
