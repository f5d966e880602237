//! What the leader has to do next for the membership: a pure decision.
//!
//! A member that says that it is elsewhere now is noted there. A node that is registered and not in the Raft group becomes
//! a learner. While the cluster forms, the first nodes become
//! voters one after another once they have caught up, and when all are, the pool is formed. Later nodes stay learners.

use types::{Node, NodeId};

/// How far behind a learner may be to be called caught up, in entries.
const LAG_MAX: u64 = 100;
/// Placement groups of the first pool: several for each of the volumes of a small cluster, so that the load is even,
/// and few enough that their table is read at a glance.
pub const GROUPS: u32 = 64;

/// What the decision is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// How many nodes the cluster begins with.
    pub first_nodes: usize,
    /// The nodes that are registered, by number, which is the order in which they came.
    pub nodes: Vec<Node>,
    /// The members of the Raft group.
    pub members: Vec<Standing>,
    /// The last entry of the leader's log.
    pub last_log: u64,
    /// Whether the pool is there.
    pub pool: Pool,
}

/// A member of the Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its number.
    pub node: NodeId,
    /// Where the group looks for it.
    pub address: String,
    /// Whether it votes.
    pub vote: consensus::Vote,
    /// The last entry that it has, as the leader knows.
    pub matched: Option<u64>,
}

/// Whether the first pool has been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// It is there.
    Formed,
    /// It is not.
    Missing,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Note that a member is elsewhere.
    Move {
        /// The node.
        node: NodeId,
        /// Where it is.
        address: String,
    },
    /// Let a registered node have all entries.
    AddLearner {
        /// The node.
        node: NodeId,
        /// Where it is.
        address: String,
    },
    /// Give a learner a vote.
    Promote {
        /// The node.
        node: NodeId,
    },
    /// Make the first pool over these nodes.
    FormPool {
        /// Copies of each block.
        replicas: u16,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
}

/// The next thing to do, if there is any.
#[must_use]
pub fn next_step(situation: &Situation) -> Option<Step> {
    let steps = [move_member, add_learner, promote, form_pool];
    steps.iter().find_map(|step| step(situation))
}

fn move_member(situation: &Situation) -> Option<Step> {
    let has_moved =
        |node: &Node| situation.members.iter().any(|member| member.node == node.id && member.address != node.address);
    let node = situation.nodes.iter().find(|node| has_moved(node))?;
    Some(Step::Move { node: node.id, address: node.address.clone() })
}

fn add_learner(situation: &Situation) -> Option<Step> {
    let is_member = |node: &Node| situation.members.iter().any(|member| member.node == node.id);
    let node = situation.nodes.iter().find(|node| !is_member(node))?;
    Some(Step::AddLearner { node: node.id, address: node.address.clone() })
}

fn promote(situation: &Situation) -> Option<Step> {
    let founding: Vec<NodeId> = first_nodes(situation);
    let caught_up = |member: &&Standing| {
        member.vote == consensus::Vote::Learner
            && founding.contains(&member.node)
            && member.matched.is_some_and(|matched| matched + LAG_MAX >= situation.last_log)
    };
    situation.members.iter().find(caught_up).map(|member| Step::Promote { node: member.node })
}

fn form_pool(situation: &Situation) -> Option<Step> {
    let voters = situation.members.iter().filter(|member| member.vote == consensus::Vote::Voter).count();
    let complete = situation.first_nodes > 0 && voters >= situation.first_nodes;
    if situation.pool == Pool::Formed || !complete {
        return None;
    }
    let replicas = if situation.first_nodes >= 3 { 3 } else { 1 };
    Some(Step::FormPool { replicas, nodes: first_nodes(situation) })
}

fn first_nodes(situation: &Situation) -> Vec<NodeId> {
    situation.nodes.iter().take(situation.first_nodes).map(|node| node.id).collect()
}

#[cfg(test)]
mod tests {
    use consensus::Vote;
    use types::{Incarnation, VolumeId};

    use super::*;

    fn node(id: u64) -> Node {
        Node {
            id: NodeId(id),
            address: format!("n{id}:7400"),
            volumes: vec![VolumeId(uuid::Uuid::from_u128(id.into()))],
            incarnation: Incarnation(0),
            key_fingerprint: String::new(),
        }
    }

    fn standing(id: u64, vote: Vote, matched: u64) -> Standing {
        Standing { node: NodeId(id), address: format!("n{id}:7400"), vote, matched: Some(matched) }
    }

    fn situation(nodes: &[u64], members: Vec<Standing>) -> Situation {
        let nodes = nodes.iter().copied().map(node).collect();
        Situation { first_nodes: 3, nodes, members, last_log: 1000, pool: Pool::Missing }
    }

    #[test]
    fn a_cluster_of_three_forms_step_by_step() {
        let mut now = situation(&[1, 5, 9], vec![standing(1, Vote::Voter, 1000)]);
        let mut steps = Vec::new();
        while let Some(step) = next_step(&now) {
            match &step {
                Step::AddLearner { node, .. } => now.members.push(standing(node.0, Vote::Learner, 990)),
                Step::Promote { node } => {
                    let member = now.members.iter_mut().find(|member| member.node == *node).unwrap();
                    member.vote = Vote::Voter;
                }
                Step::FormPool { .. } => now.pool = Pool::Formed,
                Step::Move { .. } => panic!("no node has moved"),
            }
            steps.push(step);
        }
        let address = |id| format!("n{id}:7400");
        assert_eq!(
            steps,
            [
                Step::AddLearner { node: NodeId(5), address: address(5) },
                Step::AddLearner { node: NodeId(9), address: address(9) },
                Step::Promote { node: NodeId(5) },
                Step::Promote { node: NodeId(9) },
                Step::FormPool { replicas: 3, nodes: vec![NodeId(1), NodeId(5), NodeId(9)] },
            ]
        );
    }

    #[test]
    fn nothing_is_formed_before_the_last_of_the_first_nodes() {
        let members = vec![standing(1, Vote::Voter, 1000), standing(5, Vote::Voter, 1000)];
        assert_eq!(next_step(&situation(&[1, 5], members)), None);
    }

    #[test]
    fn a_learner_that_is_behind_gets_no_vote() {
        let members =
            vec![standing(1, Vote::Voter, 1000), standing(5, Vote::Voter, 1000), standing(9, Vote::Learner, 100)];
        assert_eq!(next_step(&situation(&[1, 5, 9], members)), None);
    }

    #[test]
    fn a_single_node_forms_a_pool_of_one_copy() {
        let mut single = situation(&[1], vec![standing(1, Vote::Voter, 5)]);
        single.first_nodes = 1;
        assert_eq!(next_step(&single), Some(Step::FormPool { replicas: 1, nodes: vec![NodeId(1)] }));
    }

    #[test]
    fn a_member_that_registered_another_address_is_noted_there_before_anything_else() {
        let voters = [1, 5, 9].map(|id| standing(id, Vote::Voter, 1000));
        let mut moved = situation(&[1, 5, 9], voters.to_vec());
        moved.nodes[1].address = "elsewhere:7400".to_owned();
        let step = Step::Move { node: NodeId(5), address: "elsewhere:7400".to_owned() };
        assert_eq!(next_step(&moved), Some(step));
        moved.members[1].address = "elsewhere:7400".to_owned();
        assert!(matches!(next_step(&moved), Some(Step::FormPool { .. })));
    }

    #[test]
    fn a_later_node_becomes_a_learner_and_stays_one() {
        let voters = [1, 5, 9].map(|id| standing(id, Vote::Voter, 1000));
        let mut grown = situation(&[1, 5, 9, 40], voters.to_vec());
        grown.pool = Pool::Formed;
        assert!(matches!(next_step(&grown), Some(Step::AddLearner { node: NodeId(40), .. })));
        grown.members.push(standing(40, Vote::Learner, 1000));
        assert_eq!(next_step(&grown), None);
    }
}
