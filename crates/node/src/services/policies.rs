//! Policies: what is backed up, and where to.

use tonic::{Request, Response, Status};
use types::{Operation, Outcome, PolicyId, Registration, SiteId};
use wire::v1;
use wire::v1::policies_server::Policies;

use super::service;
use crate::founding::unexpected;

service! {
    /// Policies: what is backed up, and where to.
    PoliciesService
}

#[tonic::async_trait]
impl Policies for PoliciesService {
    async fn create(&self, request: Request<v1::CreatePolicyRequest>) -> Result<Response<v1::Policy>, Status> {
        let v1::CreatePolicyRequest { name, roots, site } = request.into_inner();
        let roots = roots.into_iter().map(Into::into).collect();
        let create = Registration::CreatePolicy { name, roots, site: SiteId(site) };
        match self.daemon.member()?.propose(Operation::Register(create)).await? {
            Outcome::Policy(policy) => Ok(Response::new(policy.into())),
            other => Err(unexpected("CreatePolicy", &other).into()),
        }
    }

    async fn list(
        &self,
        _request: Request<v1::ListPoliciesRequest>,
    ) -> Result<Response<v1::ListPoliciesResponse>, Status> {
        let policies = self.daemon.member()?.read(|view| view.policies()).await?;
        let policies = policies.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListPoliciesResponse { policies }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeletePolicyRequest>,
    ) -> Result<Response<v1::DeletePolicyResponse>, Status> {
        let delete = Registration::DeletePolicy { policy: PolicyId(request.into_inner().policy) };
        self.daemon.member()?.propose(Operation::Register(delete)).await?;
        Ok(Response::new(v1::DeletePolicyResponse {}))
    }
}
