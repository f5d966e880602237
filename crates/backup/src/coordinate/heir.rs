//! Who can own a job that this node cannot: its owner needs the keys of the job's repository.
//!
//! A job is never failed because those who have the keys are away: it waits for them. It fails only if every node says
//! that it has none.

use types::{Job, JobOperation, NodeId, RepositoryId};

use super::OwnError;
use crate::Surroundings;
use crate::surroundings::StateError;

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
    let (state, site) = (around.state.clone(), job.site);
    let read = move || {
        let view = state.view().map_err(OwnError::from)?;
        Ok::<_, OwnError>((view.site(site)?.repository, view.nodes()?))
    };
    let (repository, nodes) = runtime::blocking(read).await?;
    if around.keys.writer_keys(repository).is_some() {
        return Ok(Heir::Node(around.node));
    }
    let mut heir = Heir::None;
    for node in nodes.into_iter().map(|node| node.id).filter(|node| *node != around.node) {
        match has_keys(around, node, repository).await {
            Some(true) => return Ok(Heir::Node(node)),
            Some(false) => {}
            None => heir = Heir::Away,
        }
    }
    Ok(heir)
}

/// Whether a node has the keys; `None` if it does not answer.
async fn has_keys(around: &Surroundings, node: NodeId, repository: RepositoryId) -> Option<bool> {
    if !around.peers.is_alive(node) {
        return None;
    }
    let answer = around.peers.has_keys(node, repository).await;
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
