//! Requests that wait together travel together.
//!
//! What: one task takes requests from a bounded queue, joins those that wait into a batch, and has it sent; up to
//! [`crate::Batching::entries_in_flight`] batches are on their way at once, and while they are, the next one grows. Each
//! caller gets the results of its own requests. A caller that gave up while it waited is left out.

use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use runtime::{ByteBudget, BytePermit, Clock, OnError, Shutdown, Tasks};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::Batching;
use crate::handle::RequestResult;
use crate::payload::EncodedRequests;
use crate::route::Refusal;

/// What became of the requests of one caller.
pub(crate) type Reply = Result<Vec<RequestResult>, Refusal>;

/// The way to the collecting task; clones lead to the same.
#[derive(Clone)]
pub(crate) struct Collector {
    queue: mpsc::Sender<Submission>,
    budget: ByteBudget,
    batching: Batching,
    clock: Clock,
}

/// The requests of one caller.
pub(crate) struct Submission {
    pub requests: EncodedRequests,
    /// What the caller's own request is called.
    pub name: Option<String>,
    /// When they came.
    pub queued: Instant,
    reply: oneshot::Sender<Reply>,
    /// Given back with the answer.
    _permit: BytePermit,
}

impl Submission {
    /// Answers the caller; one that gave up does not listen any more.
    pub fn answer(self, reply: Reply) {
        let _ = self.reply.send(reply);
    }
}

/// What the collecting task owns.
struct Collecting<S> {
    batching: Batching,
    queue: mpsc::Receiver<Submission>,
    /// Taken from the queue, and too large for the batch that was just made.
    held: Option<Submission>,
    send: S,
    in_flight: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Collector {
    /// Starts the collecting task; `send` brings a batch to where it goes and answers its submissions.
    pub fn start<S>(tasks: &Tasks, name: &str, clock: Clock, batching: Batching, send: S) -> Self
    where
        S: FnMut(Vec<Submission>) -> BoxFuture<'static, ()> + Send + 'static,
    {
        let (sender, queue) = mpsc::channel(batching.queue_requests);
        let collecting = Collecting { batching, queue, held: None, send, in_flight: FuturesUnordered::new() };
        tasks.spawn(name, OnError::EndProcess, collecting.run(tasks.shutdown()));
        Self { queue: sender, budget: ByteBudget::new(batching.queue_bytes), batching, clock }
    }

    /// Has requests sent with others and gives their results. `name` is that of the request for which they are.
    pub async fn submit(&self, requests: EncodedRequests, name: Option<String>, deadline: Instant) -> Reply {
        if requests.bytes.len() > self.batching.entry_bytes || requests.count > self.batching.entry_requests {
            return Err(Refusal::TooLarge { bytes: requests.bytes.len() as u64, requests: requests.count as u64 });
        }
        let (reply, answer) = oneshot::channel();
        let queued = self.clock.now();
        let enqueue = async {
            let permit = self.budget.acquire(requests.bytes.len() as u64).await;
            self.queue.send(Submission { requests, name, queued, reply, _permit: permit }).await
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

impl<S> Collecting<S>
where
    S: FnMut(Vec<Submission>) -> BoxFuture<'static, ()> + Send + 'static,
{
    async fn run(mut self, shutdown: Shutdown) {
        loop {
            let room = self.in_flight.len() < self.batching.entries_in_flight;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(()) = self.in_flight.next(), if !self.in_flight.is_empty() => {}
                first = next(&mut self.held, &mut self.queue), if room => match first {
                    Some(first) => self.send(first),
                    None => return,
                },
            }
        }
    }

    fn send(&mut self, first: Submission) {
        let batch = self.collect(first);
        if !batch.is_empty() {
            self.in_flight.push((self.send)(batch));
        }
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
