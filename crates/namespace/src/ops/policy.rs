//! Backup policies and their sets.

use types::{OperationError, Outcome, Policy, PolicyId, Root, SetId, SiteId};

use super::{check_record_name, no_record, out_of_range, record_exists, site, snapshot};
use crate::error::Failure;
use crate::keys::{Key as _, KeyRange, NameKey, Named, PolicyJobKey};
use crate::read::Read as _;
use crate::rows::PolicyRow;
use crate::tables::{Jobs, Names, Policies, PolicyJobs};
use crate::transaction::Transaction;

/// Longest name of a policy: snapshots are named after it, with the epoch.
const POLICY_NAME_LENGTH_MAX: usize = 128;
/// Roots of one set: every link is checked against them.
const ROOTS_MAX: usize = 1024;
/// Jobs of a policy that are remembered after their end.
const ENDED_JOBS_MAX: usize = 100;

/// Makes a policy and its backup set; both are numbered by the revision of the operation.
pub fn create(tx: &mut Transaction<'_>, name: &str, roots: &[Root], site: SiteId) -> Result<Outcome, Failure> {
    check_record_name(name)?;
    if name.len() > POLICY_NAME_LENGTH_MAX {
        return Err(out_of_range("the length of the name", name.len(), POLICY_NAME_LENGTH_MAX).into());
    }
    let key = name_key(name);
    if tx.row::<Names>(&key)?.is_some() {
        return Err(record_exists("policy", name).into());
    }
    site::existing(tx, site)?;
    if roots.is_empty() || roots.len() > ROOTS_MAX {
        return Err(out_of_range("the number of roots", roots.len(), ROOTS_MAX).into());
    }
    for root in roots {
        // One without a name is in no set: it is there while a session holds it.
        if tx.inode(root.lin)?.row.nlink == 0 {
            return Err(OperationError::NoInode { lin: root.lin }.into());
        }
    }
    let number = tx.revision().0;
    let (name, roots) = (name.to_owned(), roots.to_vec());
    let policy = Policy {
        id: PolicyId(number),
        name,
        set: SetId(number),
        roots,
        site,
        base: None,
        base_snapshot: None,
        base_lins: 0,
    };
    tx.put::<Names>(&key, &number);
    tx.put::<Policies>(&policy.id, &PolicyRow { policy: policy.clone(), open_job: None });
    Ok(Outcome::Policy(policy))
}

/// Deletes a policy with the records of its jobs, and lets its base snapshot go.
pub fn delete(tx: &mut Transaction<'_>, id: PolicyId) -> Result<Outcome, Failure> {
    let PolicyRow { policy, open_job } = existing(tx, id)?;
    if let Some(job) = open_job {
        let by = format!("job {job} is open: cancel it first");
        return Err(OperationError::InUse { what: "policy".into(), name: policy.name, by }.into());
    }
    if let Some(base) = policy.base_snapshot {
        snapshot::release(tx, base)?;
    }
    forget_jobs(tx, id, 0)?;
    tx.delete::<Names>(&name_key(&policy.name));
    tx.delete::<Policies>(&id);
    Ok(Outcome::Done)
}

/// Forgets the oldest ended jobs of a policy, so that no more than its newest stay.
pub fn forget_old_jobs(tx: &mut Transaction<'_>, policy: PolicyId) -> Result<(), Failure> {
    forget_jobs(tx, policy, ENDED_JOBS_MAX)
}

fn forget_jobs(tx: &mut Transaction<'_>, policy: PolicyId, kept: usize) -> Result<(), Failure> {
    let jobs = tx.rows::<PolicyJobs>(KeyRange::prefix(policy.encode())).map(|row| row.map(|(key, _)| key));
    let jobs: Vec<PolicyJobKey> = jobs.collect::<Result<_, _>>()?;
    let surplus = jobs.len().saturating_sub(kept);
    for key in jobs.iter().take(surplus) {
        tx.delete::<Jobs>(&key.job);
        tx.delete::<PolicyJobs>(key);
    }
    Ok(())
}

/// A policy.
pub fn existing(tx: &Transaction<'_>, id: PolicyId) -> Result<PolicyRow, Failure> {
    Ok(tx.row::<Policies>(&id)?.ok_or_else(|| no_record("policy", id))?)
}

fn name_key(name: &str) -> NameKey {
    NameKey { named: Named::Policy, name: name.to_owned() }
}
