//! Ticks, by which leases and quarantines are measured (rule P2), and the end of sessions whose lease has run out.
//!
//! A tick is an operation that names the count before it, and nobody proposes one before he has seen that count for a
//! whole period on his own steady clock. So two ticks are never closer than a period, whoever leads and however many
//! believe that they do; a new leader begins to wait anew, and can only make a lease longer. While nothing is measured
//! there are no ticks: the leader proposes them while there are sessions, every node while it keeps orphans in quarantine.
//!
//! **Crash**: the count lies in the state; whoever leads next goes on from there. While the whole cluster is down no tick
//! passes, and no lease with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use types::{Operation, SessionId};

use crate::NodeError;
use crate::member::Member;

/// Looks in a period: a tick comes later than it could by one of them at most.
const LOOKS: u32 = 10;
/// Between two looks, however short a tick is.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// Sessions that are looked at together.
const PAGE: usize = 1000;

/// How long a tick is with a lease of so many seconds.
#[must_use]
pub fn period(lease_seconds: u32) -> Duration {
    Duration::from_secs(lease_seconds.into()) / u32::try_from(namespace::LEASE_TICKS).unwrap_or(u32::MAX)
}

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    let mut pace = Pace { period: period(member.config.sessions.lease_seconds), seen: None };
    while !shutdown.is_cancelled() {
        if let Some(Err(error)) = shutdown.unless_cancelled(Box::pin(look(&member, &mut pace))).await {
            tracing::info!(%error, "cannot count time now");
        }
        shutdown.unless_cancelled(member.platform.clock.sleep((pace.period / LOOKS).max(PAUSE_MIN))).await;
    }
}

async fn look(member: &Arc<Member>, pace: &mut Pace) -> Result<(), NodeError> {
    let leads = member.consensus.is_leader();
    if !leads && member.orphans.in_quarantine() == 0 {
        pace.seen = None;
        return Ok(());
    }
    let (ticks, sessions) =
        member.read_local(|view| Ok::<_, NodeError>((view.ticks(), !view.sessions(None, 1)?.is_empty()))).await?;
    let measured = sessions || member.orphans.in_quarantine() > 0;
    if !measured || !pace.is_due(ticks, member.platform.clock.now()) {
        return Ok(());
    }
    member.propose(Operation::Tick { after: ticks }).await?;
    if leads { end_expired(member).await } else { Ok(()) }
}

/// When the count was first seen as it is.
struct Pace {
    period: Duration,
    seen: Option<(u64, Instant)>,
}

impl Pace {
    /// Whether the next tick may be proposed.
    fn is_due(&mut self, ticks: u64, now: Instant) -> bool {
        match self.seen {
            Some((seen, since)) if seen == ticks => now.duration_since(since) >= self.period,
            _ => {
                self.seen = Some((ticks, now));
                false
            }
        }
    }
}

/// Ends the sessions whose lease has run out; each end forgets at most one window of results.
async fn end_expired(member: &Arc<Member>) -> Result<(), NodeError> {
    let mut after: Option<SessionId> = None;
    loop {
        let page = member.read_local(move |view| view.sessions(after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for session in page.into_iter().filter(|session| session.has_expired) {
            member.propose(Operation::CloseSession { session: session.id }).await?;
            tracing::info!(session = %session.id, label = %session.label, "a session whose lease has run out is ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use runtime::Clock;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_tick_is_due_once_its_count_was_seen_for_a_period() {
        let start = Clock::real().now();
        let mut pace = Pace { period: PERIOD, seen: None };
        assert!(!pace.is_due(7, start));
        assert!(!pace.is_due(7, start + PERIOD - MOMENT));
        assert!(pace.is_due(7, start + PERIOD));
        assert!(!pace.is_due(8, start + PERIOD), "the next one takes as long");
        assert!(pace.is_due(8, start + 2 * PERIOD));
    }

    #[test]
    fn a_new_leader_never_shortens_a_lease() {
        let start = Clock::real().now();
        let mut old = Pace { period: PERIOD, seen: None };
        let mut new = Pace { period: PERIOD, seen: None };
        assert!(!old.is_due(1, start));
        assert!(!new.is_due(1, start + PERIOD - MOMENT), "it takes over just before the next tick");
        assert!(!new.is_due(1, start + PERIOD + MOMENT));
        // The old one believes that it leads still; its tick counts, and the new one waits anew.
        assert!(old.is_due(1, start + PERIOD + MOMENT));
        assert!(!new.is_due(2, start + PERIOD + 2 * MOMENT));
        assert!(!new.is_due(2, start + 2 * PERIOD));
        assert!(new.is_due(2, start + 2 * PERIOD + 2 * MOMENT));
    }

    #[test]
    fn a_lease_is_a_round_number_of_ticks() {
        assert_eq!(period(3600), Duration::from_secs(60));
    }
}
