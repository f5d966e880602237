//! A member of the group: what its parts share.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftMetrics;
use runtime::{Clock, Tasks, blocking};
use tokio::sync::watch;
use tokio::time::Instant;
use types::{NodeId, Request};

use crate::collect::Collector;
use crate::handle::RequestResult;
use crate::lease::Lease;
use crate::membership::{Change, Changes};
use crate::metrics::Metrics;
use crate::payload::EncodedRequests;
use crate::raft_types::{Fatal, Group, Raft};
use crate::read::Rounds;
use crate::route::{Errand, Fetched, Proof, Refusal, Repeat};
use crate::state::{Incoming, Stores};
use crate::status::{self, Role, Status, Vote};
use crate::{ConsensusError, Options, Transport};

/// A member of the group: what its parts share.
pub(crate) struct Member {
    pub options: Options,
    pub clock: Clock,
    pub tasks: Tasks,
    pub metrics: Metrics,
    pub transport: Arc<dyn Transport>,
    pub raft: Raft,
    /// Who leads, as far as this member knows.
    pub leader: watch::Receiver<Option<NodeId>>,
    pub states: Stores,
    pub incoming: Arc<Incoming>,
    /// To the log, while this node leads.
    pub proposer: Collector,
    /// To the leader, while it is another node.
    pub forwarder: Collector,
    /// Rounds to the other voters, while this node leads.
    pub leader_rounds: Rounds,
    /// What spares them.
    pub lease: Lease,
    /// Turns at changing the membership.
    pub changes: Changes,
    /// When it may vote again: it has forgotten whom it heard before it started.
    pub votes_from: Instant,
    /// The number after the last applied entry.
    pub applied_end: watch::Receiver<u64>,
    /// Told when another member has asked how far to read.
    pub read_asked: watch::Sender<()>,
}

impl Member {
    pub async fn propose(&self, requests: Vec<Request>) -> Result<Vec<RequestResult>, ConsensusError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let keyed = requests.iter().all(|request| request.key.is_some());
        let repeat = if keyed { Repeat::Harmless } else { Repeat::Never };
        let errand = Errand::Propose(EncodedRequests::new(&requests));
        match self.run_errand(&errand, repeat).await? {
            Fetched::Results(results) if results.len() == requests.len() => Ok(results),
            _ => Err(ConsensusError::OutcomeUnknown),
        }
    }

    pub async fn change(&self, change: Change) -> Result<(), ConsensusError> {
        // Each change says how it should be in the end: a second time changes nothing.
        self.run_errand(&Errand::Change(change), Repeat::Harmless).await.map(drop)
    }

    /// Asks the leader how far a member must have applied to read now.
    pub async fn read_round(&self, proof: Proof, reads: u64) -> Result<u64, Refusal> {
        self.metrics.read_rounds.inc();
        self.metrics.reads.inc_by(reads);
        match self.run_errand(&Errand::ReadIndex(proof), Repeat::Harmless).await {
            Ok(Fetched::Index(index)) => Ok(index),
            Err(ConsensusError::Stalled { .. }) => Err(Refusal::Stalled),
            _ => Err(Refusal::NotLeader { leader: None }),
        }
    }

    pub async fn wait_applied(&self, index: u64) -> Result<(), ConsensusError> {
        let waited = self.options.timing.request_deadline;
        let mut applied = self.applied_end.clone();
        match self.clock.timeout(waited, applied.wait_for(|end| *end > index)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(self.check_running().err().unwrap_or(ConsensusError::Stalled { waited })),
            Err(_) => Err(self.no_answer()),
        }
    }

    /// What a call says that waited for its whole deadline.
    pub fn no_answer(&self) -> ConsensusError {
        let waited = self.options.timing.request_deadline;
        match self.status().leader {
            Some(_) => ConsensusError::Stalled { waited },
            None => ConsensusError::NoLeader { waited },
        }
    }

    pub async fn transfer_leadership(&self, deadline: Duration) -> Result<(), ConsensusError> {
        let status = self.status();
        let Some(to) = status.successor() else { return Ok(()) };
        let me = status.node;
        let handed_over = async {
            self.raft.trigger().transfer_leader(to.get()).await.map_err(|fatal| stopped(&fatal))?;
            self.wait_status(|status| status.leader.is_some_and(|leader| leader != me)).await
        };
        match self.clock.timeout(deadline, handed_over).await {
            Ok(handed_over) => handed_over.map(drop),
            Err(_) => Err(ConsensusError::TransferFailed { to, waited: deadline }),
        }
    }

    pub fn status(&self) -> Status {
        status_of(self.options.node, &self.raft.metrics().borrow_watched())
    }

    pub fn is_leader(&self) -> bool {
        self.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    pub async fn wait_status(
        &self,
        mut condition: impl FnMut(&Status) -> bool + Send,
    ) -> Result<Status, ConsensusError> {
        let mut news = self.raft.metrics();
        loop {
            let status = status_of(self.options.node, &news.borrow_and_update());
            if condition(&status) {
                return Ok(status);
            }
            if !status.running || news.changed().await.is_err() {
                return Err(self.check_running().err().unwrap_or(ConsensusError::Stopped { reason: "stopped".into() }));
            }
        }
    }

    /// Fails once the Raft core has stopped.
    pub fn check_running(&self) -> Result<(), ConsensusError> {
        self.raft.metrics().borrow_watched().running_state.as_ref().map(drop).map_err(stopped)
    }

    pub async fn stop(&self, deadline: Duration) -> Result<(), ConsensusError> {
        self.tasks.shutdown().cancel();
        let stuck = |what: &dyn ToString| ConsensusError::Stopped { reason: what.to_string() };
        let end = self.clock.now() + deadline;
        let left = || end.saturating_duration_since(self.clock.now());
        // A core that hangs in a write, or a disk that does: the log has everything that was acknowledged.
        let core = self.clock.timeout(left(), self.raft.shutdown()).await;
        let states = self.states.clone();
        let flushed = self.clock.timeout(left(), blocking(move || states.flush())).await;
        let ended = self.tasks.close(left()).await;
        core.map_err(|late| stuck(&late))?.map_err(|error| stuck(&error))?;
        flushed.map_err(|late| stuck(&late))??;
        ended.map_err(|late| stuck(&late))
    }
}

/// Why consensus stopped.
pub(crate) fn stopped(fatal: &Fatal) -> ConsensusError {
    ConsensusError::Stopped { reason: fatal.to_string() }
}

/// The status as openraft's metrics have it.
pub(crate) fn status_of(node: NodeId, metrics: &RaftMetrics<Group>) -> Status {
    let index = |id: &Option<crate::raft_types::LogId>| id.as_ref().map(|id| id.index);
    let membership = metrics.membership_config.membership();
    let voters: Vec<u64> = membership.voter_ids().collect();
    let matched = |node: &u64| metrics.replication.as_ref()?.get(node)?.as_ref().map(|matched| matched.index);
    let members = membership.nodes().map(|(node, address)| status::Member {
        node: NodeId(*node),
        address: address.addr.clone(),
        vote: if voters.contains(node) { Vote::Voter } else { Vote::Learner },
        matched: matched(node),
    });
    Status {
        node,
        role: match metrics.state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        },
        leader: metrics.current_leader.map(NodeId),
        term: metrics.current_term,
        members: members.collect(),
        is_changing: membership.get_joint_config().len() > 1,
        last_log: metrics.last_log_index,
        committed: index(&metrics.local_committed),
        applied: index(&metrics.last_applied),
        purged: index(&metrics.purged),
        running: metrics.running_state.is_ok(),
    }
}
