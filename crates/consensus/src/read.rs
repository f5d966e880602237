//! Reads that see everything acknowledged before them (rule P4).
//!
//! What: a round asks the leader, and the leader a majority, how far a member must have applied to read now. Those who
//! come while a round is on its way wait for the next: a round serves only reads that were queued before it began.

use std::future::Future;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use runtime::{OnError, Tasks};
use tokio::sync::{mpsc, oneshot};

use crate::raft_types::Raft;
use crate::route::{Refusal, not_leader};

/// Reads that may wait for a round.
const QUEUE: usize = 4096;

type Waiter = oneshot::Sender<Result<u64, Refusal>>;

/// The way to the rounds; clones lead to the same.
#[derive(Clone)]
pub(crate) struct Rounds {
    queue: mpsc::Sender<Waiter>,
}

impl Rounds {
    /// Starts the task that makes the rounds.
    pub fn start<F, R>(tasks: &Tasks, name: &str, mut round: F) -> Self
    where
        F: FnMut(u64) -> R + Send + 'static,
        R: Future<Output = Result<u64, Refusal>> + Send,
    {
        let (sender, mut queue) = mpsc::channel::<Waiter>(QUEUE);
        let shutdown = tasks.shutdown();
        tasks.spawn(name, OnError::EndProcess, async move {
            let mut waiters = Vec::new();
            while let Some(1..) = shutdown.unless_cancelled(queue.recv_many(&mut waiters, QUEUE)).await {
                let index = round(waiters.len() as u64).await;
                for waiter in waiters.drain(..) {
                    // One that gave up does not listen any more.
                    let _ = waiter.send(index.clone());
                }
            }
        });
        Self { queue: sender }
    }

    /// Waits for the next round to end; gives the entry that must be applied before the read.
    pub async fn join(&self) -> Result<u64, Refusal> {
        let (waiter, index) = oneshot::channel();
        self.queue.send(waiter).await.map_err(|_| Refusal::NotLeader { leader: None })?;
        index.await.map_err(|_| Refusal::NotLeader { leader: None })?
    }
}

/// One round to the other voters; this node has to lead.
pub(crate) async fn leader_round(raft: &Raft) -> Result<u64, Refusal> {
    match raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(linearizer) => Ok(linearizer.read_log_id().index()),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward))) => Err(not_leader(forward.leader_id)),
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)) | RaftError::Fatal(_)) => {
            Err(Refusal::NotLeader { leader: None })
        }
    }
}
