//! Group commit: requests that wait together become one entry.
//!
//! The [`Collector`] joins them; here a batch is given to openraft, and each caller gets the results of its own
//! requests. The wall clock of the leader goes into the batch here, and nowhere else.

use futures::FutureExt;
use openraft::impls::ProgressResponder;
use runtime::{Clock, Tasks};
use types::Timestamp;

use crate::Batching;
use crate::collect::{Collector, Submission};
use crate::metrics::Metrics;
use crate::payload::assemble;
use crate::raft_types::{Payload, Raft, WriteError, WriteResult};
use crate::route::{Refusal, not_leader};

/// What proposing needs; clones share it.
#[derive(Clone)]
struct Proposing {
    raft: Raft,
    clock: Clock,
    metrics: Metrics,
}

/// Starts to propose what is submitted here; this node has to lead.
pub(crate) fn start(tasks: &Tasks, raft: Raft, clock: Clock, batching: Batching, metrics: Metrics) -> Collector {
    let proposing = Proposing { raft, clock: clock.clone(), metrics };
    Collector::start(tasks, "proposer", clock, batching, move |batch| proposing.clone().propose(batch).boxed())
}

impl Proposing {
    /// Makes an entry of a batch, waits until it is applied, and answers.
    async fn propose(self, batch: Vec<Submission>) {
        let (wall, began) = (self.clock.wall(), self.clock.now());
        let proposed_at = Timestamp { seconds: wall.seconds, nanoseconds: wall.nanoseconds };
        let payload = Payload(assemble(proposed_at, batch.iter().map(|submission| &submission.requests)));
        self.metrics.proposed_entries.inc();
        self.metrics.proposals.inc_by(batch.iter().map(|submission| submission.requests.count as u64).sum());
        // The first has waited longest: nobody behind it had to wait for more than the same entries.
        if let Some(first) = batch.first() {
            let waited = began.saturating_duration_since(first.queued);
            self.metrics.proposal_wait_seconds.observe(waited.as_secs_f64());
        }
        let (responder, written) = ProgressResponder::complete_only();
        let result = match self.raft.client_write_ff(payload, Some(responder)).await {
            Ok(()) => written.await.map_err(|_| Refusal::OutcomeUnknown),
            Err(_) => Err(Refusal::OutcomeUnknown),
        };
        let took = self.clock.now().saturating_duration_since(began);
        self.metrics.entry_seconds.observe(took.as_secs_f64());
        answer(batch, result);
    }
}

/// Gives each caller the results of its requests.
fn answer(batch: Vec<Submission>, written: Result<WriteResult, Refusal>) {
    let results = match written {
        Ok(Ok(response)) => Ok(response.data.0),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(refusal) => Err(refusal),
    };
    match results {
        Ok(results) => {
            let mut results = results.into_iter();
            for submission in batch {
                let count = submission.requests.count;
                let own: Vec<_> = results.by_ref().take(count).collect();
                // An entry that gives too few results is a fault of the state machine; its caller must not guess.
                submission.answer(if own.len() == count { Ok(own) } else { Err(Refusal::OutcomeUnknown) });
            }
        }
        Err(refusal) => batch.into_iter().for_each(|submission| submission.answer(Err(refusal.clone()))),
    }
}

fn refusal(error: &WriteError) -> Refusal {
    match error {
        WriteError::ForwardToLeader(forward) => not_leader(forward.leader_id),
        WriteError::LogEntryDiscarded(_) | WriteError::ChangeMembershipError(_) | WriteError::PreconditionFailed(_) => {
            Refusal::OutcomeUnknown
        }
    }
}
