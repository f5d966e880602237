//! The way to the leader, wherever it is.
//!
//! **Limits.** Every errand ends by its deadline, whatever hangs here or there. A read is tried again after
//! [`crate::Timing::message_deadline`]: a leader whose disk hangs is replaced by another meanwhile. A proposal waits for
//! the leader to which it went; one that may be done twice goes to the next as soon as this member hears of a change. It
//! is not sent again to the same leader, which has enough to do if it is slow.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::time::Instant;
use types::NodeId;

use crate::handle::RequestResult;
use crate::member::Member;
use crate::membership::Change;
use crate::message::{Answer, Message, decode_answer, encode_message};
use crate::payload::EncodedRequests;
use crate::{ConsensusError, MessageKind, TransportError};

/// Between two tries where nothing says when the next may succeed.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a member that should lead did not do what it was asked, in a form that can be sent back.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// It does not lead. Nothing was proposed.
    #[error("the node does not lead")]
    NotLeader { leader: Option<NodeId> },
    /// It could not be reached. Nothing was proposed.
    #[error("the node cannot be reached")]
    Unreachable,
    /// It was proposed and may be applied.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// Its queue was full. Nothing was proposed.
    #[error("the queue of proposals is full")]
    Overloaded,
    /// It is larger than an entry may be.
    #[error("the proposal is too large")]
    TooLarge { bytes: u64, requests: u64 },
    /// Another change of the membership has to be done first. Nothing was proposed.
    #[error("{reason}")]
    Busy { reason: String },
    /// The membership does not allow it.
    #[error("{reason}")]
    Membership { reason: String },
    /// It leads and did not answer in time. Nothing was proposed.
    #[error("the node does not get on")]
    Stalled,
}

/// Whether something may be done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The second time changes nothing, or gives the first result.
    Harmless,
    /// Only what certainly was not done may be done again.
    Never,
}

/// Something that only the leader does.
#[derive(Debug)]
pub(crate) enum Errand {
    Propose(EncodedRequests),
    ReadIndex(Proof),
    Change(Change),
}

/// What shows that the leader leads while it tells how far a member must have applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A round to the other voters.
    Round,
    /// Its lease; a round if that does not hold.
    Lease,
}

impl Errand {
    /// What is known of it when the member that it was sent to does not answer.
    const fn lost(&self) -> Refusal {
        match self {
            Self::ReadIndex(_) => Refusal::Stalled,
            Self::Propose(_) | Self::Change(_) => Refusal::OutcomeUnknown,
        }
    }
}

/// What an errand brings back.
#[derive(Debug)]
pub(crate) enum Fetched {
    Results(Vec<RequestResult>),
    Index(u64),
    Done,
}

/// What the tries of one errand came to.
struct Tries {
    repeat: Repeat,
    last: Refusal,
}

impl Tries {
    fn new(repeat: Repeat) -> Self {
        Self { repeat, last: Refusal::NotLeader { leader: None } }
    }

    /// Takes in a refusal; gives it back if another try is of no use, or not safe.
    fn note(&mut self, refusal: Refusal) -> Result<(), Refusal> {
        match refusal {
            Refusal::OutcomeUnknown if self.repeat == Repeat::Harmless => {
                self.last = Refusal::OutcomeUnknown;
                Ok(())
            }
            // What an earlier try may have done is not undone by a later one that was refused.
            refusal if self.last == Refusal::OutcomeUnknown => {
                if is_passing(&refusal) {
                    Ok(())
                } else {
                    Err(Refusal::OutcomeUnknown)
                }
            }
            refusal if is_passing(&refusal) => {
                self.last = refusal;
                Ok(())
            }
            refusal => Err(refusal),
        }
    }
}

/// Whether the same may be done in a moment, there or elsewhere.
fn is_passing(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NotLeader { .. } | Refusal::Unreachable | Refusal::Busy { .. } | Refusal::Stalled => true,
        Refusal::OutcomeUnknown | Refusal::Overloaded | Refusal::TooLarge { .. } | Refusal::Membership { .. } => false,
    }
}

impl Member {
    /// Finds the leader and does an errand there; tries again while that is safe and there is time.
    pub async fn run_errand(&self, errand: &Errand, repeat: Repeat) -> Result<Fetched, ConsensusError> {
        let waited = self.options.timing.request_deadline;
        let deadline = self.clock.now() + waited;
        let mut tries = Tries::new(repeat);
        loop {
            // In a box, since everything that proposes or reads holds this future.
            match Box::pin(self.try_errand(errand, repeat, deadline)).await {
                Ok(fetched) => return Ok(fetched),
                Err(refusal) => tries.note(refusal).map_err(|refusal| self.failure(refusal, waited))?,
            }
            if self.clock.now() + PAUSE >= deadline {
                return Err(self.failure(tries.last, waited));
            }
            self.wait_for_leader(deadline).await?;
        }
    }

    async fn try_errand(&self, errand: &Errand, repeat: Repeat, deadline: Instant) -> Result<Fetched, Refusal> {
        let leader = *self.leader.borrow();
        match (leader, errand) {
            (Some(leader), _) if leader == self.options.node => self.do_errand(errand, deadline).await,
            (Some(_), Errand::Propose(requests)) if repeat == Repeat::Harmless => {
                self.metrics.forwarded.inc_by(requests.count as u64);
                Ok(Fetched::Results(
                    self.forwarder.submit(requests.clone(), self.transport.request_name(), deadline).await?,
                ))
            }
            (Some(leader), _) => {
                let members = self.status().members;
                let address = members.iter().find(|member| member.node == leader).map(|member| &member.address);
                let address = address.ok_or(Refusal::NotLeader { leader: None })?;
                let sent = self.send_errand(errand, leader, address, deadline);
                match repeat {
                    Repeat::Never => sent.await,
                    Repeat::Harmless => tokio::select! {
                        biased;
                        answer = sent => answer,
                        () = self.other_leader_than(Some(leader)) => Err(errand.lost()),
                    },
                }
            }
            (None, _) => Err(Refusal::NotLeader { leader: None }),
        }
    }

    /// Does an errand here, where the leader should be.
    async fn do_errand(&self, errand: &Errand, deadline: Instant) -> Result<Fetched, Refusal> {
        match errand {
            Errand::Propose(requests) => {
                Ok(Fetched::Results(self.proposer.submit(requests.clone(), None, deadline).await?))
            }
            Errand::ReadIndex(proof) => Ok(Fetched::Index(self.read_index_here(*proof, deadline).await?)),
            Errand::Change(change) => {
                let changed = self.clock.timeout(self.left(deadline), self.change_here(change)).await;
                changed.unwrap_or(Err(Refusal::OutcomeUnknown)).map(|()| Fetched::Done)
            }
        }
    }

    /// How far a member must have applied to read now; this node has to lead.
    async fn read_index_here(&self, proof: Proof, deadline: Instant) -> Result<u64, Refusal> {
        let limit = self.left(deadline).min(self.options.timing.message_deadline);
        let proven = async {
            if proof == Proof::Lease
                && let Some(index) = self.lease.index().await?
            {
                self.metrics.leased_reads.inc();
                return Ok(index);
            }
            self.leader_rounds.join().await
        };
        self.clock.timeout(limit, proven).await.unwrap_or(Err(Refusal::Stalled))
    }

    fn left(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.clock.now())
    }

    async fn send_errand(
        &self,
        errand: &Errand,
        leader: NodeId,
        address: &str,
        deadline: Instant,
    ) -> Result<Fetched, Refusal> {
        let message = match errand {
            Errand::Propose(requests) => {
                self.metrics.forwarded.inc_by(requests.count as u64);
                Message::Propose { count: requests.count as u64, bytes: requests.bytes.clone() }
            }
            Errand::ReadIndex(Proof::Round) => Message::ReadIndex,
            Errand::ReadIndex(Proof::Lease) => Message::ReadLeased,
            Errand::Change(change) => Message::Change(change.clone()),
        };
        let left = self.left(deadline);
        let limit = match errand {
            Errand::ReadIndex(_) => left.min(self.options.timing.message_deadline),
            Errand::Propose(_) | Errand::Change(_) => left,
        };
        let bytes = encode_message(leader, &message);
        let sent = self.transport.send(leader, address, MessageKind::Forward, bytes, limit).await;
        let answer = match sent {
            Ok(bytes) => decode_answer(&bytes).map_err(|_| Refusal::OutcomeUnknown)?,
            Err(TransportError::Unreachable { .. } | TransportError::Refused { .. }) => {
                return Err(Refusal::Unreachable);
            }
            Err(TransportError::NoAnswer { .. }) => return Err(errand.lost()),
        };
        match answer {
            Answer::Proposed(results) => results.map(Fetched::Results),
            Answer::ReadIndex(index) => index.map(Fetched::Index),
            Answer::Changed(done) => done.map(|()| Fetched::Done),
            _ => Err(Refusal::OutcomeUnknown),
        }
    }

    /// Waits for news of a leader, or a moment.
    async fn wait_for_leader(&self, deadline: Instant) -> Result<(), ConsensusError> {
        let began = *self.leader.borrow();
        let limit = if began.is_some() { PAUSE } else { self.left(deadline) };
        // Without news the time was waited for, and the caller looks again either way.
        let _ = self.clock.timeout(limit, self.other_leader_than(began)).await;
        self.check_running()
    }

    /// Waits until this member hears of another leader, or of none, or stops.
    async fn other_leader_than(&self, known: Option<NodeId>) {
        // Without a core there is no news any more, and the caller looks why.
        let _ = self.leader.clone().wait_for(|leader| *leader != known).await;
    }

    /// Does for another member what only the leader does, and this node has to be; a message is never handed on twice.
    pub async fn do_forwarded(&self, errand: &Errand) -> Result<Fetched, Refusal> {
        if !self.is_leader() {
            return Err(Refusal::NotLeader { leader: self.status().leader });
        }
        Box::pin(self.do_errand(errand, self.clock.now() + self.options.timing.request_deadline)).await
    }

    /// What the caller is told of a refusal.
    pub fn failure(&self, refusal: Refusal, waited: Duration) -> ConsensusError {
        match refusal {
            Refusal::NotLeader { .. } | Refusal::Unreachable => ConsensusError::NoLeader { waited },
            Refusal::OutcomeUnknown => ConsensusError::OutcomeUnknown,
            Refusal::Stalled => ConsensusError::Stalled { waited },
            Refusal::Overloaded => ConsensusError::Overloaded { waited },
            Refusal::TooLarge { bytes, requests } => {
                ConsensusError::TooLarge { bytes: bytes as usize, requests: requests as usize }
            }
            Refusal::Busy { reason } => ConsensusError::ChangeInProgress { reason },
            Refusal::Membership { reason } => ConsensusError::Membership { reason },
        }
    }
}

/// The refusal of a node that does not lead.
pub(crate) fn not_leader(leader: Option<u64>) -> Refusal {
    Refusal::NotLeader { leader: leader.map(NodeId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals() -> [Refusal; 7] {
        [
            Refusal::NotLeader { leader: None },
            Refusal::Unreachable,
            Refusal::Overloaded,
            Refusal::TooLarge { bytes: 1, requests: 1 },
            Refusal::Busy { reason: "another change".into() },
            Refusal::Membership { reason: "it is no member".into() },
            Refusal::Stalled,
        ]
    }

    #[test]
    fn no_later_refusal_says_that_what_may_be_done_is_not() {
        for refusal in refusals() {
            let mut tries = Tries::new(Repeat::Harmless);
            tries.note(Refusal::OutcomeUnknown).expect("it may be tried again");
            let told = tries.note(refusal.clone()).err().unwrap_or(tries.last);
            assert_eq!(told, Refusal::OutcomeUnknown, "after it: {refusal}");
        }
    }

    #[test]
    fn without_an_unknown_outcome_the_caller_is_told_why() {
        for refusal in refusals() {
            let mut tries = Tries::new(Repeat::Never);
            let told = tries.note(refusal.clone()).err().unwrap_or(tries.last);
            assert_eq!(told, refusal);
        }
        let mut tries = Tries::new(Repeat::Never);
        assert_eq!(tries.note(Refusal::OutcomeUnknown), Err(Refusal::OutcomeUnknown), "it is not tried again");
    }
}
