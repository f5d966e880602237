//! The way in for everything else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use namespace::View;
use types::{NodeId, OperationError, Outcome, Request};

use crate::member::Member;
use crate::membership::Change;
use crate::read::Rounds;
use crate::route::Proof;
use crate::{ConsensusError, Status};

/// A member of the Raft group. Clones are the same member.
#[derive(Clone)]
pub struct Handle {
    member: Arc<Member>,
    /// Rounds to the leader, wherever it is.
    rounds: Rounds,
    /// The same for reads that are content with its lease.
    leased: Rounds,
}

/// What one request gave: its outcome, or why the state machine refused it. Both are decided by the log.
pub type RequestResult = Result<Outcome, OperationError>;

impl Handle {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        let start = |name, proof| {
            let (asking, limit) = (Arc::clone(&member), member.options.timing.request_deadline);
            Rounds::start(&member.tasks, name, member.clock.clone(), limit, move |reads| {
                let asking = Arc::clone(&asking);
                async move { asking.read_round(proof, reads).await }
            })
        };
        let (rounds, leased) = (start("reads", Proof::Round), start("leased-reads", Proof::Lease));
        Self { member, rounds, leased }
    }

    /// Puts requests into the log and gives their results, in their order, once this node's leader has applied them.
    ///
    /// The requests of one call are never split over entries. On any node but the leader they are handed to it. While
    /// there is no leader the call waits, up to [`crate::Timing::request_deadline`]. Requests that certainly were not
    /// proposed are tried again; those that may have been only if every one has a key, which makes a second
    /// application give the first result.
    ///
    /// # Errors
    /// See [`ConsensusError`]; [`ConsensusError::maybe_applied`] tells whether the requests may have been applied.
    pub async fn propose(&self, requests: Vec<Request>) -> Result<Vec<RequestResult>, ConsensusError> {
        self.member.propose(requests).await
    }

    /// Gives a view of the state that holds everything that was acknowledged anywhere before the call.
    ///
    /// Works on every member: a follower asks the leader how far it must have applied, and waits until it has. One
    /// round to the other voters serves all reads that were queued before it began (rule P4).
    ///
    /// # Errors
    /// There is no leader within the deadline, or it or this node does not get on, or consensus has stopped.
    pub async fn read(&self) -> Result<View, ConsensusError> {
        self.read_after(&self.rounds).await
    }

    /// Gives the same view without a round to the other voters, while the leader's lease holds; else it makes one.
    ///
    /// It is for what callers keep for a while anyway: of a leader whose machine was stopped, clocks and all, for longer
    /// than an election takes, a view may be old by less than a second.
    ///
    /// # Errors
    /// As [`Handle::read`].
    pub async fn read_leased(&self) -> Result<View, ConsensusError> {
        self.read_after(&self.leased).await
    }

    async fn read_after(&self, rounds: &Rounds) -> Result<View, ConsensusError> {
        let waited = self.member.options.timing.request_deadline;
        let seen = self.member.clock.timeout(waited, async {
            let index = rounds.join().await;
            self.member.check_running()?;
            let index = index.map_err(|refusal| self.member.failure(refusal, waited))?;
            self.member.wait_applied(index).await
        });
        seen.await.unwrap_or_else(|_| Err(self.member.no_answer()))?;
        self.local_view()
    }

    /// Gives a view of what this node has applied so far: a prefix of the history that may be old.
    ///
    /// After a restart it may even be older than one that was given before.
    ///
    /// # Errors
    /// The state store failed.
    pub fn local_view(&self) -> Result<View, ConsensusError> {
        Ok(self.member.states.view()?)
    }

    /// Waits until this node has applied the entry of that number.
    ///
    /// # Errors
    /// It has not within the deadline, or consensus has stopped.
    pub async fn wait_applied(&self, index: u64) -> Result<(), ConsensusError> {
        self.member.wait_applied(index).await
    }

    /// Founds the group with this node as its only member, and waits until it leads.
    ///
    /// # Errors
    /// [`ConsensusError::AlreadyInitialized`] if the node belongs to a group.
    pub async fn initialize(&self) -> Result<(), ConsensusError> {
        self.member.initialize().await
    }

    /// Adds a node that gets all entries and has no vote. Of a member, whether it votes or not, it changes the address.
    ///
    /// Like all changes of membership this may be called on any member; a change waits, up to the deadline, for one
    /// that is in progress.
    ///
    /// # Errors
    /// There is no leader, or another change is in progress.
    pub async fn add_learner(&self, node: NodeId, address: &str) -> Result<(), ConsensusError> {
        self.member.change(Change::AddLearner { node, address: address.to_owned() }).await
    }

    /// Gives a learner a vote, once it has almost all entries.
    ///
    /// # Errors
    /// It is no learner, or too far behind: [`ConsensusError::Membership`] says which; or another change is in progress:
    /// [`ConsensusError::ChangeInProgress`].
    pub async fn promote(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.member.change(Change::Promote { node }).await
    }

    /// Takes a voter's vote; it stays a learner.
    ///
    /// # Errors
    /// It is the last voter, or another change is in progress.
    pub async fn demote(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.member.change(Change::Demote { node }).await
    }

    /// Removes a learner from the group. Its number is never given to another.
    ///
    /// # Errors
    /// It still votes, or another change is in progress.
    pub async fn remove(&self, node: NodeId) -> Result<(), ConsensusError> {
        self.member.change(Change::Remove { node }).await
    }

    /// Hands leadership to the voter with the most entries, if this node leads and there is another voter; waits until
    /// it has taken over.
    ///
    /// # Errors
    /// It has not within `deadline`; this node then leads on.
    pub async fn transfer_leadership(&self, deadline: Duration) -> Result<(), ConsensusError> {
        self.member.transfer_leadership(deadline).await
    }

    /// What this member knows of itself and the group.
    #[must_use]
    pub fn status(&self) -> Status {
        self.member.status()
    }

    /// Whether this node leads, as far as it knows.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.member.is_leader()
    }

    /// Waits until [`Handle::status`] satisfies a condition, and gives it.
    ///
    /// # Errors
    /// [`ConsensusError::Stopped`] if consensus stops first.
    pub async fn wait_status(&self, condition: impl FnMut(&Status) -> bool + Send) -> Result<Status, ConsensusError> {
        self.member.wait_status(condition).await
    }

    /// Answers a message that another member's [`crate::Transport`] has brought. The caller has authenticated it as a
    /// node of this cluster.
    ///
    /// # Errors
    /// The message is malformed, for another node, or consensus has stopped: the transport reports it to the sender as
    /// [`crate::TransportError::Refused`].
    pub async fn serve(&self, message: Bytes) -> Result<Bytes, ConsensusError> {
        self.member.serve(message).await
    }

    /// Makes the applied state durable and stops this member. Leadership is not handed over: see
    /// [`Handle::transfer_leadership`].
    ///
    /// # Errors
    /// The state could not be flushed, or a task did not end within `deadline`. Nothing is lost by either.
    pub async fn stop(&self, deadline: Duration) -> Result<(), ConsensusError> {
        self.member.stop(deadline).await
    }
}
