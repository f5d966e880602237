//! Quotas: what a user, or everything below a directory, may have.

use bytes::Bytes;
use namespace::View;
use tonic::{Request, Response, Status};
use types::{Account, Limits, Operation, Quota, QuotaOperation};
use wire::v1::quotas_server::Quotas;
use wire::{InvalidMessage, v1};

use super::service;
use crate::NodeError;

/// Quotas of one answer; each may come with a path of some KiB.
const QUOTAS_MAX: u32 = 1024;

service! {
    /// Quotas: what a user, or everything below a directory, may have.
    QuotasService
}

impl QuotasService {
    async fn told(&self, account: Account) -> Result<Response<v1::Quota>, Status> {
        let read = move |view: View| view.quota(account).map_err(NodeError::from).and_then(|quota| told(&view, quota));
        Ok(Response::new(self.daemon.member()?.read(read).await?))
    }
}

#[tonic::async_trait]
impl Quotas for QuotasService {
    async fn set(&self, request: Request<v1::SetQuotaRequest>) -> Result<Response<v1::Quota>, Status> {
        let v1::SetQuotaRequest { account, limits } = request.into_inner();
        let account = account_of(account)?;
        let limits = Limits::from(limits.ok_or(InvalidMessage::Missing { field: "limits" })?);
        let set = QuotaOperation::Set { account, limits };
        self.daemon.member()?.propose(Operation::Quota(set)).await?;
        self.told(account).await
    }

    async fn show(&self, request: Request<v1::ShowQuotaRequest>) -> Result<Response<v1::Quota>, Status> {
        self.told(account_of(request.into_inner().account)?).await
    }

    async fn list(&self, request: Request<v1::ListQuotasRequest>) -> Result<Response<v1::ListQuotasResponse>, Status> {
        let v1::ListQuotasRequest { after, limit } = request.into_inner();
        let after = after.map(Account::try_from).transpose()?;
        let limit = limit.clamp(1, QUOTAS_MAX) as usize;
        let read = move |view: View| {
            let quotas = view.quotas(after, limit)?;
            quotas.into_iter().map(|quota| told(&view, quota)).collect::<Result<Vec<_>, NodeError>>()
        };
        let quotas = self.daemon.member()?.read(read).await?;
        Ok(Response::new(v1::ListQuotasResponse { quotas }))
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveQuotaRequest>,
    ) -> Result<Response<v1::RemoveQuotaResponse>, Status> {
        let account = account_of(request.into_inner().account)?;
        self.daemon.member()?.propose(Operation::Quota(QuotaOperation::Remove { account })).await?;
        Ok(Response::new(v1::RemoveQuotaResponse {}))
    }
}

fn account_of(account: Option<v1::Account>) -> Result<Account, InvalidMessage> {
    account.ok_or(InvalidMessage::Missing { field: "account" })?.try_into()
}

/// A quota with the path of its directory, for people.
fn told(view: &View, quota: Quota) -> Result<v1::Quota, NodeError> {
    let path = match quota.account {
        Account::Directory(lin) => view.directory_path(lin)?.unwrap_or_default(),
        Account::User(_) => Bytes::new(),
    };
    Ok(v1::Quota { path, ..quota.into() })
}
