//! What a member tells about itself and the group.

use types::NodeId;

/// What a member tells about itself and the group, as of its own knowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// What it is.
    pub role: Role,
    /// The leader that it follows, or itself.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The members, by number.
    pub members: Vec<Member>,
    /// Whether the voters are being changed: until that is done, majorities of the old and of the new ones decide.
    pub is_changing: bool,
    /// The last entry of its log.
    pub last_log: Option<u64>,
    /// The last entry that it knows to be committed.
    pub committed: Option<u64>,
    /// The last entry that is applied to its state store.
    pub applied: Option<u64>,
    /// The last entry that it has dropped from its log.
    pub purged: Option<u64>,
    /// Whether the Raft core runs; once it does not, the process ends.
    pub running: bool,
}

/// What a node is in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides the order of operations.
    Leader,
    /// It votes and follows.
    Follower,
    /// It stands for election.
    Candidate,
    /// It follows and has no vote; also a node that belongs to no group yet.
    Learner,
    /// It is stopping.
    Stopped,
}

/// A member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub node: NodeId,
    /// `host:port` at which it is reached.
    pub address: String,
    /// Whether it votes.
    pub vote: Vote,
    /// The last entry that it has, as the leader knows it; `None` on other members.
    pub matched: Option<u64>,
}

/// Whether a member votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// It counts for every quorum.
    Voter,
    /// It gets all entries and counts for none.
    Learner,
}

impl Status {
    /// The voters, by number.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().filter(|member| member.vote == Vote::Voter).map(|member| member.node)
    }

    /// The learners, by number.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().filter(|member| member.vote == Vote::Learner).map(|member| member.node)
    }

    /// The voter that should lead after this node: the one with the most entries, if this node leads.
    #[must_use]
    pub fn successor(&self) -> Option<NodeId> {
        let others = self.members.iter().filter(|member| member.vote == Vote::Voter && member.node != self.node);
        let best = others.max_by_key(|member| member.matched).map(|member| member.node);
        best.filter(|_| self.is_leader())
    }

    /// Whether this node leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }
}
