//! Group commit: requests that wait together become one entry.
//!
//! What: one task takes requests from a bounded queue, joins those that wait into a batch, and gives it to openraft;
//! up to [`crate::Batching::entries_in_flight`] entries are on their way at once, and while they are, the next batch
//! grows. Each caller gets the results of its own requests. The wall clock of the leader goes into the batch here, and
//! nowhere else. A caller that gave up while it waited is not proposed.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use openraft::impls::ProgressResponder;
use runtime::{ByteBudget, BytePermit, Clock, OnError, Shutdown, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use types::Timestamp;

use crate::Batching;
use crate::handle::RequestResult;
use crate::metrics::Metrics;
use crate::payload::{EncodedRequests, assemble};
use crate::raft_types::{Payload, Raft, WriteError, WriteResult};
use crate::route::{Refusal, not_leader};

/// The way to the proposing task; clones lead to the same.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Submission>,
    budget: ByteBudget,
    batching: Batching,
    clock: Clock,
}

/// The requests of one caller.
struct Submission {
    requests: EncodedRequests,
    reply: oneshot::Sender<Reply>,
    /// Given back when the entry is applied.
    _permit: BytePermit,
}

type Reply = Result<Vec<RequestResult>, Refusal>;

/// What the proposing task owns.
struct Proposing {
    raft: Raft,
    clock: Clock,
    batching: Batching,
    metrics: Metrics,
    queue: mpsc::Receiver<Submission>,
    /// Taken from the queue, and too large for the entry that was just made.
    held: Option<Submission>,
    in_flight: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Proposer {
    /// Starts the proposing task.
    pub fn start(tasks: &Tasks, raft: Raft, clock: Clock, batching: Batching, metrics: Metrics) -> Self {
        let (sender, queue) = mpsc::channel(batching.queue_requests);
        let in_flight = FuturesUnordered::new();
        let proposing = Proposing { raft, clock: clock.clone(), batching, metrics, queue, held: None, in_flight };
        tasks.spawn("proposer", OnError::EndProcess, proposing.run(tasks.shutdown()));
        Self { queue: sender, budget: ByteBudget::new(batching.queue_bytes), batching, clock }
    }

    /// Proposes requests here and gives their results; this node has to lead.
    pub async fn submit(&self, requests: EncodedRequests, deadline: Instant) -> Reply {
        if requests.bytes.len() > self.batching.entry_bytes || requests.count > self.batching.entry_requests {
            return Err(Refusal::TooLarge { bytes: requests.bytes.len() as u64, requests: requests.count as u64 });
        }
        let (reply, answer) = oneshot::channel();
        let enqueue = async {
            let permit = self.budget.acquire(requests.bytes.len() as u64).await;
            self.queue.send(Submission { requests, reply, _permit: permit }).await
        };
        match self.clock.timeout(self.left(deadline), enqueue).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Refusal::NotLeader { leader: None }),
            Err(_) => return Err(Refusal::Overloaded),
        }
        match self.clock.timeout(self.left(deadline), answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Err(Refusal::OutcomeUnknown),
        }
    }

    fn left(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.clock.now())
    }
}

impl Proposing {
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            let room = self.in_flight.len() < self.batching.entries_in_flight;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(()) = self.in_flight.next(), if !self.in_flight.is_empty() => {}
                first = next(&mut self.held, &mut self.queue), if room => match first {
                    Some(first) => self.propose(first).await,
                    None => return,
                },
            }
        }
    }

    /// Makes an entry of what waits.
    async fn propose(&mut self, first: Submission) {
        let submissions = self.collect(first);
        if submissions.is_empty() {
            return;
        }
        let wall = self.clock.wall();
        let proposed_at = Timestamp { seconds: wall.seconds, nanoseconds: wall.nanoseconds };
        let payload = Payload(assemble(proposed_at, submissions.iter().map(|submission| &submission.requests)));
        self.metrics.proposed_entries.inc();
        self.metrics.proposals.inc_by(submissions.iter().map(|submission| submission.requests.count as u64).sum());
        let (responder, written) = ProgressResponder::complete_only();
        let sent = self.raft.client_write_ff(payload, Some(responder)).await;
        self.in_flight.push(Box::pin(async move {
            let result = match sent {
                Ok(()) => written.await.map_err(|_| Refusal::OutcomeUnknown),
                Err(_) => Err(Refusal::OutcomeUnknown),
            };
            answer(submissions, result);
        }));
    }

    /// Takes what waits, up to the limits of an entry; leaves out callers that gave up.
    fn collect(&mut self, first: Submission) -> Vec<Submission> {
        let (mut taken, mut requests, mut bytes) = (Vec::new(), 0, 0);
        let mut next = Some(first);
        while let Some(submission) = next.take() {
            requests += submission.requests.count;
            bytes += submission.requests.bytes.len();
            let fits = requests <= self.batching.entry_requests && bytes <= self.batching.entry_bytes;
            if !taken.is_empty() && !fits {
                self.held = Some(submission);
                break;
            }
            taken.push(submission);
            next = self.queue.try_recv().ok();
        }
        taken.retain(|submission| !submission.reply.is_closed());
        taken
    }
}

async fn next(held: &mut Option<Submission>, queue: &mut mpsc::Receiver<Submission>) -> Option<Submission> {
    match held.take() {
        Some(held) => Some(held),
        None => queue.recv().await,
    }
}

/// Gives each caller the results of its requests; one that gave up does not listen any more.
fn answer(submissions: Vec<Submission>, written: Result<WriteResult, Refusal>) {
    let results = match written {
        Ok(Ok(response)) => Ok(response.data.0),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(refusal) => Err(refusal),
    };
    match results {
        Ok(results) => {
            let mut results = results.into_iter();
            for submission in submissions {
                let own: Vec<_> = results.by_ref().take(submission.requests.count).collect();
                // An entry that gives too few results is a fault of the state machine; its caller must not guess.
                let reply = if own.len() == submission.requests.count { Ok(own) } else { Err(Refusal::OutcomeUnknown) };
                let _ = submission.reply.send(reply);
            }
        }
        Err(refusal) => {
            for submission in submissions {
                let _ = submission.reply.send(Err(refusal.clone()));
            }
        }
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
