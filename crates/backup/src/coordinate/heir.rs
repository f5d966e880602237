//! Who can own a job that this node cannot: its owner needs the keys of the job's repository.
//!
//! A job is never failed because those who have the keys are away: it waits for them. It fails only if every node says
//! that it has none.

use std::pin::pin;

use futures::{FutureExt as _, StreamExt as _, stream};
use tracing::warn;
use types::{Job, JobOperation, NodeId, Site};

use super::OwnError;
use crate::Surroundings;
use crate::surroundings::StateError;

/// Nodes that are asked at a time: all of a small cluster.
const ASKED_AT_ONCE: usize = 8;

/// The node that can own a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heir {
    /// This one, which has the keys.
    Node(NodeId),
    /// None that answers now has the keys; one that does not answer may have them.
    Away,
    /// All nodes answer, and none has the keys.
    None,
}

/// Looks for a node that can own a job: this one first, and then the others that are there.
///
/// # Errors
/// The state cannot be read.
pub async fn find_heir(around: &Surroundings, job: &Job) -> Result<Heir, OwnError> {
    let (site, others) = site_and_others(around, job).await?;
    if around.writer_keys(&site).is_some() {
        return Ok(Heir::Node(around.node));
    }
    Ok(first_with_keys(around, &site, others).await)
}

/// Gives a job whose commit is fixed, and that this node cannot put, to another node that is there: its way to the site
/// may be better. If there is none, the job stays as it is.
///
/// # Errors
/// `cause`, if there is no other node; or the state cannot be read, or the cluster did not answer.
pub async fn hand_on(around: &Surroundings, job: &Job, cause: OwnError) -> Result<(), OwnError> {
    let (site, others) = site_and_others(around, job).await?;
    let Heir::Node(heir) = first_with_keys(around, &site, others).await else { return Err(cause) };
    give_to(around, job, heir).await?;
    warn!(job = %job.id, owner = %heir, error = %cause, "the commit cannot be put from here; another node takes the job");
    Ok(())
}

/// The job's site, and the other nodes in the order in which they come after this one: so each gets its turn when a job
/// goes from node to node.
pub async fn site_and_others(around: &Surroundings, job: &Job) -> Result<(Site, Vec<NodeId>), OwnError> {
    let (state, site, here) = (around.state.clone(), job.site, around.node);
    let read = move || {
        let view = state.view().map_err(OwnError::from)?;
        let mut others: Vec<_> = view.nodes()?.into_iter().map(|node| node.id).filter(|node| *node != here).collect();
        others.sort_unstable_by_key(|node| (*node < here, *node));
        Ok::<_, OwnError>((view.site(site)?, others))
    };
    runtime::blocking(read).await
}

async fn first_with_keys(around: &Surroundings, site: &Site, others: Vec<NodeId>) -> Heir {
    first_of(others, |node| has_keys(around, node, site)).await
}

/// The first node, in the order given, that says that it has the keys. Several are asked at a time, so that those that
/// hang cost the time of one.
async fn first_of<A: Future<Output = Option<bool>>>(nodes: Vec<NodeId>, ask: impl Fn(NodeId) -> A) -> Heir {
    let asked = stream::iter(nodes).map(|node| ask(node).map(move |answer| (node, answer)));
    let mut answers = pin!(asked.buffered(ASKED_AT_ONCE));
    let mut heir = Heir::None;
    while let Some((node, answer)) = answers.next().await {
        match answer {
            Some(true) => return Heir::Node(node),
            Some(false) => {}
            None => heir = Heir::Away,
        }
    }
    heir
}

/// Whether a node has the keys; `None` if it does not answer.
async fn has_keys(around: &Surroundings, node: NodeId, site: &Site) -> Option<bool> {
    if !around.peers.is_alive(node) {
        return None;
    }
    let answer = around.peers.has_keys(node, site.clone()).await;
    answer.inspect_err(|error| tracing::debug!(error = %error, "a node does not say whether it has keys")).ok()
}

/// Gives a job to a node, under the next fence.
///
/// # Errors
/// The job has another owner by now, or has ended, or the cluster did not answer.
pub async fn give_to(around: &Surroundings, job: &Job, heir: NodeId) -> Result<(), StateError> {
    let take = JobOperation::Take { job: job.id, fence: job.fence, coordinator: heir };
    around.state.propose(take).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runtime::Clock;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nodes_that_hang_are_waited_for_at_the_same_time_and_the_first_in_order_is_taken() {
        const PATIENCE: Duration = Duration::from_secs(5);
        let clock = Clock::real();
        let begun = clock.now();
        let ask = |node: NodeId| {
            let clock = clock.clone();
            async move {
                let hangs = node.0 < 5;
                clock.sleep(if hangs { PATIENCE } else { Duration::ZERO }).await;
                (!hangs).then_some(node.0 > 5)
            }
        };
        let heir = first_of((2..=7).map(NodeId).collect(), ask).await;
        assert_eq!(heir, Heir::Node(NodeId(6)));
        assert!(clock.now() - begun < PATIENCE * 2, "{:?}", clock.now() - begun);

        assert_eq!(first_of((2..=5).map(NodeId).collect(), ask).await, Heir::Away);
        assert_eq!(first_of(vec![NodeId(5)], ask).await, Heir::None);
    }
}
