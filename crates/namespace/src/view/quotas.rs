//! Quotas, and what is used of them.

use types::{Account, Lin, Quota, QuotaState};

use super::View;
use crate::accounts::saturated;
use crate::error::{Failure, StoreError};
use crate::history::Moment;
use crate::keys::KeyRange;
use crate::ops::quota::no_quota;
use crate::read::Read as _;
use crate::rows::{QuotaRow, Used};
use crate::tables::{Quotas, Scopes, Usages};
use crate::tree;

/// Quotas; they are those of the head, whatever the view's moment. All calls block.
impl View {
    /// A quota with what is used of it.
    ///
    /// # Errors
    /// There is none, or the store failed.
    pub fn quota(&self, account: Account) -> Result<Quota, Failure> {
        let row = self.rows.row::<Quotas>(&account)?.ok_or_else(|| no_quota(account))?;
        Ok(self.with_usage(account, row)?)
    }

    /// At most so many quotas after one: those of directories, then those of users, by number.
    ///
    /// # Errors
    /// The store failed.
    pub fn quotas(&self, after: Option<Account>, limit: usize) -> Result<Vec<Quota>, StoreError> {
        let range = after.map_or_else(KeyRange::all, |account| KeyRange::all().after(&account));
        let rows = self.rows.rows::<Quotas>(range).take(limit);
        rows.map(|row| row.and_then(|(account, row)| self.with_usage(account, row))).collect()
    }

    /// Files of every kind that a user owns, and their bytes, whether or not there is a quota.
    ///
    /// # Errors
    /// The store failed.
    pub fn owned_by(&self, uid: u32) -> Result<(u64, u64), StoreError> {
        let used = self.used(Account::User(uid))?;
        Ok((used.inodes, saturated(used.bytes)))
    }

    /// Of the enforced quotas for which the content of a directory counts, the one that leaves the fewest bytes.
    ///
    /// # Errors
    /// The LIN is not there or not a directory, or the store failed.
    pub fn tightest_quota(&self, directory: Lin) -> Result<Option<Quota>, Failure> {
        tree::directory(&*self.rows, Moment::Head, directory)?;
        let mut tightest: Option<Quota> = None;
        let mut next = Some(directory);
        while let Some(lin) = next {
            let account = Account::Directory(lin);
            if let Some(row) = self.rows.row::<Quotas>(&account)? {
                let quota = self.with_usage(account, row)?;
                let free = |quota: &Quota| quota.free_bytes().unwrap_or(u64::MAX);
                let limits = quota.state == QuotaState::Enforced && quota.limits.bytes.is_some();
                if limits && tightest.is_none_or(|tightest| free(&quota) < free(&tightest)) {
                    tightest = Some(quota);
                }
            }
            next = self.rows.row::<Scopes>(&lin)?;
        }
        Ok(tightest)
    }

    /// Whether entries wait to be counted for quotas that were set or removed.
    #[must_use]
    pub fn has_uncounted(&self) -> bool {
        self.progress.quotas.recounts > 0
    }

    fn with_usage(&self, account: Account, row: QuotaRow) -> Result<Quota, StoreError> {
        let used = self.used(account)?;
        let is_enforced = matches!(account, Account::User(_)) || row.is_counted(self.progress.quotas);
        Ok(Quota {
            account,
            limits: row.limits,
            used_bytes: saturated(used.bytes),
            used_inodes: used.inodes,
            state: if is_enforced { QuotaState::Enforced } else { QuotaState::Counting },
        })
    }

    fn used(&self, account: Account) -> Result<Used, StoreError> {
        Ok(self.rows.row::<Usages>(&account)?.unwrap_or_default())
    }
}
