//! Reads that see everything acknowledged before them (rule P4).
//!
//! What: a round asks the leader, and the leader a majority, how far a member must have applied to read now. Those who
//! come while a round is on its way wait for the next: a round serves only reads that were queued before it began. A
//! round that hangs is given up after its limit, so that the next can begin; those who waited for it are told.

use std::future::Future;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use runtime::{Clock, OnError, Tasks};
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
    /// Starts the task that makes the rounds; none lasts longer than `limit`.
    pub fn start<F, R>(tasks: &Tasks, name: &str, clock: Clock, limit: Duration, mut round: F) -> Self
    where
        F: FnMut(u64) -> R + Send + 'static,
        R: Future<Output = Result<u64, Refusal>> + Send,
    {
        let (sender, mut queue) = mpsc::channel::<Waiter>(QUEUE);
        let shutdown = tasks.shutdown();
        tasks.spawn(name, OnError::EndProcess, async move {
            let mut waiters = Vec::new();
            while let Some(1..) = shutdown.unless_cancelled(queue.recv_many(&mut waiters, QUEUE)).await {
                let index = clock.timeout(limit, round(waiters.len() as u64)).await;
                let index = index.unwrap_or(Err(Refusal::Stalled));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::join;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_round_serves_only_reads_that_were_queued_before_it_began() {
        let (began, mut begins) = mpsc::channel(1);
        let gate = Arc::new(Semaphore::new(0));
        let (gating, mut number) = (Arc::clone(&gate), 0);
        let limit = Duration::from_secs(60);
        let rounds = Rounds::start(&Tasks::new("test"), "reads", Clock::real(), limit, move |_| {
            number += 1;
            let (began, gate) = (began.clone(), Arc::clone(&gating));
            async move {
                began.send(number).await.expect("the test listens");
                gate.acquire().await.expect("the gate stays").forget();
                Ok(number)
            }
        });
        let (first, late) = join!(rounds.join(), async {
            assert_eq!(begins.recv().await, Some(1));
            let (late, ()) = join!(rounds.join(), async {
                gate.add_permits(1);
                assert_eq!(begins.recv().await, Some(2), "a round for the reader that came meanwhile");
                gate.add_permits(1);
            });
            late
        });
        assert_eq!((first, late), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn a_round_that_hangs_does_not_hold_up_the_next() {
        let mut number = 0;
        let limit = Duration::from_millis(20);
        let rounds = Rounds::start(&Tasks::new("test"), "reads", Clock::real(), limit, move |_| {
            number += 1;
            async move { if number == 1 { std::future::pending().await } else { Ok(number) } }
        });
        assert_eq!(rounds.join().await, Err(Refusal::Stalled));
        assert_eq!(rounds.join().await, Ok(2));
    }
}
