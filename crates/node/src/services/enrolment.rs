//! The door for nodes that are to join.

use std::sync::{Arc, PoisonError};

use ::cluster::{Authority, KeyFingerprint};
use bytes::Bytes;
use runtime::blocking;
use tonic::{Request, Response, Status};
use types::{NewNode, Node, Operation, Outcome, Registration, VolumeId};
use wire::v1::enrolment_server::Enrolment;
use wire::{InvalidMessage, v1};

use super::service;
use crate::NodeError;
use crate::founding::unexpected;
use crate::member::Member;

/// A request with a certificate request, an address and the ids of volumes has a few KiB. Strangers may send it.
pub const MESSAGE_LENGTH_MAX: usize = 64 << 10;
/// An address is a DNS name with a port.
const ADDRESS_LENGTH_MAX: usize = 300;
/// As many as a configuration may have.
const VOLUMES_MAX: usize = 64;

service! {
    /// The door for nodes that are to join.
    EnrolmentService
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    /// Looks at the token before anything else, redeems it, registers the node and signs its certificate, in this order: see `TokenBook`.
    async fn join(&self, request: Request<v1::JoinRequest>) -> Result<Response<v1::JoinResponse>, Status> {
        let member = self.daemon.member()?;
        let request = request.into_inner();
        check_token(member, request.secret.clone()).await?;
        let new = new_node(&request)?;
        let fingerprint = redeem(member, &request).await?;
        let node = register(member, NewNode { key_fingerprint: fingerprint.as_str().to_owned(), ..new }).await?;
        let certificate_pem = certify(member, node.id, request.certificate_request_pem).await?;
        let members = member.read(|view| view.nodes()).await?;
        tracing::info!(node = %node.id, address = node.address, "a node has joined");
        Ok(Response::new(v1::JoinResponse {
            node: node.id.0,
            cluster: member.identity.cluster.to_string(),
            certificate_pem,
            authority_pem: member.authority_pem.clone(),
            members: members.into_iter().map(Into::into).collect(),
            gear_seed: member.gear_seed,
            first_nodes: member.identity.first_nodes.into(),
        }))
    }
}

fn new_node(request: &v1::JoinRequest) -> Result<NewNode, InvalidMessage> {
    check_address(&request.address)?;
    if request.volumes.is_empty() || request.volumes.len() > VOLUMES_MAX {
        return Err(InvalidMessage::Range { field: "volumes", value: request.volumes.len() as u64 });
    }
    let volume = |text: &String| {
        text.parse::<VolumeId>().map_err(|_| InvalidMessage::Uuid { field: "volumes", text: text.clone() })
    };
    let volumes = request.volumes.iter().map(volume).collect::<Result<_, _>>()?;
    Ok(NewNode { address: request.address.clone(), volumes, key_fingerprint: String::new() })
}

/// Looks whether an address has the length of one.
///
/// # Errors
/// It is empty or too long.
pub fn check_address(address: &str) -> Result<(), InvalidMessage> {
    match address.len() {
        1..=ADDRESS_LENGTH_MAX => Ok(()),
        length => Err(InvalidMessage::Range { field: "address", value: length as u64 }),
    }
}

async fn check_token(member: &Arc<Member>, secret: Bytes) -> Result<(), NodeError> {
    let member = Arc::clone(member);
    blocking(move || {
        let book = member.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(book.check(&secret, member.platform.wall())?)
    })
    .await
}

async fn redeem(member: &Arc<Member>, request: &v1::JoinRequest) -> Result<KeyFingerprint, NodeError> {
    let (member, secret) = (Arc::clone(member), request.secret.clone());
    let certificate_request = request.certificate_request_pem.clone();
    blocking(move || {
        let fingerprint = Authority::examine(&certificate_request)?;
        let mut book = member.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        book.redeem(&secret, &fingerprint, member.platform.wall())?;
        Ok(fingerprint)
    })
    .await
}

async fn register(member: &Member, new: NewNode) -> Result<Node, NodeError> {
    match member.propose(Operation::Register(Registration::AddNode(new))).await? {
        Outcome::Node(node) => Ok(node),
        other => Err(unexpected("AddNode", &other)),
    }
}

async fn certify(member: &Arc<Member>, node: types::NodeId, request: String) -> Result<String, NodeError> {
    let member = Arc::clone(member);
    blocking(move || {
        let authority = member.keystore.authority(member.identity.cluster)?;
        let authority = authority.ok_or_else(|| NodeError::NotAuthority { node: member.node() })?;
        Ok(authority.sign_node(&request, node, member.platform.seed.bytes(), member.platform.wall())?)
    })
    .await
}
