//! The backup job as a pure state machine: records and a step give new records.
//!
//! Nothing is read or written here. What a step does to snapshots is told by [`SnapshotStep`]s, in order.

use types::{
    CommitTicket, Epoch, Fence, Job, JobId, JobPhase, JobTotals, NodeId, OperationError, Policy, Shrinkage, Site,
    Snapshot, SnapshotId, Timestamp,
};

/// What a job's steps read and write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// The job.
    pub job: Job,
    /// The site that it writes to.
    pub site: Site,
    /// The policy that it runs.
    pub policy: Policy,
}

/// What a step does to a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotStep {
    /// Holds it.
    Pin(SnapshotId),
    /// Gives up one hold.
    Unpin(SnapshotId),
    /// Gives up one hold, and lets the snapshot die if that was the last.
    Release(SnapshotId),
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The new records.
    pub records: Records,
    /// What becomes of snapshots.
    pub snapshots: Vec<SnapshotStep>,
}

/// A step of an open job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Another node takes the job over.
    Take(NodeId),
    /// Progress is noted.
    Progress(&'a JobTotals),
    /// All objects are reported.
    Seal,
    /// Name and bytes of the commit are fixed, upon a parent.
    FixCommit(Option<u64>, &'a CommitTicket),
    /// The commit is in the repository.
    Confirm,
    /// The owner gives up.
    Fail(&'a str),
    /// An admin ends it.
    Cancel,
}

impl Step<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::Take(_) => "be taken over",
            Self::Progress(_) => "note progress",
            Self::Seal => "be sealed",
            Self::FixCommit(..) => "fix its commit",
            Self::Confirm => "confirm its commit",
            Self::Fail(_) => "fail",
            Self::Cancel => "be cancelled",
        }
    }
}

/// The name of the snapshot that a job takes. The job's number is in it, since a user's snapshot may have the rest of it
/// for a name: the next job then has another number.
pub fn snapshot_name(id: JobId, policy: &Policy, site: &Site) -> String {
    format!("backup-{}-{}-job-{id}", policy.name, site.state.epoch.next())
}

/// Starts a job with its snapshot, which was just taken: gives it an epoch and a fence, and holds snapshot and base.
pub fn start(
    id: JobId,
    coordinator: NodeId,
    shrinkage: Shrinkage,
    snapshot: &Snapshot,
    mut site: Site,
    policy: Policy,
) -> Transition {
    site.state.epoch = site.state.epoch.next();
    site.state.fence = site.state.fence.next();
    let job = Job {
        id,
        policy: policy.id,
        site: site.id,
        set: policy.set,
        epoch: site.state.epoch,
        fence: site.state.fence,
        coordinator,
        snapshot: snapshot.id,
        base: policy.base,
        base_snapshot: policy.base_snapshot,
        shrinkage,
        phase: JobPhase::Packing,
        totals: JobTotals::default(),
        started: snapshot.created,
        finished: None,
    };
    let snapshots = [Some(job.snapshot), job.base_snapshot].into_iter().flatten().map(SnapshotStep::Pin).collect();
    Transition { records: Records { job, site, policy }, snapshots }
}

/// Refuses a step by whoever does not own the job.
pub fn check_fence(job: &Job, given: Fence) -> Result<(), OperationError> {
    if job.fence == given {
        return Ok(());
    }
    Err(OperationError::Fenced { job: job.id, given, current: job.fence })
}

/// Whether a job has ended.
pub const fn is_over(job: &Job) -> bool {
    matches!(job.phase, JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled)
}

/// Takes a step. One that was taken before, with the same effect, changes nothing.
pub fn step(mut records: Records, step: &Step<'_>, now: Timestamp) -> Result<Transition, OperationError> {
    let wrong = |reason: &str| Err(wrong_phase(&records.job, step, reason));
    let unchanged = |records| Ok(Transition { records, snapshots: Vec::new() });
    match (&records.job.phase, step) {
        (JobPhase::Coalescing, Step::Seal)
        | (JobPhase::Succeeded(_), Step::Confirm)
        | (JobPhase::Failed(_), Step::Fail(_))
        | (JobPhase::Cancelled, Step::Cancel) => unchanged(records),
        (JobPhase::Committing(fixed), Step::FixCommit(_, ticket)) if fixed == *ticket => unchanged(records),
        (JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled, _) => wrong("it has ended"),
        (_, Step::Take(coordinator)) => {
            records.site.state.fence = records.site.state.fence.next();
            records.job.fence = records.site.state.fence;
            records.job.coordinator = *coordinator;
            unchanged(records)
        }
        (JobPhase::Packing, Step::Progress(totals)) => {
            records.job.totals = (*totals).clone();
            unchanged(records)
        }
        (JobPhase::Packing, Step::Seal) => {
            records.job.phase = JobPhase::Coalescing;
            unchanged(records)
        }
        (JobPhase::Coalescing, Step::FixCommit(parent, ticket)) => fix_commit(records, step, *parent, ticket),
        (JobPhase::Committing(ticket), Step::Confirm) => {
            let ticket = ticket.clone();
            Ok(confirm(records, ticket, now))
        }
        // A note that comes late would put older numbers in the place of the final ones.
        (_, Step::Progress(_)) => wrong("its units are all done"),
        (JobPhase::Committing(_), _) => wrong("its commit is fixed and must not be given up any more"),
        (_, Step::Fail(reason)) => Ok(end(records, JobPhase::Failed((*reason).to_owned()), now)),
        (_, Step::Cancel) => Ok(end(records, JobPhase::Cancelled, now)),
        (JobPhase::Packing, Step::FixCommit(..)) => wrong("its objects are not all reported"),
        (JobPhase::Packing | JobPhase::Coalescing, Step::Confirm) => wrong("its commit is not fixed"),
    }
}

/// Fixes the commit, if it goes on from where the set and the site are (rules P20 and P22).
fn fix_commit(
    mut records: Records,
    step: &Step<'_>,
    parent: Option<u64>,
    ticket: &CommitTicket,
) -> Result<Transition, OperationError> {
    let Records { job, site, policy } = &mut records;
    let head = site.state.head.as_ref().map(|head| head.number);
    let refused = if let Some(other) = site.state.pending {
        Some(format!("the commit of job {other} is not confirmed"))
    } else if job.base != policy.base {
        Some(format!("its base is epoch {}, and the set is at {}", epoch(job.base), epoch(policy.base)))
    } else if parent != head {
        Some(format!("its parent is commit {}, and the head is {}", number(parent), number(head)))
    } else if parent.is_some_and(|parent| parent.checked_add(1) != Some(ticket.commit.number)) {
        Some(format!("commit {} does not follow its parent", ticket.commit.number))
    } else {
        None
    };
    if let Some(reason) = refused {
        return Err(wrong_phase(job, step, &reason));
    }
    site.state.pending = Some(job.id);
    job.phase = JobPhase::Committing(ticket.clone());
    Ok(Transition { records, snapshots: Vec::new() })
}

/// The commit becomes the site's head, and the job's snapshot the policy's base: the job's hold on it goes over to the
/// policy. The base before it loses both holds.
fn confirm(mut records: Records, ticket: CommitTicket, now: Timestamp) -> Transition {
    let Records { job, site, policy } = &mut records;
    let mut snapshots: Vec<_> = job.base_snapshot.map(SnapshotStep::Unpin).into_iter().collect();
    snapshots.extend(policy.base_snapshot.map(SnapshotStep::Release));
    policy.base = Some(job.epoch);
    policy.base_snapshot = Some(job.snapshot);
    policy.base_lins = job.totals.lins_in_set;
    site.state.pending = None;
    site.state.head = Some(ticket.commit.clone());
    job.phase = JobPhase::Succeeded(ticket.commit);
    job.finished = Some(now);
    Transition { records, snapshots }
}

/// Ends a job without a commit: its snapshot goes, its base stays the policy's.
fn end(mut records: Records, phase: JobPhase, now: Timestamp) -> Transition {
    let job = &mut records.job;
    let mut snapshots = vec![SnapshotStep::Release(job.snapshot)];
    snapshots.extend(job.base_snapshot.map(SnapshotStep::Unpin));
    job.phase = phase;
    job.finished = Some(now);
    Transition { records, snapshots }
}

fn wrong_phase(job: &Job, step: &Step<'_>, reason: &str) -> OperationError {
    OperationError::WrongPhase { job: job.id, step: step.name().to_owned(), reason: reason.to_owned() }
}

fn epoch(epoch: Option<Epoch>) -> String {
    epoch.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string())
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests;
