//! Runs, on every node, what the jobs in the replicated state command.
//!
//! It looks at the open jobs of what this node has applied: the node that owns a job runs its owner, every node that has
//! the repository's keys runs a worker, and the leader gives the job of a node that is gone to one that has the keys, under
//! the next fence. What it starts it also stops: when a job has another owner, or has ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use runtime::{OnError, Shutdown, Tasks};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use types::{Fence, Job, JobId, JobOperation, JobPhase, NodeId};

use crate::coordinate::{Desks, Heir, Owner, find_heir, give_to, hand_on, pass_on};
use crate::surroundings::{PeerError, StateError};
use crate::work::{Pull, Pulled, Report, WorkerId};
use crate::worker::{Assignment, Line, WorkError, Worker};
use crate::{Options, OwnError, Surroundings};

/// Takes calls of other nodes' workers. Clones are the same.
#[derive(Clone)]
pub struct Handle {
    around: Surroundings,
    options: Options,
    desks: Desks,
}

impl Handle {
    /// Gives a worker its next unit.
    ///
    /// # Errors
    /// This node does not own the job, or not under that fence.
    pub async fn pull(&self, pull: Pull) -> Result<Pulled, PeerError> {
        self.desks.pull(pull).await
    }

    /// Notes what a worker reports; an object is in the replicated state when it returns.
    ///
    /// # Errors
    /// This node does not own the job, or not under that fence, or the object could not be noted.
    pub async fn report(&self, report: Report) -> Result<(), PeerError> {
        self.desks.report(report).await
    }

    /// Why this node cannot use a site: it is not there, hangs, or is another one. `None` if it can.
    pub async fn site_problem(&self, site: &types::Site) -> Option<String> {
        self.around.open_site(site, &self.options).await.err().map(|error| error.finding())
    }
}

/// The runner of one node.
pub struct Runner {
    around: Surroundings,
    options: Options,
    desks: Desks,
    sequence: Arc<AtomicU64>,
    starts: u64,
    owners: BTreeMap<JobId, Running>,
    workers: BTreeMap<JobId, Running>,
    /// Since when the owner of a job is silent, as this node sees it.
    silent: BTreeMap<(JobId, NodeId), Instant>,
}

/// An owner or a worker that was started.
struct Running {
    fence: Fence,
    stop: Shutdown,
    ended: Arc<AtomicBool>,
    since: Instant,
}

/// Says that a task has ended, however it ends.
struct SayEnded(Arc<AtomicBool>);

impl Drop for SayEnded {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Runner {
    /// Makes the runner of a node, and the handle by which other nodes reach it.
    #[must_use]
    pub fn new(around: Surroundings, options: Options) -> (Self, Handle) {
        let desks = Desks::new(around.node);
        let handle = Handle { around: around.clone(), options, desks: desks.clone() };
        let runner = Self {
            around,
            options,
            desks,
            sequence: Arc::default(),
            starts: 0,
            owners: BTreeMap::new(),
            workers: BTreeMap::new(),
            silent: BTreeMap::new(),
        };
        (runner, handle)
    }

    /// Runs until the tasks' owner says stop. Owners and workers run in a group below `tasks`, whose close waits for
    /// them; jobs that are open go on when the node starts again, or on another node.
    pub async fn run(mut self, tasks: Tasks) {
        let shutdown = tasks.shutdown();
        while !shutdown.is_cancelled() {
            let state = Arc::clone(&self.around.state);
            match runtime::blocking(move || Ok::<_, StateError>(state.view()?.open_jobs()?)).await {
                Ok(jobs) => self.follow(&jobs, &tasks).await,
                Err(error) => warn!(error = %error, "cannot look for jobs"),
            }
            let pause = self.around.clock.sleep(self.options.poll);
            if shutdown.unless_cancelled(pause).await.is_none() {
                break;
            }
        }
        self.owners.values().chain(self.workers.values()).for_each(|running| running.stop.cancel());
    }

    /// Starts and stops what the open jobs need.
    async fn follow(&mut self, jobs: &[Job], tasks: &Tasks) {
        self.count_ended(jobs).await;
        let of = |id: &JobId| jobs.iter().find(|job| job.id == *id);
        let node = self.around.node;
        let began_before = self.around.clock.now().checked_sub(self.options.restart_pause);
        stop_unless(&mut self.owners, began_before, |id, running| {
            of(id).is_some_and(|job| job.coordinator == node && job.fence == running.fence)
        });
        stop_unless(&mut self.workers, began_before, |id, _| of(id).is_some_and(|job| job.phase == JobPhase::Packing));
        for job in jobs {
            if job.coordinator == node && !self.owners.contains_key(&job.id) {
                self.start_owner(job, tasks);
            }
            if job.phase == JobPhase::Packing && !self.workers.contains_key(&job.id) {
                self.start_worker(job, tasks);
            }
        }
        if self.around.state.is_leader() {
            self.replace_silent_owners(jobs).await;
        } else {
            self.silent.clear();
        }
    }

    /// Counts the jobs of this node that have ended.
    async fn count_ended(&self, open: &[Job]) {
        let is_over = |id: &&JobId| !open.iter().any(|job| job.id == **id);
        for id in self.owners.keys().filter(is_over).copied() {
            let state = Arc::clone(&self.around.state);
            match runtime::blocking(move || Ok::<_, OwnError>(state.view()?.job(id)?)).await {
                Ok(job) if job.coordinator == self.around.node => self.around.metrics.count_job(&job.phase),
                Ok(_) => {}
                Err(error) => debug!(job = %id, error = %error, "a job that has ended is not counted"),
            }
        }
    }

    fn start_owner(&mut self, job: &Job, tasks: &Tasks) {
        let (running, ended) = self.running(job, tasks);
        let (around, options, desks) = (self.around.clone(), self.options, self.desks.clone());
        let (job, sequence, stop) = (job.clone(), Arc::clone(&self.sequence), running.stop.clone());
        self.owners.insert(job.id, running);
        info!(job = %job.id, fence = %job.fence, phase = phase(&job), "this node owns the job");
        tasks.spawn(&format!("owner-{}", job.id), OnError::Log, async move {
            let _ended = ended;
            let own = async {
                match Owner::new(around.clone(), options, desks, &job, sequence).await {
                    Ok(owner) => owner.run(job.clone()).await,
                    Err(OwnError::NoKeys { .. }) => hand_over(&around, &job).await,
                    Err(error) => give_up(&around, &job, error).await,
                }
            };
            stop.unless_cancelled(Box::pin(own)).await.unwrap_or(Ok(()))
        });
    }

    fn start_worker(&mut self, job: &Job, tasks: &Tasks) {
        self.starts += 1;
        let id = WorkerId { node: self.around.node, incarnation: self.around.incarnation, start: self.starts };
        let (running, ended) = self.running(job, tasks);
        let line = Line::new(self.around.clone(), self.options, self.desks.clone(), job.id, id);
        let failed = line.clone();
        let (around, options, sequence) = (self.around.clone(), self.options, Arc::clone(&self.sequence));
        let (job, stop) = (job.clone(), running.stop.clone());
        self.workers.insert(job.id, running);
        tasks.spawn(&format!("worker-{}", job.id), OnError::Log, async move {
            let _ended = ended;
            let work = async {
                let id_of_job = job.id;
                let worked = match make_worker(id, around, options, line, job, sequence).await {
                    Ok(Some(worker)) => worker.run().await,
                    Ok(None) => {
                        debug!(job = %id_of_job, "this node has no keys for the job's repository and takes no part");
                        failed.report_failure("the node has no keys for the repository".to_owned()).await;
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = &worked {
                    failed.report_failure(error.to_string()).await;
                }
                worked
            };
            stop.unless_cancelled(Box::pin(work)).await.unwrap_or(Ok(()))
        });
    }

    fn running(&self, job: &Job, tasks: &Tasks) -> (Running, SayEnded) {
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, since) = (tasks.shutdown().child(), self.around.clock.now());
        (Running { fence: job.fence, stop, ended: Arc::clone(&ended), since }, SayEnded(ended))
    }

    /// Gives the jobs of owners that are silent for too long to nodes that can own them: to this one, which leads and so
    /// is known to be there, or else to one that has the keys. If there is none now, it looks again after the same time.
    async fn replace_silent_owners(&mut self, jobs: &[Job]) {
        let now = self.around.clock.now();
        let is_silent = |job: &Job| job.coordinator != self.around.node && !self.around.peers.is_alive(job.coordinator);
        let silent: Vec<&Job> = jobs.iter().filter(|job| is_silent(job)).collect();
        self.silent.retain(|key, _| silent.iter().any(|job| (job.id, job.coordinator) == *key));
        for job in silent {
            let since = self.silent.entry((job.id, job.coordinator)).or_insert(now);
            if now.duration_since(*since) < self.options.owner_grace {
                continue;
            }
            *since = now;
            if let Err(error) = replace_owner(&self.around, job).await {
                warn!(job = %job.id, error = %error, "cannot give the job another owner");
            }
        }
    }
}

async fn replace_owner(around: &Surroundings, job: &Job) -> Result<(), OwnError> {
    match find_heir(around, job).await? {
        Heir::Node(heir) => {
            give_to(around, job, heir).await?;
            warn!(job = %job.id, lost = %job.coordinator, owner = %heir, "the job's owner is gone; another node takes it");
        }
        Heir::Away | Heir::None => {
            warn!(job = %job.id, lost = %job.coordinator, "the job's owner is gone, and no node that is there has keys");
        }
    }
    Ok(())
}

/// Stops what is not needed any more, and forgets what has ended, so that it is started again if it is still needed;
/// not sooner than a while after its last start, since it may end at once again.
fn stop_unless(
    running: &mut BTreeMap<JobId, Running>,
    began_before: Option<Instant>,
    is_needed: impl Fn(&JobId, &Running) -> bool,
) {
    running.retain(|id, running| {
        let needed = is_needed(id, running);
        if !needed {
            running.stop.cancel();
        }
        let rests = began_before.is_none_or(|before| running.since > before);
        needed && (rests || !running.ended.load(Ordering::Acquire))
    });
}

async fn make_worker(
    id: WorkerId,
    around: Surroundings,
    options: Options,
    line: Line,
    job: Job,
    sequence: Arc<AtomicU64>,
) -> Result<Option<Worker>, WorkError> {
    let (on_thread, of_policy, of_site) = (around.clone(), job.policy, job.site);
    let read = runtime::blocking(move || {
        let view = on_thread.state.view()?;
        let (policy, site_record) = (view.policy(of_policy)?, view.site(of_site)?);
        let keys = on_thread.writer_keys(&site_record);
        Ok::<_, WorkError>((policy, site_record, keys))
    });
    let (policy, site_record, keys) = read.await?;
    let Some(keys) = keys else { return Ok(None) };
    let site = around.steady(&around.open_site_patiently(&site_record, &options).await?, &options);
    let assignment = Assignment { job, policy, site_record, site, keys, sequence };
    runtime::blocking(move || Worker::new(id, around, options, line, assignment).map(Some)).await
}

/// Hands a job over that this node cannot own for want of keys. While nobody can take it, it stays as it is: the runner
/// starts its owner again after a pause, and this looks again.
async fn hand_over(around: &Surroundings, job: &Job) -> Result<(), OwnError> {
    match find_heir(around, job).await? {
        // The keys have come in the meantime.
        Heir::Node(heir) if heir == around.node => Ok(()),
        Heir::Node(heir) => {
            give_to(around, job, heir).await?;
            info!(job = %job.id, owner = %heir, "this node has no keys for the job and hands it over");
            Ok(())
        }
        Heir::Away => {
            warn!(job = %job.id, "the job waits for a node that has the keys of its repository");
            Ok(())
        }
        Heir::None => give_up(around, job, OwnError::NoKeysAnywhere { site: job.site }).await,
    }
}

/// Ends a job whose owner cannot even begin. One whose commit is fixed goes to another node (rule P22), and so does one
/// whose site this node alone cannot use; one for which the cluster did not answer stays as it is.
async fn give_up(around: &Surroundings, job: &Job, error: OwnError) -> Result<(), OwnError> {
    if error.is_of_the_cluster() {
        return Err(error);
    }
    if matches!(job.phase, JobPhase::Committing(_)) {
        return hand_on(around, job, error).await;
    }
    let Some(error) = pass_on(around, job, error).await? else { return Ok(()) };
    let fail = JobOperation::Fail { job: job.id, fence: job.fence, reason: error.to_string() };
    around.state.propose(fail).await?;
    Err(error)
}

const fn phase(job: &Job) -> &'static str {
    match job.phase {
        JobPhase::Packing => "packing",
        JobPhase::Coalescing => "coalescing",
        JobPhase::Committing(_) => "committing",
        JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled => "over",
    }
}
