//! The owner of one job under one fence.
//!
//! Order of durable steps: objects are uploaded by workers and noted in Raft one by one; `Seal` in Raft; runs are put;
//! `FixCommit` in Raft fixes name and bytes of the commit; the commit is put and read back; `Confirm` in Raft.
//!
//! An owner that dies leaves the job as Raft has it. The next one, under the next fence, goes on from there: it plans
//! anew and leaves out the units that are noted; it merges again under names of its own, and the runs of the one before
//! it are named by nobody; a commit that is fixed it puts exactly as it is (rule P22). Before `FixCommit` a failure that
//! does not pass ends the job; after it nothing does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use repo::{Commit, Writer, WriterKeys};
use runtime::Shutdown;
use site::Site;
use tracing::{error, info};
use types::{CommitTicket, Job, JobId, JobOperation, JobPhase, ObjectReport, Outcome, Policy, Shrinkage};

use super::{Desk, Desks, OwnError, hand_on, pass_on};
use crate::plan::{CutOptions, PlanError, PlanTotals, Planner, UnitSpool};
use crate::{OpenError, Options, Surroundings};

mod commit;

/// Objects that are read from the state at a time.
const PAGE: usize = 1000;
/// How often the owner looks whether a worker's node is gone.
const TICK: Duration = Duration::from_secs(1);

/// The owner of a job.
pub struct Owner {
    around: Surroundings,
    options: Options,
    desks: Desks,
    policy: Policy,
    record: types::Site,
    /// The site as it is: for what must be known at once.
    bare: Site,
    /// The site whose requests are tried again.
    site: Site,
    keys: WriterKeys,
    sequence: Arc<AtomicU64>,
}

/// Tells a plan that runs on a thread of its own to stop, however its owner ends.
struct StopOnDrop(Shutdown);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Owner {
    /// Makes the owner of a job on this node. `sequence` counts the objects of the process.
    ///
    /// # Errors
    /// The job's records cannot be read, the site cannot be opened or is another one, or the keystore lacks its keys.
    pub async fn new(
        around: Surroundings,
        options: Options,
        desks: Desks,
        job: &Job,
        sequence: Arc<AtomicU64>,
    ) -> Result<Self, OwnError> {
        let (on_thread, of_policy, of_site) = (around.clone(), job.policy, job.site);
        let read = runtime::blocking(move || {
            let view = on_thread.state.view()?;
            let (policy, record) = (view.policy(of_policy)?, view.site(of_site)?);
            let repository = record.repository;
            let keys = on_thread.writer_keys(&record).ok_or(OwnError::NoKeys { repository })?;
            Ok::<_, OwnError>((policy, record, keys))
        });
        let (policy, record, keys) = read.await?;
        let bare = open(&around, &options, job, &record).await?;
        let site = around.steady(&bare, &options);
        Ok(Self { around, options, desks, policy, record, bare, site, keys, sequence })
    }

    /// Takes the job to its end, or to where another owner goes on.
    ///
    /// # Errors
    /// The state did not answer for longer than it is waited for; the job is then as it was.
    pub async fn run(&self, mut job: Job) -> Result<(), OwnError> {
        loop {
            let step = match &job.phase {
                JobPhase::Packing => self.pack(&job).await,
                JobPhase::Coalescing => self.coalesce(&job).await,
                JobPhase::Committing(ticket) => self.commit(&job, ticket).await,
                JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled => return Ok(()),
            };
            job = match step {
                Ok(job) => job,
                Err(error) if error.is_of_the_cluster() => return Err(error),
                Err(error) => match self.after(&job, error).await? {
                    Some(job) => job,
                    None => return Ok(()),
                },
            };
        }
    }

    /// Fails the job, unless it has another owner by now, or another phase. One whose commit is fixed goes to another
    /// node, and so does one whose site this node alone cannot use.
    async fn after(&self, job: &Job, cause: OwnError) -> Result<Option<Job>, OwnError> {
        let now = self.now(job.id).await?;
        if now.fence != job.fence {
            return Ok(None);
        }
        if now.phase != job.phase {
            return Ok(Some(now));
        }
        if matches!(now.phase, JobPhase::Committing(_)) {
            return hand_on(&self.around, &now, cause).await.map(|()| None);
        }
        let Some(cause) = pass_on(&self.around, &now, cause).await? else { return Ok(None) };
        error!(job = %job.id, error = %cause, "the backup failed");
        let reason = cause.to_string();
        self.propose(JobOperation::Fail { job: job.id, fence: job.fence, reason }).await.map(Some)
    }

    async fn pack(&self, job: &Job) -> Result<Job, OwnError> {
        self.check_head(job, &self.site).await?;
        let reported = self.reported(job).await?;
        let (files, folder) = (self.around.files.clone(), self.around.folder.clone());
        let name = format!("job-{}.units", job.id);
        let spool = runtime::blocking(move || {
            files.create_dirs(&folder)?;
            UnitSpool::create(&files, &folder.join(name))
        });
        let spool = spool.await?;
        let desk = Arc::new(Desk::new(self.around.clone(), job, spool.reader(), &reported));
        let _open = self.desks.open(Arc::clone(&desk));
        let plan = self.plan(job, Arc::clone(&desk), spool);
        let (_spool, ()) = futures::try_join!(plan, self.supervise(job, &desk))?;
        self.propose(JobOperation::Progress { job: job.id, fence: job.fence, totals: desk.totals() }).await?;
        self.propose(JobOperation::Seal { job: job.id, fence: job.fence }).await
    }

    /// Makes the plan on a thread of its own; the spool lives as long as what is given back.
    async fn plan(&self, job: &Job, desk: Arc<Desk>, mut spool: UnitSpool) -> Result<UnitSpool, OwnError> {
        let stop = StopOnDrop(Shutdown::new());
        let stopped = stop.0.clone();
        let view = self.around.state.latest().await?;
        let (job, policy, options) = (job.clone(), self.policy.clone(), self.options);
        let planned = runtime::blocking(move || {
            let totals = plan(&view, &job, &policy, options.cut, &desk, &mut spool, &stopped)?;
            info!(job = %job.id, lins = totals.lins, units = totals.units, bytes = totals.bytes, "planned");
            let at_base = job.base_snapshot.map_or(0, |_| policy.base_lins);
            let lins_in_set = totals.lins_in_set(at_base);
            check_size(&job, &policy, lins_in_set, &options)?;
            desk.complete_plan(totals, lins_in_set);
            Ok(spool)
        });
        planned.await
    }

    /// Waits until all units are done, takes back those of lost workers, and notes progress. Whenever workers fail, it
    /// makes sure that the site is still there: a job whose workers cannot even open it would wait for ever.
    async fn supervise(&self, job: &Job, desk: &Desk) -> Result<(), OwnError> {
        let mut tick = self.around.clock.interval(TICK);
        let (mut noted, mut failures) = ((self.around.clock.now(), desk.totals()), 0);
        let queue = self.around.metrics.queue(&self.policy.name);
        while !desk.is_finished() {
            tokio::select! {
                () = desk.changed() => {}
                _ = tick.tick() => {
                    let units = desk.give_back_lost(self.options.worker_silence);
                    if units > 0 {
                        info!(job = %job.id, units, "the units of lost workers are given out again");
                    }
                }
            }
            if let Some((unit, reason)) = desk.hopeless() {
                return Err(OwnError::HopelessUnit { unit, reason });
            }
            if desk.failures() > failures {
                failures = desk.failures();
                self.check_site().await?;
            }
            let (waiting, at_worker) = desk.queue_lengths();
            queue.set(waiting, at_worker);
            let now = self.around.clock.now();
            let totals = desk.totals();
            if now.duration_since(noted.0) >= self.options.progress && totals != noted.1 {
                let step = JobOperation::Progress { job: job.id, fence: job.fence, totals: totals.clone() };
                self.propose(step).await?;
                noted = (now, totals);
            }
        }
        Ok(())
    }

    async fn coalesce(&self, job: &Job) -> Result<Job, OwnError> {
        let reported = self.reported(job).await?;
        let coalesced = self.merge(job, &reported).await?;
        info!(job = %job.id, objects = reported.len(), runs = coalesced.runs.len(), "merged");
        self.fix_commit(job, coalesced).await
    }

    /// Puts the commit that is fixed and confirms it. It is never given up (rule P22): if it cannot be put from here,
    /// another node tries.
    async fn commit(&self, job: &Job, ticket: &CommitTicket) -> Result<Job, OwnError> {
        let put = || self.put_commit(job, ticket);
        self.options.retry_of_commit(&self.around.clock).run("put the commit", OwnError::kind, put).await?;
        info!(job = %job.id, commit = %ticket.commit.name, "committed");
        self.propose(JobOperation::Confirm { job: job.id, fence: job.fence }).await
    }

    /// Puts the commit and reads it back, if the site is still the right one and nobody else has committed there.
    async fn put_commit(&self, job: &Job, ticket: &CommitTicket) -> Result<(), OwnError> {
        let (name, site) = (ticket.commit.name.as_str(), self.around.in_time(&self.bare, &self.options));
        self.around.check_site(&self.record, &site, &self.options).await?;
        self.check_head(job, &site).await?;
        site.put_same(name, ticket.bytes.clone()).await?;
        let read = site.get(name).await?;
        Ok(Commit::open(name, self.record.repository, &self.keys, &read).map(drop)?)
    }

    /// All objects that are noted for the job.
    async fn reported(&self, job: &Job) -> Result<Vec<ObjectReport>, OwnError> {
        let (view, id) = (self.around.state.latest().await?, job.id);
        let read = runtime::blocking(move || {
            let mut objects: Vec<ObjectReport> = Vec::new();
            loop {
                let page = view.job_objects(id, objects.last().map(|object| object.name.as_str()), PAGE)?;
                let last = page.len() < PAGE;
                objects.extend(page);
                if last {
                    return Ok::<_, OwnError>(objects);
                }
            }
        });
        read.await
    }

    /// Takes a step. All steps may be taken twice, so one whose answer was lost is taken again.
    async fn propose(&self, step: JobOperation) -> Result<Job, OwnError> {
        let retry = self.options.retry(&self.around.clock);
        let id = job_of(&step);
        let propose = || self.around.state.propose(step.clone());
        let outcome = retry.run("take a step of the job", crate::surroundings::StateError::kind, propose).await?;
        match outcome {
            Outcome::Job(job) => Ok(job),
            _ => self.now(id).await,
        }
    }

    /// The job as it is.
    async fn now(&self, id: JobId) -> Result<Job, OwnError> {
        let view = self.around.state.latest().await?;
        runtime::blocking(move || Ok(view.job(id)?)).await
    }

    fn writer(&self, job: &Job) -> Writer {
        Writer {
            generation: self.record.generation,
            epoch: job.epoch,
            fence: job.fence,
            node: self.around.node,
            incarnation: self.around.incarnation,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
        }
    }
}

/// Opens the site of a job. One whose commit is fixed goes to another node before long if that fails.
async fn open(around: &Surroundings, options: &Options, job: &Job, record: &types::Site) -> Result<Site, OpenError> {
    if !matches!(job.phase, JobPhase::Committing(_)) {
        return around.open_site_patiently(record, options).await;
    }
    let open = || around.open_site(record, options);
    options.retry_of_commit(&around.clock).run("open the site", OpenError::kind, open).await
}

fn plan(
    view: &namespace::View,
    job: &Job,
    policy: &Policy,
    cut: CutOptions,
    desk: &Desk,
    spool: &mut UnitSpool,
    stopped: &Shutdown,
) -> Result<PlanTotals, PlanError> {
    let mut emit = |unit| {
        if stopped.is_cancelled() {
            return Err(PlanError::Stopped);
        }
        desk.add(spool, &unit)
    };
    Planner::new(view, job, policy, cut, &mut emit)?.run()
}

/// Refuses to go on if most of what the last backup had is gone (rule P17).
fn check_size(job: &Job, policy: &Policy, now: u64, options: &Options) -> Result<(), OwnError> {
    let before = policy.base_lins;
    let lost = u128::from(before.saturating_sub(now)) * 100;
    let is_much = lost > u128::from(before) * u128::from(options.shrunk_percent_max);
    if before < options.shrunk_lins_min || !is_much || job.shrinkage == Shrinkage::Accept {
        return Ok(());
    }
    Err(OwnError::Shrunk { policy: policy.name.clone(), before, now })
}

const fn job_of(step: &JobOperation) -> JobId {
    match step {
        JobOperation::Take { job, .. }
        | JobOperation::Report { job, .. }
        | JobOperation::Progress { job, .. }
        | JobOperation::Seal { job, .. }
        | JobOperation::FixCommit { job, .. }
        | JobOperation::Confirm { job, .. }
        | JobOperation::Fail { job, .. }
        | JobOperation::Cancel { job }
        | JobOperation::ForgetObjects { job, .. } => *job,
        JobOperation::Start { .. } => JobId(0),
    }
}
