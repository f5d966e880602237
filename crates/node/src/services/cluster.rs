//! The cluster as a whole.

use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use types::{ErrorKind, Operation};
use wire::v1::cluster_server::Cluster;
use wire::{Failure, v1};

use super::enrolment::check_address;
use super::survey::{self, Scope};
use super::{calling_node, is_from_node, service, too_many};
use crate::membership::Request as MembershipRequest;
use crate::{NodeError, founding};

/// Tokens that one call makes.
const TOKENS_PER_CALL: u32 = 64;

service! {
    /// The cluster as a whole.
    ClusterService
}

impl ClusterService {
    /// Hands a request to the task that founds and joins, and waits for its answer.
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, NodeError>>) -> MembershipRequest,
    ) -> Result<T, Status> {
        let stopping = || Failure::new(ErrorKind::Unavailable, "stopping", "this node is stopping");
        let (reply, answer) = oneshot::channel();
        self.daemon.membership.send(request(reply)).await.map_err(|_| stopping())?;
        Ok(answer.await.map_err(|_| stopping())??)
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn initialize(
        &self,
        request: Request<v1::InitializeRequest>,
    ) -> Result<Response<v1::InitializeResponse>, Status> {
        let v1::InitializeRequest { first_nodes, admin } = request.into_inner();
        let founded = self.ask(|reply| MembershipRequest::Found { first_nodes, admin, reply }).await?;
        Ok(Response::new(v1::InitializeResponse {
            cluster: founded.cluster.to_string(),
            address: founded.address,
            authority_pem: founded.authority_pem,
            admin_certificate_pem: founded.admin.chain_pem,
            admin_key_pem: founded.admin.key_pem.expose().to_owned(),
            tokens: founded.tokens,
        }))
    }

    async fn create_tokens(
        &self,
        request: Request<v1::CreateTokensRequest>,
    ) -> Result<Response<v1::CreateTokensResponse>, Status> {
        let member = self.daemon.member()?;
        let count = request.into_inner().count;
        if !(1..=TOKENS_PER_CALL).contains(&count) {
            return Err(too_many("count", count as usize).into());
        }
        let tokens = founding::issue_tokens(member, count).await?;
        Ok(Response::new(v1::CreateTokensResponse { tokens }))
    }

    async fn join(
        &self,
        request: Request<v1::JoinClusterRequest>,
    ) -> Result<Response<v1::JoinClusterResponse>, Status> {
        let token = request.into_inner().token;
        let joined = self.ask(|reply| MembershipRequest::Join { token, reply }).await?;
        Ok(Response::new(v1::JoinClusterResponse { node: joined.node.0, cluster: joined.cluster.to_string() }))
    }

    async fn accept_time(
        &self,
        request: Request<v1::AcceptTimeRequest>,
    ) -> Result<Response<v1::AcceptTimeResponse>, Status> {
        let member = self.daemon.member()?;
        let shown = wire::time("shown", request.into_inner().shown)?;
        member.propose(Operation::AcceptTime { shown }).await?;
        let state_time = member.read(|view| Ok::<_, NodeError>(view.state_time())).await?;
        Ok(Response::new(v1::AcceptTimeResponse { state_time: Some(state_time.into()) }))
    }

    async fn announce(&self, request: Request<v1::AnnounceRequest>) -> Result<Response<v1::AnnounceResponse>, Status> {
        let caller = calling_node(&request)?;
        let address = request.into_inner().address;
        check_address(&address)?;
        self.daemon.member()?.registry.announce(caller, &address);
        Ok(Response::new(v1::AnnounceResponse {}))
    }

    async fn status(&self, request: Request<v1::ClusterStatusRequest>) -> Result<Response<v1::ClusterStatus>, Status> {
        let scope = if is_from_node(&request) { Scope::ThisNode } else { Scope::AllNodes };
        let status = survey::status(self.daemon.member()?, scope).await?;
        Ok(Response::new(status))
    }
}
