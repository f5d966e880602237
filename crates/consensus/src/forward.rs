//! Requests for a leader elsewhere: those that wait together go in one message.
//!
//! Only requests that may be carried out twice come here. So when this member hears of another leader, it waits no
//! longer for the answer of the old one, whose outcome is then unknown, and the callers turn to the new one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use openraft::async_runtime::watch::WatchReceiver;
use runtime::{Clock, Tasks};
use tokio::sync::watch;
use types::NodeId;

use crate::collect::{Collector, Reply, Submission};
use crate::member::status_of;
use crate::message::{Answer, Message, Part, decode_answer, encode_message};
use crate::metrics::Metrics;
use crate::payload::EncodedRequests;
use crate::raft_types::Raft;
use crate::route::Refusal;
use crate::{Batching, MessageKind, Options, Transport, TransportError};

/// What forwarding needs; clones share it.
#[derive(Clone)]
pub(crate) struct Forwarding {
    node: NodeId,
    raft: Raft,
    leader: watch::Receiver<Option<NodeId>>,
    transport: Arc<dyn Transport>,
    /// How long a leader is waited for.
    limit: Duration,
    batching: Batching,
    metrics: Metrics,
}

impl Forwarding {
    /// What a member forwards with.
    pub fn new(
        options: &Options,
        raft: &Raft,
        leader: &watch::Receiver<Option<NodeId>>,
        transport: &Arc<dyn Transport>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            node: options.node,
            raft: raft.clone(),
            leader: leader.clone(),
            transport: Arc::clone(transport),
            limit: options.timing.request_deadline,
            batching: options.batching,
            metrics: metrics.clone(),
        }
    }

    /// Starts to carry what is submitted here to the leader.
    pub fn start(self, tasks: &Tasks, clock: Clock) -> Collector {
        Collector::start(tasks, "forwarder", clock, self.batching, move |batch| self.clone().forward(batch).boxed())
    }

    async fn forward(mut self, batch: Vec<Submission>) {
        let message = Message::ProposeAll(batch.iter().map(part).collect());
        let replies = match self.leader_elsewhere() {
            Some((leader, address)) => self.send(leader, &address, &message, batch.len()).await,
            None => Err(Refusal::NotLeader { leader: None }),
        };
        match replies {
            Ok(replies) => batch.into_iter().zip(replies).for_each(|(submission, reply)| submission.answer(reply)),
            Err(refusal) => batch.into_iter().for_each(|submission| submission.answer(Err(refusal.clone()))),
        }
    }

    fn leader_elsewhere(&self) -> Option<(NodeId, String)> {
        let status = status_of(self.node, &self.raft.metrics().borrow_watched());
        let leader = status.leader.filter(|leader| *leader != self.node)?;
        let member = status.members.into_iter().find(|member| member.node == leader)?;
        Some((leader, member.address))
    }

    async fn send(
        &mut self,
        leader: NodeId,
        address: &str,
        message: &Message,
        parts: usize,
    ) -> Result<Vec<Reply>, Refusal> {
        self.metrics.forward_messages.inc();
        let bytes = encode_message(leader, message);
        let sent = self.transport.send(leader, address, MessageKind::Forward, bytes, self.limit);
        let answered = tokio::select! {
            biased;
            answered = sent => answered,
            _ = self.leader.wait_for(|known| *known != Some(leader)) => return Err(Refusal::OutcomeUnknown),
        };
        replies(answered, parts)
    }
}

fn part(submission: &Submission) -> Part {
    let EncodedRequests { count, bytes } = submission.requests.clone();
    Part { name: submission.name.clone(), count: count as u64, bytes }
}

/// The replies in an answer, if there is one for each part.
fn replies(answered: Result<Bytes, TransportError>, parts: usize) -> Result<Vec<Reply>, Refusal> {
    match answered {
        Ok(bytes) => match decode_answer(&bytes) {
            Ok(Answer::ProposedAll(replies)) if replies.len() == parts => Ok(replies),
            Ok(_) | Err(_) => Err(Refusal::OutcomeUnknown),
        },
        Err(TransportError::Unreachable { .. } | TransportError::Refused { .. }) => Err(Refusal::Unreachable),
        Err(TransportError::NoAnswer { .. }) => Err(Refusal::OutcomeUnknown),
    }
}
