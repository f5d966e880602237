//! The leader's care for the membership: takes registered nodes in, notes where they move to, gives the first ones a
//! vote, forms the pool.
//!
//! Every node runs it, and only the one that leads acts. Each step is decided from the state alone and is safe to repeat,
//! so a new leader simply goes on.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use types::{Node, Operation, Registration};

use crate::NodeError;
use crate::member::Member;
use crate::services::survey;
use plan::{GROUPS, Pool, Situation, Standing, Step, next_step};

/// Between two looks; an admin who adds a node waits for it.
const PERIOD: Duration = Duration::from_millis(250);
/// Between two attempts of a step that fails, such as adding a node that has not started Raft yet.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    while !shutdown.is_cancelled() {
        let pause = match shutdown.unless_cancelled(Box::pin(look(&member))).await {
            Some(Ok(Acted::Yes)) => Duration::ZERO,
            Some(Ok(Acted::No)) => PERIOD,
            Some(Err(error)) => {
                tracing::info!(%error, "cannot care for the membership now");
                PAUSE
            }
            None => return,
        };
        shutdown.unless_cancelled(member.platform.clock.sleep(pause)).await;
    }
}

/// Whether there was something to do.
enum Acted {
    Yes,
    No,
}

async fn look(member: &Arc<Member>) -> Result<Acted, NodeError> {
    member.refresh_registry().await?;
    if !member.consensus.is_leader() {
        return Ok(Acted::No);
    }
    match next_step(&situation(member).await?) {
        // Whoever is told that the cluster is ready may turn to any voter.
        Some(Step::FormPool { .. }) if lacks_secrets(member).await? => Ok(Acted::No),
        Some(step) => act(member, step).await.map(|()| Acted::Yes),
        None => Ok(Acted::No),
    }
}

/// Whether a node that answers says that it lacks a secret, as a new voter does until a peer has given it the
/// authority's key. One that does not answer holds nothing up.
async fn lacks_secrets(member: &Arc<Member>) -> Result<bool, NodeError> {
    Ok(survey::nodes(member).await?.iter().any(|node| !node.missing_secrets.is_empty()))
}

async fn situation(member: &Member) -> Result<Situation, NodeError> {
    let (nodes, pools): (Vec<Node>, usize) =
        member.read(|view| Ok::<_, NodeError>((view.nodes()?, view.pools()?.len()))).await?;
    let status = member.consensus.status();
    let standing = |member: consensus::Member| Standing {
        node: member.node,
        address: member.address,
        vote: member.vote,
        matched: member.matched,
    };
    Ok(Situation {
        first_nodes: member.identity.first_nodes.into(),
        nodes,
        members: status.members.into_iter().map(standing).collect(),
        last_log: status.last_log.unwrap_or_default(),
        pool: if pools > 0 { Pool::Formed } else { Pool::Missing },
    })
}

async fn act(member: &Member, step: Step) -> Result<(), NodeError> {
    tracing::info!(?step, "the membership changes");
    match step {
        Step::Move { node, address } | Step::AddLearner { node, address } => {
            member.consensus.add_learner(node, &address).await?;
        }
        Step::Promote { node } => member.consensus.promote(node).await?,
        Step::FormPool { replicas, nodes } => {
            let form = Registration::FormPool { replicas, groups: GROUPS, nodes };
            member.propose(Operation::Register(form)).await?;
        }
    }
    Ok(())
}
