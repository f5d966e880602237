//! Reads without a round to the other voters, while the leader's lease lasts (rule P4).
//!
//! A voter that heard its leader elects no other for an election timeout. So a leader knows that there is no other for as
//! long after it *sent* what a majority has answered. openraft keeps those times, and refuses votes to its followers; what
//! it leaves open is closed here and in [`crate::serve`]:
//!
//! - A voter forgets at a restart whom it heard. It gives no vote for the shortest election timeout after its start, and
//!   openraft stands for election no sooner itself.
//! - The steady clock stands still while a machine is suspended. What was answered before a suspension counts for nothing;
//!   whether there was one is looked at before the read and after it.
//! - Clocks run apart. The lease is four fifths of the shortest election timeout.
//! - A leader that has lost its vote may be followed by one that need not wait. It has no lease.
//!
//! A leader that hands over gives no index any more from that moment on, nor does one that has heard of another leader.
//!
//! **Limits.** A machine whose clocks all stand still, as when a hypervisor stops it, cannot know that. If it is stopped
//! for longer than the longest election timeout without the lease, another may lead meanwhile, and for as long as was
//! left of the lease reads here may miss what that one acknowledged. So leases serve what callers keep for a while anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::LinearizerOption;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use runtime::Clock;
use tokio::time::Instant;
use types::NodeId;

use crate::raft_types::Raft;
use crate::route::{Refusal, not_leader};

/// Differences below this come from reading two clocks one after the other.
const TOLERANCE: Duration = Duration::from_millis(50);

/// The lease of this node, for when it leads; clones are the same.
#[derive(Clone)]
pub(crate) struct Lease {
    node: NodeId,
    raft: Raft,
    clock: Clock,
    length: Duration,
    suspensions: Arc<Suspensions>,
}

impl Lease {
    /// A lease under the shortest election timeout of the group.
    pub fn new(node: NodeId, raft: Raft, clock: Clock, election_min: Duration) -> Self {
        let suspensions = Arc::new(Suspensions::new(&clock));
        Self { node, raft, clock, length: election_min * 4 / 5, suspensions }
    }

    /// The entry that must be applied before a read now; none if that takes a round.
    pub async fn index(&self) -> Result<Option<u64>, Refusal> {
        let undisturbed = self.suspensions.look(&self.clock);
        let age_max = self.length.min(undisturbed);
        if age_max.is_zero() || !self.has_vote() {
            return Ok(None);
        }
        let option = LinearizerOption::new(Some(age_max), false).with_wait_timeout(Duration::ZERO);
        let index = match self.raft.get_read_linearizer(option).await {
            Ok(linearizer) => linearizer.read_log_id().index(),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => {
                return Err(not_leader(forward.leader_id));
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => return Ok(None),
            Err(RaftError::Fatal(_)) => return Err(Refusal::NotLeader { leader: None }),
        };
        let lasted = self.suspensions.look(&self.clock) >= undisturbed && self.has_vote();
        Ok(lasted.then_some(index))
    }

    fn has_vote(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().voter_ids().any(|voter| voter == self.node.get())
    }
}

/// What is known of suspensions of this machine.
struct Suspensions {
    seen: Mutex<Seen>,
}

struct Seen {
    suspended: Duration,
    /// When that was noticed last, or the beginning.
    at: Instant,
}

impl Suspensions {
    fn new(clock: &Clock) -> Self {
        Self { seen: Mutex::new(Seen { suspended: clock.suspended(), at: clock.now() }) }
    }

    /// For how long, on the steady clock, the machine certainly was not suspended.
    fn look(&self, clock: &Clock) -> Duration {
        let (suspended, now) = (clock.suspended(), clock.now());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if suspended > seen.suspended + TOLERANCE {
            *seen = Seen { suspended, at: now };
        }
        now.saturating_duration_since(seen.at)
    }
}

#[cfg(test)]
mod tests {
    use runtime::WallTime;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_before_a_suspension_counts_for_nothing() {
        let clock = Clock::simulated(WallTime::default());
        let suspensions = Suspensions::new(&clock);
        let second = Duration::from_secs(1);
        clock.sleep(second).await;
        assert_eq!(suspensions.look(&clock), second);
        clock.suspend(TOLERANCE);
        assert_eq!(suspensions.look(&clock), second, "the clocks were read one after the other");
        clock.suspend(Duration::from_secs(3600));
        assert_eq!(suspensions.look(&clock), Duration::ZERO);
        clock.sleep(second).await;
        assert_eq!(suspensions.look(&clock), second);
    }
}
