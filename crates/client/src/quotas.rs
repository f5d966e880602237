//! Quotas of directories and users.

use bytes::Bytes;
use types::{Account, Limits, Quota};
use wire::{Connection, InvalidMessage, v1};

use crate::{Client, ClientError};

/// Quotas that one call lists.
const QUOTAS_PER_CALL: u32 = 1024;

/// A quota and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuota {
    /// The quota.
    pub quota: Quota,
    /// The path of the directory; empty for a user, or if the path is longer than any that can be used.
    pub path: Bytes,
}

impl Client {
    /// Sets a quota, or other limits of one.
    ///
    /// # Errors
    /// `NotFound` when the directory is not there, `InvalidRequest` when it is none.
    pub async fn set_quota(&self, account: Account, limits: Limits) -> Result<NamedQuota, ClientError> {
        let action = "set the quota";
        let request = v1::SetQuotaRequest { account: Some(account.into()), limits: Some(limits.into()) };
        let send = |to: Connection| async move { to.quotas().set(request).await };
        named(action, self.router().call_once(action, send).await?)
    }

    /// A quota with what is used of it.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn quota(&self, account: Account) -> Result<NamedQuota, ClientError> {
        let action = "tell the quota";
        let request = v1::ShowQuotaRequest { account: Some(account.into()) };
        let send = |to: Connection| async move { to.quotas().show(request).await };
        named(action, self.router().call(action, send).await?)
    }

    /// All quotas: those of directories, then those of users, by number.
    ///
    /// # Errors
    /// When no node answers.
    pub async fn quotas(&self) -> Result<Vec<NamedQuota>, ClientError> {
        let action = "list the quotas";
        let mut quotas: Vec<NamedQuota> = Vec::new();
        loop {
            let after = quotas.last().map(|last| last.quota.account.into());
            let request = v1::ListQuotasRequest { after, limit: QUOTAS_PER_CALL };
            let send = |to: Connection| async move { to.quotas().list(request).await };
            let page = self.router().call(action, send).await?.quotas;
            let is_last = page.len() < QUOTAS_PER_CALL as usize;
            for quota in page {
                quotas.push(named(action, quota)?);
            }
            if is_last {
                return Ok(quotas);
            }
        }
    }

    /// Removes a quota.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn remove_quota(&self, account: Account) -> Result<(), ClientError> {
        let request = v1::RemoveQuotaRequest { account: Some(account.into()) };
        let send = |to: Connection| async move { to.quotas().remove(request).await };
        self.router().call_once("remove the quota", send).await.map(drop)
    }
}

fn named(action: &'static str, mut quota: v1::Quota) -> Result<NamedQuota, ClientError> {
    let path = std::mem::take(&mut quota.path);
    let quota = Quota::try_from(quota).map_err(|source: InvalidMessage| ClientError::BadAnswer { action, source })?;
    Ok(NamedQuota { quota, path })
}
