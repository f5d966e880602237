//! Quotas: set, removed, counted in bounded steps.

use types::{Account, Limits, OperationError, Outcome, QuotaOperation};

use super::no_record;
use crate::accounts::Judgement;
use crate::error::Failure;
use crate::read::Read as _;
use crate::rows::QuotaRow;
use crate::tables::Quotas;
use crate::transaction::Transaction;

/// Entries that one operation counts.
const COUNT_ENTRIES_MAX: u32 = 10_000;

/// Changes the quotas, or how far they are counted.
pub fn perform(tx: &mut Transaction<'_>, operation: &QuotaOperation) -> Result<Outcome, Failure> {
    let outcome = match operation {
        QuotaOperation::Set { account, limits } => set(tx, *account, *limits),
        QuotaOperation::Remove { account } => remove(tx, *account),
        QuotaOperation::Count { entries_max } => count(tx, *entries_max),
    }?;
    // What is there already is counted and not refused.
    tx.settle_accounts(Judgement::Counted)?;
    Ok(outcome)
}

/// Sets a quota. What a directory holds by then is counted first; what a user owns is always known.
fn set(tx: &mut Transaction<'_>, account: Account, limits: Limits) -> Result<Outcome, Failure> {
    if let Some(row) = tx.row::<Quotas>(&account)? {
        tx.put::<Quotas>(&account, &QuotaRow { limits, ..row });
        return Ok(Outcome::Done);
    }
    let row = QuotaRow { limits, since: tx.revision() };
    match account {
        Account::User(_) => {
            tx.put::<Quotas>(&account, &row);
            tx.progress.quotas.users += 1;
        }
        Account::Directory(lin) => {
            let directory = tx.directory(lin)?;
            tx.put::<Quotas>(&account, &row);
            tx.progress.quotas.directories += 1;
            if directory.row.size > 0 {
                tx.begin_recount(lin)?;
            }
        }
    }
    Ok(Outcome::Done)
}

/// Removes a quota. What a directory holds counts for the one above it from then on.
fn remove(tx: &mut Transaction<'_>, account: Account) -> Result<Outcome, Failure> {
    tx.row::<Quotas>(&account)?.ok_or_else(|| no_quota(account))?;
    tx.delete::<Quotas>(&account);
    let counts = &mut tx.progress.quotas;
    match account {
        Account::User(_) => counts.users = counts.users.saturating_sub(1),
        Account::Directory(lin) => {
            counts.directories = counts.directories.saturating_sub(1);
            if tx.directory(lin)?.row.size > 0 {
                tx.begin_recount(lin)?;
            }
        }
    }
    Ok(Outcome::Done)
}

fn count(tx: &mut Transaction<'_>, entries_max: u32) -> Result<Outcome, Failure> {
    tx.recount_entries(entries_max.clamp(1, COUNT_ENTRIES_MAX) as usize)?;
    Ok(Outcome::Remaining(u64::from(tx.progress.quotas.recounts > 0)))
}

/// Says that an account has no quota.
pub fn no_quota(account: Account) -> OperationError {
    no_record("quota of", account)
}
