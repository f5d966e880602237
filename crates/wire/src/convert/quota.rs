use types::{Account, Limits, Lin, Quota, QuotaState};

use super::enumeration::Numbered;
use crate::invalid::required;
use crate::v1::account::Account as Kind;
use crate::{InvalidMessage, v1};

impl From<Account> for v1::Account {
    fn from(account: Account) -> Self {
        let kind = match account {
            Account::Directory(lin) => Kind::Directory(lin.0),
            Account::User(uid) => Kind::User(uid),
        };
        Self { account: Some(kind) }
    }
}

impl TryFrom<v1::Account> for Account {
    type Error = InvalidMessage;

    fn try_from(account: v1::Account) -> Result<Self, InvalidMessage> {
        Ok(match required("account", account.account)? {
            Kind::Directory(lin) => Self::Directory(Lin(lin)),
            Kind::User(uid) => Self::User(uid),
        })
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        Self { bytes: limits.bytes, inodes: limits.inodes }
    }
}

impl From<v1::Limits> for Limits {
    fn from(limits: v1::Limits) -> Self {
        Self { bytes: limits.bytes, inodes: limits.inodes }
    }
}

/// Without the path, which whoever sends it has to look up.
impl From<Quota> for v1::Quota {
    fn from(quota: Quota) -> Self {
        Self {
            account: Some(quota.account.into()),
            limits: Some(quota.limits.into()),
            used_bytes: quota.used_bytes,
            used_inodes: quota.used_inodes,
            state: quota.state.number(),
            path: bytes::Bytes::new(),
        }
    }
}

impl TryFrom<v1::Quota> for Quota {
    type Error = InvalidMessage;

    fn try_from(quota: v1::Quota) -> Result<Self, InvalidMessage> {
        Ok(Self {
            account: required("quota.account", quota.account)?.try_into()?,
            limits: required("quota.limits", quota.limits)?.into(),
            used_bytes: quota.used_bytes,
            used_inodes: quota.used_inodes,
            state: QuotaState::from_number("quota.state", quota.state)?,
        })
    }
}
