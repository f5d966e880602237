//! Secrets that this node should have and lacks: it asks its peers for them (rule P32).
//!
//! Raft says which secrets there are, by fingerprint. A node that joined after a site was added, or was down then, finds
//! here that it lacks the site's keys; one that has become a voter, that it lacks the authority's. What a peer gives is
//! checked against Raft's fingerprint, or against the authority's certificate, before it is kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Authority, RepositoryKeys, SecretText};
use consensus::{Status, Vote};
use namespace::View;
use repo::WriterKeys;
use runtime::blocking;
use types::{ErrorKind, Node, NodeId, RepositoryId, Site};
use wire::{Failure, v1};

use crate::NodeError;
use crate::member::Member;
use crate::peers::Traffic;

/// Between two looks at what is missing.
const PERIOD: Duration = Duration::from_secs(2);
/// The first pause while something is missing: a peer that has not heard of this node's vote yet soon will.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// A peer answers from memory and a small file.
const DEADLINE: Duration = Duration::from_secs(5);

/// A secret that several nodes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SharedSecret {
    /// The authority's private key; voters alone have it.
    Authority,
    /// The keys of a repository, as the crate `repo` lays them out.
    Repository(RepositoryId),
}

impl fmt::Display for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority => f.write_str("authority"),
            Self::Repository(repository) => write!(f, "repository/{repository}"),
        }
    }
}

impl FromStr for SharedSecret {
    type Err = Failure;

    fn from_str(name: &str) -> Result<Self, Failure> {
        let unknown = || Failure::new(ErrorKind::NotFound, "no_secret", format!("there is no shared secret {name:?}"));
        match name.strip_prefix("repository/") {
            Some(repository) => repository.parse().map(Self::Repository).map_err(|_| unknown()),
            None if name == "authority" => Ok(Self::Authority),
            None => Err(unknown()),
        }
    }
}

/// Runs until the member stops.
pub async fn run(member: Arc<Member>) {
    let shutdown = member.front.shutdown();
    let mut pause = PAUSE_MIN;
    while !shutdown.is_cancelled() {
        pause = match shutdown.unless_cancelled(Box::pin(look(&member))).await {
            Some(Ok(Keystore::Complete)) => PERIOD,
            Some(Ok(Keystore::Lacking)) => (pause * 2).min(PERIOD),
            Some(Err(error)) => {
                tracing::info!(%error, "cannot complete the keystore now");
                PERIOD
            }
            None => return,
        };
        if let Some(Vote::Voter) = shutdown.unless_cancelled(rest(&member, pause)).await {
            pause = PAUSE_MIN;
        }
    }
}

/// Whether the keystore holds all that it should.
enum Keystore {
    Complete,
    Lacking,
}

/// Rests that long, or until this node gets a vote, because a voter needs the authority's key. Gives the vote if it is
/// a new one.
async fn rest(member: &Member, pause: Duration) -> Vote {
    let (clock, me) = (&member.platform.clock, member.node());
    if !votes(member, me) {
        let has_vote = move |status: &Status| is_voter(status, me);
        match clock.timeout(pause, member.consensus.wait_status(has_vote)).await {
            Ok(Ok(_)) => return Vote::Voter,
            Err(_) => return Vote::Learner,
            // Raft has ended, and the process ends with it.
            Ok(Err(_)) => {}
        }
    }
    clock.sleep(pause).await;
    Vote::Learner
}

async fn look(member: &Arc<Member>) -> Result<Keystore, NodeError> {
    let mut lacking = missing(member).await?;
    for peer in member.registry.nodes().into_iter().filter(|peer| peer.id != member.node()) {
        if lacking.is_empty() {
            return Ok(Keystore::Complete);
        }
        match fetch(member, &peer, &lacking).await {
            Ok(()) => lacking = missing(member).await?,
            Err(error) => tracing::debug!(peer = %peer.id, %error, "a peer gave no secrets"),
        }
    }
    Ok(if lacking.is_empty() { Keystore::Complete } else { Keystore::Lacking })
}

/// The shared secrets that this node should have and has not.
///
/// # Errors
/// The state or the keystore cannot be read.
pub async fn missing(member: &Arc<Member>) -> Result<Vec<SharedSecret>, NodeError> {
    let is_voter = votes(member, member.node());
    let (view, keystore) = (member.consensus.local_view()?, member.keystore.clone());
    blocking(move || {
        let mut missing = Vec::new();
        if is_voter && !keystore.has_authority_key()? {
            missing.push(SharedSecret::Authority);
        }
        for site in view.sites()? {
            let keys = keystore.repository(site.repository)?;
            if !keys.is_some_and(|keys| fits(&site, &keys)) {
                missing.push(SharedSecret::Repository(site.repository));
            }
        }
        Ok(missing)
    })
    .await
}

/// Whether a node has a vote, as far as this node knows.
#[must_use]
pub fn votes(member: &Member, node: NodeId) -> bool {
    is_voter(&member.consensus.status(), node)
}

fn is_voter(status: &Status, node: NodeId) -> bool {
    status.members.iter().any(|member| member.node == node && member.vote == Vote::Voter)
}

async fn fetch(member: &Arc<Member>, peer: &Node, lacking: &[SharedSecret]) -> Result<(), NodeError> {
    let mut client = member.peers.channel(peer.id, &peer.address, Traffic::Urgent)?.keys();
    let names = lacking.iter().map(ToString::to_string).collect();
    let asked = client.fetch(v1::FetchKeysRequest { names });
    let late = |_| Failure::new(ErrorKind::Unavailable, "no_answer", format!("node {} did not answer", peer.id));
    let answer = member.platform.clock.timeout(DEADLINE, asked).await.map_err(late)??;
    install(member, answer.into_inner().secrets).await
}

/// Checks shared secrets and keeps them.
///
/// # Errors
/// One of them is unknown, or is not the one that the cluster uses; those before it are kept.
pub async fn install(member: &Arc<Member>, secrets: Vec<v1::Secret>) -> Result<(), NodeError> {
    let member = Arc::clone(member);
    let view = member.consensus.local_view()?;
    blocking(move || secrets.iter().try_for_each(|secret| install_one(&member, &view, secret))).await
}

fn install_one(member: &Member, view: &View, secret: &v1::Secret) -> Result<(), NodeError> {
    let name: SharedSecret = secret.name.parse()?;
    let wrong =
        || Failure::new(ErrorKind::Denied, "wrong_secret", format!("{name} is not the one that the cluster uses"));
    match name {
        SharedSecret::Authority => {
            let text = String::from_utf8(secret.bytes.to_vec()).map_err(|_| wrong())?;
            let key = SecretText::new(text);
            let certificate = member.keystore.authority_certificate()?.ok_or_else(wrong)?;
            Authority::load(member.identity.cluster, certificate, &key).map_err(|_| wrong())?;
            member.keystore.put_authority_key(&key)?;
        }
        SharedSecret::Repository(repository) => {
            let keys = RepositoryKeys::new(secret.bytes.as_ref().try_into().map_err(|_| wrong())?);
            let known = view.sites()?.into_iter().find(|site| site.repository == repository);
            let held = member.keystore.repository(repository)?;
            // Keys come before the site's record; then they are new, or the same as before.
            let accepted = match (&known, &held) {
                (Some(site), _) => fits(site, &keys),
                (None, Some(held)) => *held == keys,
                (None, None) => true,
            };
            if !accepted {
                return Err(wrong().into());
            }
            member.keystore.put_repository(repository, &keys)?;
        }
    }
    tracing::info!(%name, "keeps a shared secret");
    Ok(())
}

/// Reads shared secrets for a node that lacks them; the authority's key only for a voter.
///
/// # Errors
/// A name is unknown, or the keystore cannot be read.
pub async fn give(member: &Arc<Member>, to: NodeId, names: Vec<String>) -> Result<Vec<v1::Secret>, NodeError> {
    let to_voter = votes(member, to);
    let member = Arc::clone(member);
    blocking(move || {
        let mut secrets = Vec::new();
        for name in names {
            let bytes = match name.parse()? {
                SharedSecret::Authority if to_voter => {
                    let authority = member.keystore.authority(member.identity.cluster)?;
                    authority.map(|authority| authority.key_pem().expose().as_bytes().to_vec())
                }
                SharedSecret::Authority => None,
                SharedSecret::Repository(repository) => {
                    member.keystore.repository(repository)?.map(|keys| keys.expose().to_vec())
                }
            };
            secrets.extend(bytes.map(|bytes| v1::Secret { name, bytes: bytes.into() }));
        }
        Ok(secrets)
    })
    .await
}

/// Whether keys are those of a site.
#[must_use]
pub fn fits(site: &Site, keys: &RepositoryKeys) -> bool {
    WriterKeys::from_bytes(keys.expose()).is_some_and(|keys| keys.fingerprint() == site.keys_fingerprint)
}
