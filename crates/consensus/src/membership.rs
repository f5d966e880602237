//! Changes of the membership, one at a time.
//!
//! A change of the voters takes two entries: one under which both the old and the new voters decide, and one under which
//! the new ones do. **Crash**: whoever leads when the second one was not proposed, because its leader is gone or gave up,
//! proposes it. A change is planned from one membership and written only if that one still holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ChangeMembershipError, InitializeError, RaftError};
use openraft::raft::Precondition;
use openraft::{BasicNode, ChangeMembers, ServerState};
use runtime::{OnError, Tasks};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use types::NodeId;

use crate::ConsensusError;
use crate::member::{Member, status_of, stopped};
use crate::options::Timing;
use crate::raft_types::{Group, LogId, Raft, WriteError};
use crate::route::{Refusal, not_leader};
use crate::status::{Status, Vote};

/// How many entries a learner may be behind when it gets a vote. It is about a second of a busy log: until the learner
/// has them, the group needs one voter more for each quorum.
const BEHIND_MAX: u64 = 1000;

/// A change of the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    AddLearner { node: NodeId, address: String },
    Promote { node: NodeId },
    Demote { node: NodeId },
    Remove { node: NodeId },
}

impl Member {
    /// Founds the group with this node alone, and waits until it leads.
    pub async fn initialize(&self) -> Result<(), ConsensusError> {
        let node = BasicNode::new(&self.options.address);
        match self.raft.initialize(BTreeMap::from([(self.options.node.get(), node)])).await {
            Ok(()) => self.wait_status(Status::is_leader).await.map(drop),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {
                Err(ConsensusError::AlreadyInitialized { node: self.options.node })
            }
            Err(RaftError::APIError(error @ InitializeError::NotInMembers(_))) => {
                Err(ConsensusError::Membership { reason: error.to_string() })
            }
            Err(RaftError::Fatal(fatal)) => Err(stopped(&fatal)),
        }
    }

    /// Changes the membership; this node has to lead.
    pub async fn change_here(&self, change: &Change) -> Result<(), Refusal> {
        let _turn = self.changes.take_turn()?;
        let (status, at) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (status_of(self.options.node, &metrics), *metrics.membership_config.log_id())
        };
        if !status.is_leader() {
            return Err(Refusal::NotLeader { leader: status.leader });
        }
        if status.is_changing {
            return Err(Refusal::Busy { reason: "an earlier change of the voters has to be completed first".into() });
        }
        let Some(members) = plan(change, &status)? else { return Ok(()) };
        if matches!(change, Change::Demote { node } if *node == status.node) {
            // A leader without a vote would lead on until it noticed: another takes over first, and is asked again.
            let handed_over = self.transfer_leadership(self.options.timing.election_max * 2).await;
            return Err(match handed_over {
                Ok(()) => Refusal::NotLeader { leader: self.status().leader },
                Err(error) => Refusal::Busy { reason: error.to_string() },
            });
        }
        write(&self.raft, members, at).await
    }
}

/// Lets one change be under way, and completes those that were left half done; clones are the same.
#[derive(Clone)]
pub(crate) struct Changes {
    raft: Raft,
    turn: Arc<Semaphore>,
}

impl Changes {
    pub fn new(raft: Raft) -> Self {
        Self { raft, turn: Arc::new(Semaphore::new(1)) }
    }

    fn take_turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.turn.try_acquire().map_err(|_| Refusal::Busy { reason: "another change is under way".into() })
    }

    /// Starts the task that completes changes.
    pub fn start(&self, tasks: &Tasks, clock: &runtime::Clock, timing: Timing) {
        let (changes, clock, shutdown) = (self.clone(), clock.clone(), tasks.shutdown());
        tasks.spawn("membership", OnError::EndProcess, async move {
            let mut looks = clock.interval(timing.election_min);
            while shutdown.unless_cancelled(looks.tick()).await.is_some() {
                let completing = clock.timeout(timing.request_deadline, changes.complete());
                if let Some(Ok(Err(refusal))) = shutdown.unless_cancelled(completing).await {
                    tracing::info!(%refusal, "cannot complete a change of the voters now");
                }
            }
        });
    }

    /// Completes a change of the voters that nobody here is about to complete, if this node leads.
    async fn complete(&self) -> Result<(), Refusal> {
        let Ok(_turn) = self.take_turn() else { return Ok(()) };
        let (voters, at) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            let configurations = metrics.membership_config.membership().get_joint_config();
            if metrics.state != ServerState::Leader || configurations.len() < 2 {
                return Ok(());
            }
            let Some(new) = configurations.last().cloned() else { return Ok(()) };
            (new, *metrics.membership_config.log_id())
        };
        tracing::info!(?voters, "complete a change of the voters");
        write(&self.raft, ChangeMembers::ReplaceAllVoters(voters), at).await
    }
}

type Members = ChangeMembers<u64, BasicNode>;

/// Whether a voter that loses its vote stays a learner.
const KEEP_AS_LEARNER: bool = true;

/// What has to be written for a change: nothing, if it is so already.
fn plan(change: &Change, status: &Status) -> Result<Option<Members>, Refusal> {
    let member = |node: NodeId| status.members.iter().find(|member| member.node == node);
    let refuse = |reason: String| Err(Refusal::Membership { reason });
    let one = |node: NodeId| BTreeSet::from([node.get()]);
    let members = match change {
        Change::AddLearner { node, address } => {
            let known = member(*node);
            let nodes = BTreeMap::from([(node.get(), BasicNode::new(address))]);
            match known {
                Some(member) if member.address == *address => return Ok(None),
                Some(_) => ChangeMembers::SetNodes(nodes),
                None => ChangeMembers::AddNodes(nodes),
            }
        }
        Change::Promote { node } => match member(*node) {
            Some(member) if member.vote == Vote::Voter => return Ok(None),
            Some(member) => {
                let behind = status.last_log.unwrap_or(0).saturating_sub(member.matched.unwrap_or(0));
                if behind > BEHIND_MAX || member.matched.is_none() {
                    return refuse(format!("node {node} is {behind} entries behind: wait until it has caught up"));
                }
                ChangeMembers::AddVoterIds(one(*node))
            }
            None => return refuse(format!("node {node} is no member: add it as a learner first")),
        },
        Change::Demote { node } => match member(*node) {
            Some(member) if member.vote == Vote::Voter => {
                if status.voters().count() == 1 {
                    return refuse(format!("node {node} is the only voter"));
                }
                ChangeMembers::RemoveVoters(one(*node))
            }
            _ => return Ok(None),
        },
        Change::Remove { node } => match member(*node) {
            Some(member) if member.vote == Vote::Voter => {
                return refuse(format!("node {node} has a vote: demote it first"));
            }
            Some(_) => ChangeMembers::RemoveNodes(one(*node)),
            None => return Ok(None),
        },
    };
    Ok(Some(members))
}

/// Writes a change of the membership that was read at a place in the log.
async fn write(raft: &Raft, members: Members, at: Option<LogId>) -> Result<(), Refusal> {
    let unchanged: Precondition<Group> = Precondition::LastMembershipLogId { last_membership_log_id: at };
    match raft.change_membership_if(members, KEEP_AS_LEARNER, [unchanged]).await {
        Ok(_) => Ok(()),
        Err(RaftError::APIError(WriteError::ForwardToLeader(forward))) => Err(not_leader(forward.leader_id)),
        Err(RaftError::APIError(WriteError::LogEntryDiscarded(_))) | Err(RaftError::Fatal(_)) => {
            Err(Refusal::OutcomeUnknown)
        }
        Err(RaftError::APIError(WriteError::ChangeMembershipError(error))) => Err(refusal(&error)),
        Err(RaftError::APIError(error @ WriteError::PreconditionFailed(_))) => {
            Err(Refusal::Busy { reason: error.to_string() })
        }
    }
}

type ChangeError = openraft::type_config::alias::ChangeMembershipErrorOf<Group>;

fn refusal(error: &ChangeError) -> Refusal {
    let reason = error.to_string();
    match error {
        ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => {
            Refusal::Busy { reason }
        }
        _ => Refusal::Membership { reason },
    }
}
