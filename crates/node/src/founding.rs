//! Making a new cluster of this one node.
//!
//! **Order.** The identity as joining; the keystore; the empty Raft log; Raft founded and this node registered in it; the identity as member.
//! A crash before the last step leaves a folder that says joining, which the next try empties; nobody was told anything
//! before that step, and no other node has heard of the cluster.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Authority, Credentials, Expiry, Identity, IdentityFile, Keystore, NodeKey, Secret};
use runtime::blocking;
use types::{ClusterId, NewNode, NodeId, Operation, Outcome, Registration, VolumeId};

use crate::member::{self, Member};
use crate::volumes::Volumes;
use crate::{Daemon, NodeError, joining};

/// The number of the node that founds the cluster: the first that the state machine gives.
const FOUNDER: NodeId = NodeId(1);
/// How long a join token is good for: an evening's work.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A common name in a certificate has at most 64 characters (RFC 5280, appendix A.1).
const ADMIN_NAME_MAX: usize = 64;

/// What the admin gets to know of the new cluster.
pub struct Founded {
    /// The cluster.
    pub cluster: ClusterId,
    /// `host:port` of this node.
    pub address: String,
    /// The authority's certificate, in PEM.
    pub authority_pem: String,
    /// The first admin's certificate and key. They are kept nowhere in the cluster.
    pub admin: Credentials,
    /// One token for each node that is to join.
    pub tokens: Vec<String>,
}

/// What is made before Raft is.
struct Prepared {
    identity: Identity,
    authority: Authority,
    fingerprint: String,
}

/// Makes a cluster of this one node, and makes this process its first member.
///
/// # Errors
/// The node is a member already, or something could not be written; then it may be tried again.
pub async fn found(daemon: &Arc<Daemon>, first_nodes: u32, admin: &str) -> Result<Founded, NodeError> {
    joining::refuse_member(daemon)?;
    let first_nodes = u16::try_from(first_nodes)
        .ok()
        .filter(|nodes| matches!(nodes, 1 | 3 | 5))
        .ok_or(NodeError::FirstNodes { first_nodes })?;
    if admin.is_empty() || admin.len() > ADMIN_NAME_MAX {
        return Err(NodeError::AdminName { length: admin.len() });
    }
    joining::clear_remains(daemon).await?;
    // A port that is taken is found out before anything is written.
    let listener = runtime::net::listen(daemon.config.network.listen).await?;
    let volumes = Volumes::create(daemon).await?;
    let prepared = prepare(daemon, first_nodes, volumes.ids()).await?;
    let member = Member::open(daemon, prepared.identity.clone(), volumes).await?;
    if let Err(error) = register(daemon, &member, &prepared).await {
        joining::abandon(&member).await;
        return Err(error);
    }
    member.go_live(daemon, listener);
    describe(daemon, &member, &prepared, admin).await
}

/// What the admin is told.
async fn describe(
    daemon: &Daemon,
    member: &Arc<Member>,
    prepared: &Prepared,
    admin: &str,
) -> Result<Founded, NodeError> {
    let platform = &daemon.platform;
    let admin = prepared.authority.issue_admin(admin, platform.seed.bytes(), platform.wall())?;
    let others = prepared.identity.first_nodes.saturating_sub(1);
    Ok(Founded {
        cluster: prepared.identity.cluster,
        address: daemon.config.network.advertise.clone(),
        authority_pem: prepared.authority.certificate().pem().to_owned(),
        admin,
        tokens: issue_tokens(member, others.into()).await?,
    })
}

/// Writes the identity as joining, and then all keys and the empty log.
async fn prepare(daemon: &Arc<Daemon>, first_nodes: u16, volumes: Vec<VolumeId>) -> Result<Prepared, NodeError> {
    let daemon = Arc::clone(daemon);
    blocking(move || {
        let platform = &daemon.platform;
        let cluster = ClusterId(platform.seed.uuid());
        let identity = Identity::joining(cluster, FOUNDER, first_nodes, volumes);
        IdentityFile::new(platform.files.clone(), daemon.folder.path().to_owned()).write(&identity)?;
        let authority = Authority::create(cluster, platform.wall())?;
        let key = NodeKey::generate()?;
        let request = key.signing_request()?;
        let certificate = authority.sign_node(&request, FOUNDER, platform.seed.bytes(), platform.wall())?;
        let keystore = Keystore::open(platform.files.clone(), daemon.folder.keystore())?;
        keystore.put_authority_certificate(authority.certificate())?;
        keystore.put_authority_key(&authority.key_pem())?;
        keystore.put_node(&Credentials::new(&certificate, authority.certificate(), &key)?)?;
        keystore.put_gear_seed(&Secret::new(platform.seed.bytes()))?;
        member::create_log(&daemon, FOUNDER)?;
        Ok(Prepared { identity, authority, fingerprint: key.fingerprint().as_str().to_owned() })
    })
    .await
}

/// Founds the Raft group with this node as its first entry, and then writes the identity as a member's.
async fn register(daemon: &Daemon, member: &Member, prepared: &Prepared) -> Result<(), NodeError> {
    register_in_raft(member, prepared.fingerprint.clone()).await?;
    let file = IdentityFile::new(daemon.platform.files.clone(), daemon.folder.path().to_owned());
    let identity = prepared.identity.clone().into_member();
    blocking(move || file.write(&identity)).await?;
    member.refresh_registry().await
}

async fn register_in_raft(member: &Member, key_fingerprint: String) -> Result<(), NodeError> {
    member.consensus.initialize().await?;
    let node = NewNode {
        address: member.config.network.advertise.clone(),
        volumes: member.identity.volumes.clone(),
        key_fingerprint,
    };
    match member.propose(Operation::Register(Registration::AddNode(node))).await? {
        Outcome::Node(node) if node.id == FOUNDER => Ok(()),
        Outcome::Node(node) => Err(NodeError::FounderNumber { found: node.id, expected: FOUNDER }),
        other => Err(unexpected("AddNode", &other)),
    }
}

/// Issues join tokens on this node.
///
/// The node redeems them itself, so it must be one that can sign certificates.
///
/// # Errors
/// The node does not have the authority's key, or the book cannot be written.
pub async fn issue_tokens(member: &Arc<Member>, count: u32) -> Result<Vec<String>, NodeError> {
    let member = Arc::clone(member);
    blocking(move || {
        let authority = member.keystore.authority(member.identity.cluster)?;
        let authority = authority.ok_or_else(|| NodeError::NotAuthority { node: member.node() })?;
        let expiry = Expiry { now: member.platform.wall(), lifetime: TOKEN_LIFETIME };
        let address = &member.config.network.advertise;
        let mut book = member.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (0..count)
            .map(|_| {
                let token = book.issue(
                    member.identity.cluster,
                    address.clone(),
                    authority.certificate(),
                    expiry,
                    &member.platform.seed,
                );
                Ok(token?.encode())
            })
            .collect()
    })
    .await
}

/// An outcome that does not belong to the operation.
pub fn unexpected(operation: &str, outcome: &Outcome) -> NodeError {
    NodeError::Answer { peer: "the state machine".to_owned(), reason: format!("{operation} gave {outcome:?}") }
}
