//! Who can go on with a job whose site this node cannot use: another one is mounted here, or none, or it is out of reach.
//!
//! Each node sees a site in its own way, so the others that are there are asked. A job fails only if every one of them
//! says that it cannot use the site either; the failure tells what each has found. While one does not say, the job waits.

use std::fmt;

use tracing::{debug, warn};
use types::{Fence, Job, NodeId, Site};

use super::OwnError;
use super::heir::{give_to, site_and_others};
use crate::Surroundings;
use crate::surroundings::PeerError;

/// A job that has had so many owners goes to no other one for the sake of its site: some node says that it can use the
/// site, and cannot.
const LAST_FENCE: Fence = Fence(32);

/// What a node that cannot use a site found there.
#[derive(Debug)]
pub struct Finding {
    /// The node.
    pub node: NodeId,
    /// What it found.
    pub found: String,
}

/// What the other nodes say.
enum Way {
    /// This one can use the site.
    Node(NodeId),
    /// One that is there has not answered.
    Unknown,
    /// None of those that are there can.
    None(Vec<Finding>),
}

/// Looks for another node for a job whose commit is not fixed, if it failed because this node cannot use its site. While
/// that is not known, the job stays as it is: its owner is started again after a pause.
///
/// Gives what the job fails with, if it does.
///
/// # Errors
/// The state cannot be read, or the cluster did not answer.
pub async fn pass_on(around: &Surroundings, job: &Job, cause: OwnError) -> Result<Option<OwnError>, OwnError> {
    if !cause.is_of_the_way() || job.fence >= LAST_FENCE {
        return Ok(Some(cause));
    }
    let (site, others) = site_and_others(around, job).await?;
    match find(around, &site, others).await {
        Way::Node(heir) => {
            give_to(around, job, heir).await?;
            warn!(job = %job.id, owner = %heir, error = %cause, "this node cannot use the site; another one takes the job");
            Ok(None)
        }
        Way::Unknown => {
            warn!(job = %job.id, error = %cause, "the job waits for a node to say whether it can use the site");
            Ok(None)
        }
        Way::None(findings) if findings.is_empty() => Ok(Some(cause)),
        Way::None(mut findings) => {
            findings.insert(0, Finding { node: around.node, found: cause.finding() });
            Ok(Some(OwnError::NoWay { site: site.name, repository: site.repository, findings }))
        }
    }
}

async fn find(around: &Surroundings, site: &Site, others: Vec<NodeId>) -> Way {
    let (mut findings, mut way) = (Vec::new(), None);
    for node in others.into_iter().filter(|node| around.peers.is_alive(*node)) {
        match ask(around, node, site).await {
            Ok(None) => return Way::Node(node),
            Ok(Some(found)) => findings.push(Finding { node, found }),
            Err(error) => {
                debug!(error = %error, "a node does not say whether it can use a site");
                way = Some(Way::Unknown);
            }
        }
    }
    way.unwrap_or(Way::None(findings))
}

/// Why a node cannot own a job of the site; `None` if it can.
async fn ask(around: &Surroundings, node: NodeId, site: &Site) -> Result<Option<String>, PeerError> {
    if !around.peers.has_keys(node, site.clone()).await? {
        return Ok(Some("it has no keys for the repository".to_owned()));
    }
    around.peers.site_problem(node, site.clone()).await
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: {}", self.node, self.found)
    }
}
