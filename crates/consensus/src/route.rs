//! The way to the leader, wherever it is.

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
    ReadIndex,
    Change(Change),
}

/// What an errand brings back.
#[derive(Debug)]
pub(crate) enum Fetched {
    Results(Vec<RequestResult>),
    Index(u64),
    Done,
}

impl Member {
    /// Finds the leader and does an errand there; tries again while that is safe and there is time.
    pub async fn run_errand(&self, errand: &Errand, repeat: Repeat) -> Result<Fetched, ConsensusError> {
        let waited = self.options.timing.request_deadline;
        let deadline = self.clock.now() + waited;
        let mut last = Refusal::NotLeader { leader: None };
        loop {
            match self.try_errand(errand, deadline).await {
                Ok(fetched) => return Ok(fetched),
                Err(refusal @ (Refusal::NotLeader { .. } | Refusal::Unreachable | Refusal::Busy { .. })) => {
                    // What an earlier try may have done is not undone by a later one that did not arrive.
                    last = if last == Refusal::OutcomeUnknown { last } else { refusal };
                }
                Err(Refusal::OutcomeUnknown) if repeat == Repeat::Harmless => last = Refusal::OutcomeUnknown,
                Err(refusal) => return Err(self.failure(refusal, waited)),
            }
            if self.clock.now() + PAUSE >= deadline {
                return Err(self.failure(last, waited));
            }
            self.wait_for_leader(deadline).await?;
        }
    }

    async fn try_errand(&self, errand: &Errand, deadline: Instant) -> Result<Fetched, Refusal> {
        let status = self.status();
        match status.leader {
            Some(leader) if leader == self.options.node => self.do_errand(errand, deadline).await,
            Some(leader) => {
                let address = status.members.iter().find(|member| member.node == leader).map(|member| &member.address);
                let address = address.ok_or(Refusal::NotLeader { leader: None })?;
                self.send_errand(errand, leader, address, deadline).await
            }
            None => Err(Refusal::NotLeader { leader: None }),
        }
    }

    /// Does an errand here, where the leader should be.
    async fn do_errand(&self, errand: &Errand, deadline: Instant) -> Result<Fetched, Refusal> {
        match errand {
            Errand::Propose(requests) => Ok(Fetched::Results(self.proposer.submit(requests.clone(), deadline).await?)),
            Errand::ReadIndex => Ok(Fetched::Index(self.leader_rounds.join().await?)),
            Errand::Change(change) => self.change_here(change).await.map(|()| Fetched::Done),
        }
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
            Errand::ReadIndex => Message::ReadIndex,
            Errand::Change(change) => Message::Change(change.clone()),
        };
        let left = deadline.saturating_duration_since(self.clock.now());
        let bytes = encode_message(leader, &message);
        let sent = self.transport.send(leader, address, MessageKind::Forward, bytes, left).await;
        let answer = match sent {
            Ok(bytes) => decode_answer(&bytes).map_err(|_| Refusal::OutcomeUnknown)?,
            Err(TransportError::Unreachable { .. } | TransportError::Refused { .. }) => {
                return Err(Refusal::Unreachable);
            }
            Err(TransportError::NoAnswer { .. }) => return Err(Refusal::OutcomeUnknown),
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
        let mut news = self.raft.metrics();
        let began = self.status().leader;
        let pause = async {
            while self.status().leader == began {
                if openraft::async_runtime::watch::WatchReceiver::changed(&mut news).await.is_err() {
                    return;
                }
            }
        };
        let limit = if began.is_some() { PAUSE } else { deadline.saturating_duration_since(self.clock.now()) };
        // Without news the time was waited for, and the caller looks again either way.
        let _ = self.clock.timeout(limit, pause).await;
        self.check_running()
    }

    fn failure(&self, refusal: Refusal, waited: Duration) -> ConsensusError {
        match refusal {
            Refusal::NotLeader { .. } | Refusal::Unreachable => ConsensusError::NoLeader { waited },
            Refusal::OutcomeUnknown => ConsensusError::OutcomeUnknown,
            Refusal::Overloaded => ConsensusError::Overloaded { waited },
            Refusal::TooLarge { bytes, requests } => {
                ConsensusError::TooLarge { bytes: bytes as usize, requests: requests as usize }
            }
            Refusal::Busy { reason } | Refusal::Membership { reason } => ConsensusError::Membership { reason },
        }
    }
}

/// The refusal of a node that does not lead.
pub(crate) fn not_leader(leader: Option<u64>) -> Refusal {
    Refusal::NotLeader { leader: leader.map(NodeId) }
}
