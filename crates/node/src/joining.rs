//! Joining a cluster with a token.
//!
//! **Order.** The identity as joining, without a number, and this node's key; then the cluster is asked. It gives number,
//! certificate and secrets, which go to the keystore; then the empty Raft log is made; then the identity is written as
//! member's, and only then Raft is started, because from that moment the node may be given a vote. A crash before that
//! leaves a folder that says joining: with the same token the node asks again with the same key and gets the same number.
//! So a member without a log has lost it, and must not start with an empty one (rule P6).

use std::sync::Arc;
use std::time::Duration;

use cluster::{
    AuthorityCertificate, Credentials, Identity, IdentityFile, Keystore, MembershipState, NodeKey, Secret, Token,
    cluster_name, fetch_authority,
};
use consensus::Status;
use runtime::blocking;
use types::{ClusterId, NodeId, VolumeId};
use wire::{ClientTls, Endpoint, v1};

use crate::member::{self, Member};
use crate::volumes::Volumes;
use crate::{Daemon, NodeError, ending};

/// The leader looks for new nodes several times a second; a cluster with much state needs longer to send it.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(120);
/// What a half-made member has to close is empty.
const ABANDON_DEADLINE: Duration = Duration::from_secs(5);

/// What the admin gets to know.
pub struct Joined {
    /// The node's number.
    pub node: NodeId,
    /// The cluster.
    pub cluster: ClusterId,
}

/// Makes this node a member of the cluster that made the token; returns once it has caught up.
///
/// # Errors
/// The node is a member already, the token is refused, or the cluster cannot be reached; then it may be tried again.
pub async fn join(daemon: &Arc<Daemon>, token: &str) -> Result<Joined, NodeError> {
    refuse_member(daemon)?;
    let token: Token = token.parse()?;
    let kept_key = clear_remains(daemon).await?.filter(|kept| kept.cluster == token.cluster).map(|kept| kept.key);
    // A port that is taken is found out before anything is written.
    let listener = runtime::net::listen(daemon.config.network.listen).await?;
    let authority = fetch_authority(token.cluster, &token.address, token.authority_pin).await?;
    let volumes = Volumes::create(daemon).await?;
    let identity = match enrol(daemon, &token, authority, kept_key, volumes.ids()).await {
        Ok(identity) => identity,
        Err(error) => {
            volumes.close().await;
            return Err(error);
        }
    };
    let joined = Joined { node: identity.node, cluster: identity.cluster };
    let member = Member::open(daemon, identity, volumes).await?;
    member.go_live(daemon, listener);
    catch_up(&member).await?;
    Ok(joined)
}

/// Gets this node its number, its certificate and the cluster's secrets, and keeps them.
async fn enrol(
    daemon: &Arc<Daemon>,
    token: &Token,
    authority: AuthorityCertificate,
    kept_key: Option<NodeKey>,
    volumes: Vec<VolumeId>,
) -> Result<Identity, NodeError> {
    let key = prepare(daemon, token.cluster, volumes.clone(), kept_key).await?;
    let answer = ask(daemon, token, &authority, &key, &volumes).await?;
    keep(daemon, token, authority, key, answer, volumes).await
}

/// Refuses a node that is a member already.
///
/// # Errors
/// It is one.
pub fn refuse_member(daemon: &Daemon) -> Result<(), NodeError> {
    match daemon.member() {
        Ok(member) => Err(NodeError::AlreadyMember { identity: member.identity.to_string() }),
        Err(_) => Ok(()),
    }
}

/// What is left of a join that did not come to its end.
pub struct Kept {
    /// The cluster that was to be joined.
    cluster: ClusterId,
    /// The key that may be registered there already.
    key: NodeKey,
}

/// Removes what a founding or a join has left that did not come to its end, except the node's key.
///
/// # Errors
/// The folder holds something that no identity explains, or cannot be used.
pub async fn clear_remains(daemon: &Arc<Daemon>) -> Result<Option<Kept>, NodeError> {
    let daemon = Arc::clone(daemon);
    blocking(move || {
        let (files, folder) = (&daemon.platform.files, &daemon.folder);
        let identity = IdentityFile::new(files.clone(), folder.path().to_owned()).read()?;
        let Some(identity) = identity else {
            return if files.exists(&folder.raft())? || files.exists(&folder.raft_marker())? {
                Err(NodeError::Unexplained { path: folder.raft() })
            } else {
                Ok(None)
            };
        };
        if identity.state == MembershipState::Member {
            return Err(NodeError::AlreadyMember { identity: identity.to_string() });
        }
        files.remove_dir_all(&folder.raft())?;
        files.remove_if_there(&folder.raft_marker())?;
        files.remove_if_there(&folder.tokens())?;
        let key = Keystore::open(files.clone(), folder.keystore())?.node_key()?;
        let key = key.map(|pem| NodeKey::from_pem(&pem)).transpose()?;
        Ok(key.map(|key| Kept { cluster: identity.cluster, key }))
    })
    .await
}

/// Closes a member that did not come to life, so that it can be tried again.
pub async fn abandon(member: &Member) {
    if let Err(error) = ending::close(member, ABANDON_DEADLINE).await {
        tracing::warn!(%error, "a half-made member was not closed in order");
    }
}

/// Writes the identity as joining, and the key with which this node asks.
async fn prepare(
    daemon: &Arc<Daemon>,
    cluster: ClusterId,
    volumes: Vec<VolumeId>,
    kept_key: Option<NodeKey>,
) -> Result<NodeKey, NodeError> {
    let daemon = Arc::clone(daemon);
    blocking(move || {
        let (files, folder) = (&daemon.platform.files, &daemon.folder);
        let identity = Identity::joining(cluster, NodeId(0), 0, volumes);
        IdentityFile::new(files.clone(), folder.path().to_owned()).write(&identity)?;
        let key = kept_key.map_or_else(NodeKey::generate, Ok)?;
        Keystore::open(files.clone(), folder.keystore())?.put_node_key(&key.to_pem())?;
        Ok(key)
    })
    .await
}

/// Asks the node that made the token to take this one in.
async fn ask(
    daemon: &Daemon,
    token: &Token,
    authority: &AuthorityCertificate,
    key: &NodeKey,
    volumes: &[VolumeId],
) -> Result<v1::JoinResponse, NodeError> {
    let tls = ClientTls {
        server_name: cluster_name(token.cluster),
        authority: wire::Authority(authority.pem().to_owned()),
        identity: None,
    };
    let connection = Endpoint::Tcp { address: token.address.clone(), tls }.connect().await?;
    let request = v1::JoinRequest {
        secret: token.secret.expose().to_vec().into(),
        certificate_request_pem: key.signing_request()?,
        address: daemon.config.network.advertise.clone(),
        volumes: volumes.iter().map(VolumeId::to_string).collect(),
    };
    Ok(connection.enrolment().join(request).await?.into_inner())
}

/// Keeps what the cluster gave, makes the empty log, and writes the identity as a member's: the last step before Raft.
async fn keep(
    daemon: &Arc<Daemon>,
    token: &Token,
    authority: AuthorityCertificate,
    key: NodeKey,
    answer: v1::JoinResponse,
    volumes: Vec<VolumeId>,
) -> Result<Identity, NodeError> {
    let wrong = |reason: String| NodeError::Answer { peer: token.address.clone(), reason };
    if answer.cluster != token.cluster.to_string() {
        return Err(wrong(format!("it belongs to cluster {}, not to {}", answer.cluster, token.cluster)));
    }
    let first_nodes = u16::try_from(answer.first_nodes).map_err(|error| wrong(error.to_string()))?;
    let (daemon, cluster) = (Arc::clone(daemon), token.cluster);
    blocking(move || {
        let (files, folder) = (&daemon.platform.files, &daemon.folder);
        let keystore = Keystore::open(files.clone(), folder.keystore())?;
        keystore.put_authority_certificate(&authority)?;
        keystore.put_node(&Credentials::new(&answer.certificate_pem, &authority, &key)?)?;
        keystore.put_gear_seed(&Secret::new(answer.gear_seed.to_be_bytes()))?;
        member::create_log(&daemon, NodeId(answer.node))?;
        let identity = Identity::joining(cluster, NodeId(answer.node), first_nodes, volumes).into_member();
        IdentityFile::new(files.clone(), folder.path().to_owned()).write(&identity)?;
        Ok(identity)
    })
    .await
}

/// Waits until the leader has taken this node in and it has applied what was committed then.
async fn catch_up(member: &Member) -> Result<(), NodeError> {
    let node = member.node();
    let is_in =
        move |status: &Status| status.leader.is_some() && status.members.iter().any(|member| member.node == node);
    let clock = &member.platform.clock;
    let late = |_| NodeError::Answer {
        peer: "the cluster".to_owned(),
        reason: format!("this node is node {node} now, but no leader took it in within {CATCH_UP_DEADLINE:?}"),
    };
    clock.timeout(CATCH_UP_DEADLINE, member.consensus.wait_status(is_in)).await.map_err(late)??;
    // A linearizable read waits for everything that was acknowledged before it.
    clock.timeout(CATCH_UP_DEADLINE, member.consensus.read()).await.map_err(late)??;
    member.refresh_registry().await
}
