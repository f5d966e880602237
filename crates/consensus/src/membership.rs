//! Changes of the membership, one at a time.

use std::collections::{BTreeMap, BTreeSet};

use openraft::errors::{ChangeMembershipError, InitializeError, RaftError};
use openraft::{BasicNode, ChangeMembers};
use serde::{Deserialize, Serialize};
use types::NodeId;

use crate::ConsensusError;
use crate::member::{Member, stopped};
use crate::raft_types::{Raft, WriteError};
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
        let status = self.status();
        if !status.is_leader() {
            return Err(Refusal::NotLeader { leader: status.leader });
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
        write(&self.raft, members).await
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

async fn write(raft: &Raft, members: Members) -> Result<(), Refusal> {
    match raft.change_membership(members, KEEP_AS_LEARNER).await {
        Ok(_) => Ok(()),
        Err(RaftError::APIError(WriteError::ForwardToLeader(forward))) => Err(not_leader(forward.leader_id)),
        Err(RaftError::APIError(WriteError::LogEntryDiscarded(_))) | Err(RaftError::Fatal(_)) => {
            Err(Refusal::OutcomeUnknown)
        }
        Err(RaftError::APIError(WriteError::ChangeMembershipError(error))) => Err(refusal(&error)),
        Err(RaftError::APIError(error @ WriteError::PreconditionFailed(_))) => {
            Err(Refusal::Membership { reason: error.to_string() })
        }
    }
}

type ChangeError = openraft::type_config::alias::ChangeMembershipErrorOf<crate::raft_types::Group>;

fn refusal(error: &ChangeError) -> Refusal {
    let reason = error.to_string();
    match error {
        ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => {
            Refusal::Busy { reason }
        }
        _ => Refusal::Membership { reason },
    }
}
