//! The end of the process, as a list of named steps under one deadline.
//!
//! 1. **Calls.** No door takes a new call; those under way come to their end, and Raft goes on meanwhile.
//! 2. **Leadership** is handed over, so that the others need no election.
//! 3. **Background.** It was told to stop at the beginning; what it still writes ends before what it writes to.
//! 4. **Doors.** The servers close; nothing comes in any more.
//! 5. **Raft** makes the applied state durable and stops.
//! 6. **Volumes** close.
//! 7. **The rest**: the figures, and whatever else runs.
//!
//! A step that fails or is late keeps none of those after it from its turn; the first failure is the one that the
//! process ends with. A call that is cut is no failure: its caller is told so by the lost connection, and asks again. A
//! crash in place of any step loses nothing that was acknowledged.

use std::time::Duration;

use runtime::Clock;
use tokio::time::Instant;

use crate::member::Member;
use crate::{Daemon, NodeError};

/// For all steps: below the 90 seconds that systemd waits before it kills.
const DEADLINE: Duration = Duration::from_secs(28);
/// The calls may take so much of it. Few last longer, and what is left is enough for the other steps.
const CALLS: Duration = Duration::from_secs(10);
/// Handing leadership over takes one election.
const LEADERSHIP: Duration = Duration::from_secs(3);
/// An upload notices between two requests that it is to stop.
const BACKGROUND: Duration = Duration::from_secs(8);
/// By now only connections are left whose calls were cut.
const DOORS: Duration = Duration::from_secs(2);

/// Stops the node in order; see the module's text.
///
/// # Errors
/// The first failure: something did not end in time, or could not be closed. Nothing is lost by it.
pub async fn end(daemon: &Daemon) -> Result<(), NodeError> {
    let mut ending = Ending::new(daemon.platform.clock.clone());
    let member = daemon.member().ok().cloned();
    daemon.calls.close();
    tracing::info!("no new calls are taken");
    if let Some(member) = &member {
        member.front.shutdown().cancel();
    }
    end_calls(daemon, &ending).await;
    if let Some(member) = &member {
        hand_over(member, &ending).await;
        ending.keep(member.front.close(ending.at_most(BACKGROUND)).await);
    }
    if let Err(stuck) = daemon.doors.close(ending.at_most(DOORS)).await {
        tracing::warn!(%stuck, "connections are cut");
    }
    if let Some(member) = &member {
        ending.keep(close(member, ending.left()).await);
    }
    ending.keep(daemon.platform.tasks.close(ending.left()).await);
    ending.first_failure.map_or(Ok(()), Err)
}

/// How far the end has come.
struct Ending {
    clock: Clock,
    deadline: Instant,
    first_failure: Option<NodeError>,
}

impl Ending {
    fn new(clock: Clock) -> Self {
        Self { deadline: clock.now() + DEADLINE, clock, first_failure: None }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(self.clock.now())
    }

    fn at_most(&self, limit: Duration) -> Duration {
        limit.min(self.left())
    }

    fn keep<E: Into<NodeError>>(&mut self, ended: Result<(), E>) {
        if let Err(failure) = ended.map_err(Into::into) {
            tracing::warn!(%failure, "a step of the end failed, and the next ones follow");
            self.first_failure.get_or_insert(failure);
        }
    }
}

async fn end_calls(daemon: &Daemon, ending: &Ending) {
    let cut = daemon.calls.ended(&ending.clock, ending.at_most(CALLS)).await;
    if !cut.is_empty() {
        tracing::warn!(calls = cut.join(", "), "these calls did not come to their end and are cut");
    }
}

async fn hand_over(member: &Member, ending: &Ending) {
    if !member.consensus.is_leader() {
        return;
    }
    let handed_over = member.consensus.transfer_leadership(ending.at_most(LEADERSHIP)).await;
    let status = member.consensus.status();
    match (handed_over, status.leader) {
        (Ok(()), Some(leader)) if leader != member.node() => {
            tracing::info!(%leader, term = status.term, "handed leadership over");
        }
        (Ok(()), _) => {}
        (Err(error), _) => tracing::info!(%error, "leadership was not handed over; the others will elect a leader"),
    }
}

/// Closes Raft and the volumes of a member, these also when Raft does not close.
///
/// # Errors
/// The first that failed or was late. Nothing is lost by it.
pub async fn close(member: &Member, limit: Duration) -> Result<(), NodeError> {
    let clock = &member.platform.clock;
    let deadline = clock.now() + limit;
    let stopped = member.consensus.stop(limit).await;
    let left = deadline.saturating_duration_since(clock.now());
    let closed = clock.timeout(left, member.volumes.close()).await;
    stopped?;
    closed.map_err(|_| NodeError::VolumesOpen { limit })
}
