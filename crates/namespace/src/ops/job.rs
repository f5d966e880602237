//! Steps of backup jobs: reads the records, asks the pure state machine, writes the records.

use types::{
    Fence, Job, JobId, JobOperation, JobPhase, NodeId, ObjectReport, OperationError, Outcome, PolicyId, Shrinkage,
};

use super::{no_record, policy, site, snapshot};
use crate::error::Failure;
use crate::job::{self, Records, SnapshotStep, Step, Transition};
use crate::keys::{JobObjectKey, Key as _, KeyRange, PolicyJobKey};
use crate::read::Read as _;
use crate::rows::{PolicyRow, Present};
use crate::tables::{JobObjects, Jobs, Nodes, Policies, PolicyJobs, Sites};
use crate::transaction::Transaction;

/// Objects that a job loses with its end; of one that has more the leader lets others be forgotten step by step.
const FORGOTTEN_AT_ONCE_MAX: usize = 1000;
/// Objects of an ended job that one operation forgets.
const FORGET_ROWS_MAX: u32 = 10_000;

/// Takes a step of a job.
pub fn perform(tx: &mut Transaction<'_>, operation: &JobOperation) -> Result<Outcome, Failure> {
    match operation {
        JobOperation::Start { policy, coordinator, shrinkage } => start(tx, *policy, *coordinator, *shrinkage),
        JobOperation::Take { job, fence, coordinator } => {
            existing_node(tx, *coordinator)?;
            owned(tx, *job, *fence, &Step::Take(*coordinator)).map(Outcome::Job)
        }
        JobOperation::Report { job, fence, object } => report(tx, *job, *fence, object),
        JobOperation::Progress { job, fence, totals } => {
            owned(tx, *job, *fence, &Step::Progress(totals)).map(|_| Outcome::Done)
        }
        JobOperation::Seal { job, fence } => owned(tx, *job, *fence, &Step::Seal).map(Outcome::Job),
        JobOperation::FixCommit { job, fence, parent, ticket } => {
            owned(tx, *job, *fence, &Step::FixCommit(*parent, ticket)).map(Outcome::Job)
        }
        JobOperation::Confirm { job, fence } => owned(tx, *job, *fence, &Step::Confirm).map(Outcome::Job),
        JobOperation::Fail { job, fence, reason } => owned(tx, *job, *fence, &Step::Fail(reason)).map(Outcome::Job),
        JobOperation::Cancel { job } => {
            let job = existing(tx, *job)?;
            step(tx, job, &Step::Cancel).map(Outcome::Job)
        }
        JobOperation::ForgetObjects { job, rows_max } => forget_step(tx, *job, *rows_max),
    }
}

/// Starts a job with a snapshot of its own (rule P20: one open job a policy). A backup that nobody can open is none
/// (rule P28).
fn start(
    tx: &mut Transaction<'_>,
    id: PolicyId,
    coordinator: NodeId,
    shrinkage: Shrinkage,
) -> Result<Outcome, Failure> {
    let PolicyRow { policy, open_job } = policy::existing(tx, id)?;
    existing_node(tx, coordinator)?;
    if let Some(job) = open_job {
        let by = format!("job {job} is open: wait for its end, or cancel it");
        return Err(OperationError::InUse { what: "policy".into(), name: policy.name, by }.into());
    }
    let site = site::existing(tx, policy.site)?;
    if !site.state.kit_exported {
        return Err(OperationError::NoRecoveryKit { site: site.name }.into());
    }
    let job = JobId(tx.revision().0);
    let snapshot = snapshot::take(tx, &job::snapshot_name(job, &policy, &site))?;
    let transition = job::start(job, coordinator, shrinkage, &snapshot, site, policy);
    tx.put::<PolicyJobs>(&PolicyJobKey { policy: id, job }, &Present);
    policy::forget_old_jobs(tx, id)?;
    carry_out(tx, transition).map(Outcome::Job)
}

/// Takes a step as the owner of a job.
fn owned(tx: &mut Transaction<'_>, id: JobId, fence: Fence, taken: &Step<'_>) -> Result<Job, Failure> {
    let job = existing(tx, id)?;
    job::check_fence(&job, fence)?;
    step(tx, job, taken)
}

fn step(tx: &mut Transaction<'_>, job: Job, taken: &Step<'_>) -> Result<Job, Failure> {
    let was_over = job::is_over(&job);
    let policy = policy::existing(tx, job.policy)?.policy;
    let site = site::existing(tx, job.site)?;
    let transition = job::step(Records { job, site, policy }, taken, tx.now())?;
    if was_over {
        // Nothing changed, and the policy may have another open job by now.
        return Ok(transition.records.job);
    }
    carry_out(tx, transition)
}

fn carry_out(tx: &mut Transaction<'_>, transition: Transition) -> Result<Job, Failure> {
    let Records { job, site, policy } = transition.records;
    for step in transition.snapshots {
        match step {
            SnapshotStep::Pin(id) => snapshot::pin(tx, id)?,
            SnapshotStep::Unpin(id) => snapshot::unpin(tx, id)?,
            SnapshotStep::Release(id) => snapshot::release(tx, id)?,
        }
    }
    let over = job::is_over(&job);
    if over {
        forget_objects(tx, job.id, FORGOTTEN_AT_ONCE_MAX)?;
    }
    tx.put::<Jobs>(&job.id, &job);
    tx.put::<Sites>(&site.id, &site);
    let open_job = (!over).then_some(job.id);
    tx.put::<Policies>(&policy.id, &PolicyRow { open_job, policy: policy.clone() });
    Ok(job)
}

/// Notes an upload object.
fn report(tx: &mut Transaction<'_>, id: JobId, fence: Fence, object: &ObjectReport) -> Result<Outcome, Failure> {
    let job = existing(tx, id)?;
    job::check_fence(&job, fence)?;
    super::check_record_name(&object.name)?;
    let refused =
        |reason: &str| OperationError::WrongPhase { job: id, step: "note an object".into(), reason: reason.into() };
    let key = JobObjectKey { job: id, name: object.name.clone() };
    match tx.row::<JobObjects>(&key)? {
        Some(noted) if noted == *object => return Ok(Outcome::Done),
        Some(_) => return Err(refused("another object of that name is noted").into()),
        None if job.phase != JobPhase::Packing => return Err(refused("its objects are sealed").into()),
        None => tx.put::<JobObjects>(&key, object),
    }
    Ok(Outcome::Done)
}

/// Forgets some objects of a job that has ended. Its record may be forgotten already.
fn forget_step(tx: &mut Transaction<'_>, id: JobId, rows_max: u32) -> Result<Outcome, Failure> {
    if tx.row::<Jobs>(&id)?.is_some_and(|job| !job::is_over(&job)) {
        let (step, reason) = ("forget its objects".into(), "it is open".into());
        return Err(OperationError::WrongPhase { job: id, step, reason }.into());
    }
    let limit = rows_max.clamp(1, FORGET_ROWS_MAX) as usize;
    let forgotten = forget_objects(tx, id, limit)?;
    Ok(Outcome::Remaining((forgotten == limit).into()))
}

/// Forgets the first objects of a job; gives how many there were.
fn forget_objects(tx: &mut Transaction<'_>, id: JobId, limit: usize) -> Result<usize, Failure> {
    let keys = tx.rows::<JobObjects>(KeyRange::prefix(id.encode())).map(|row| row.map(|(key, _)| key));
    let keys = keys.take(limit).collect::<Result<Vec<_>, _>>()?;
    for key in &keys {
        tx.delete::<JobObjects>(key);
    }
    Ok(keys.len())
}

fn existing(tx: &Transaction<'_>, id: JobId) -> Result<Job, Failure> {
    Ok(tx.row::<Jobs>(&id)?.ok_or_else(|| no_record("job", id))?)
}

fn existing_node(tx: &Transaction<'_>, id: NodeId) -> Result<(), Failure> {
    tx.row::<Nodes>(&id)?.map(|_| ()).ok_or_else(|| OperationError::NoNode { node: id }.into())
}
