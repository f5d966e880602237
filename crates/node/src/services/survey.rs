//! How the cluster is: from the state of this node, and from what the other nodes say of themselves.

use std::sync::Arc;
use std::time::Duration;

use consensus::Vote;
use futures::future::join_all;
use namespace::TimeJump;
use types::{Node, NodeId, PlacementGroup, Pool, Timestamp};
use wire::v1;

use crate::member::Member;
use crate::peers::Traffic;
use crate::volumes::{Condition, FailedVolume};
use crate::{NodeError, keyring};

/// A node that does not answer by then is shown as not reached.
const DEADLINE: Duration = Duration::from_secs(2);

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This node alone, as when another node asks.
    ThisNode,
    /// All nodes.
    AllNodes,
}

/// The status of the cluster as this node sees it.
///
/// It is read from this node's own state, so that it is shown without a leader too.
///
/// # Errors
/// The state or the keystore of this node cannot be read.
pub async fn status(member: &Arc<Member>, scope: Scope) -> Result<v1::ClusterStatus, NodeError> {
    let records: Records = member.read_local(Records::read).await?;
    let raft = member.consensus.status();
    let nodes = match scope {
        Scope::ThisNode => vec![own_status(member, &records).await?],
        Scope::AllNodes => survey(member, &records).await?,
    };
    Ok(v1::ClusterStatus {
        cluster: member.identity.cluster.to_string(),
        answered_by: member.node().0,
        leader: raft.leader.map(NodeId::get),
        term: raft.term,
        applied_index: raft.applied.unwrap_or_default(),
        first_nodes: member.identity.first_nodes.into(),
        ready: !records.pools.is_empty(),
        warnings: warnings(member, &records, raft.leader, &nodes),
        nodes,
        pools: records.pools.into_iter().map(Into::into).collect(),
        placement_groups: u32::try_from(records.groups.len()).unwrap_or(u32::MAX),
        state_time: Some(records.state_time.into()),
        time_jump: records.time_jump.map(time_jump),
    })
}

/// What all nodes say of themselves, by number.
///
/// # Errors
/// The state or the keystore of this node cannot be read.
pub async fn nodes(member: &Arc<Member>) -> Result<Vec<v1::NodeStatus>, NodeError> {
    let records = member.read_local(Records::read).await?;
    survey(member, &records).await
}

struct Records {
    nodes: Vec<Node>,
    pools: Vec<Pool>,
    groups: Vec<PlacementGroup>,
    state_time: Timestamp,
    time_jump: Option<TimeJump>,
}

impl Records {
    fn read(view: namespace::View) -> Result<Self, NodeError> {
        Ok(Self {
            nodes: view.nodes()?,
            pools: view.pools()?,
            groups: view.placement_groups()?,
            state_time: view.state_time(),
            time_jump: view.time_jump(),
        })
    }
}

async fn survey(member: &Arc<Member>, records: &Records) -> Result<Vec<v1::NodeStatus>, NodeError> {
    let ask = async |node: &Node| {
        if node.id == member.node() {
            return own_status(member, records).await;
        }
        Ok(ask_peer(member, node).await.unwrap_or_else(|| unreached(member, node)))
    };
    join_all(records.nodes.iter().map(ask)).await.into_iter().collect()
}

async fn ask_peer(member: &Member, node: &Node) -> Option<v1::NodeStatus> {
    // Where it says that it is, which Raft may not know yet.
    let known = member.registry.node(node.id).unwrap_or_else(|| node.clone());
    let mut client = member.peers.channel(node.id, &known.address, Traffic::Urgent).ok()?.cluster();
    let asked = client.status(v1::ClusterStatusRequest {});
    let answer = member.platform.clock.timeout(DEADLINE, asked).await.ok()?.ok()?.into_inner();
    let its_own = answer.nodes.into_iter().find(|status| status.node.as_ref().is_some_and(|of| of.id == node.id.0))?;
    Some(v1::NodeStatus { role: role(member, node.id).into(), ..its_own })
}

fn unreached(member: &Member, node: &Node) -> v1::NodeStatus {
    v1::NodeStatus { node: Some(node.clone().into()), role: role(member, node.id).into(), ..Default::default() }
}

async fn own_status(member: &Arc<Member>, records: &Records) -> Result<v1::NodeStatus, NodeError> {
    let node = records.nodes.iter().find(|node| node.id == member.node()).cloned();
    let Condition { room, damaged_blocks, failed } = member.volumes.condition().await;
    Ok(v1::NodeStatus {
        node: node.map(Into::into),
        role: role(member, member.node()).into(),
        reachable: true,
        capacity_bytes: room.capacity_bytes,
        free_bytes: room.free_bytes,
        missing_secrets: keyring::missing(member).await?.iter().map(ToString::to_string).collect(),
        block_bytes: room.block_bytes,
        failed_volumes: failed.into_iter().map(failed_volume).collect(),
        damaged_blocks,
        clock: Some(member.witness.testimony()),
    })
}

fn failed_volume(failed: FailedVolume) -> v1::FailedVolume {
    let FailedVolume { volume, folder, reason } = failed;
    v1::FailedVolume { volume: volume.to_string(), folder: folder.display().to_string(), reason }
}

fn time_jump(jump: TimeJump) -> v1::TimeJump {
    v1::TimeJump { from: Some(jump.from.into()), shown: Some(jump.shown.into()) }
}

fn role(member: &Member, node: NodeId) -> v1::NodeRole {
    match member.consensus.status().members.iter().find(|standing| standing.node == node).map(|found| found.vote) {
        Some(Vote::Voter) => v1::NodeRole::Voter,
        Some(Vote::Learner) => v1::NodeRole::Learner,
        None => v1::NodeRole::Unspecified,
    }
}

/// What an admin should know, one sentence each.
fn warnings(member: &Member, records: &Records, leader: Option<NodeId>, nodes: &[v1::NodeStatus]) -> Vec<String> {
    let mut warnings = Vec::new();
    if leader.is_none() {
        warnings.push("No leader is known: a majority of the voters has to be up and reach each other.".to_owned());
    }
    if records.pools.is_empty() {
        let (joined, first) = (records.nodes.len(), member.identity.first_nodes);
        warnings.push(format!("The cluster is forming: {joined} of {first} first nodes have joined."));
    }
    if let Some(jump) = records.time_jump {
        let ahead = Duration::from_secs(jump.shown.seconds_after(records.state_time));
        warnings.push(format!(
            "The leader's clock is {ahead:?} ahead of what has passed for sure, and nothing is removed by its age: set it \
             right, or accept its time with `holdfast cluster accept-time`."
        ));
    }
    for status in nodes {
        let node = status.node.as_ref().map_or(0, |node| node.id);
        if !status.reachable {
            warnings.push(format!("Node {node} is not reached."));
        }
        if !status.missing_secrets.is_empty() {
            warnings.push(format!("Node {node} lacks {}.", status.missing_secrets.join(", ")));
        }
        if status.damaged_blocks > 0 {
            let count = status.damaged_blocks;
            warnings.push(format!("Node {node}: {count} of its blocks are damaged and count as copies no more."));
        }
        let failed = status.failed_volumes.iter();
        warnings.extend(failed.map(|failed| format!("Node {node}: {}.", failed.reason)));
    }
    warnings
}
