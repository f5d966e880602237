//! Where workers of a job get their units and leave their reports.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use types::{ErrorKind, Fence, Job, JobId, JobOperation, JobTotals, NodeId, ObjectReport};

use super::{Next, Queues, Ticket};
use crate::Surroundings;
use crate::plan::{Place, PlanError, PlanTotals, SpoolReader, Unit, UnitName, UnitSpool};
use crate::surroundings::PeerError;
use crate::work::{Pull, Pulled, Report, WorkerId};

/// How often workers may fail with a unit before its job fails: what is broken for so long does not pass by itself.
const UNIT_FAILURES_MAX: u32 = 5;

/// The desk of one job under one fence.
pub struct Desk {
    around: Surroundings,
    job: JobId,
    fence: Fence,
    spool: SpoolReader,
    state: Mutex<DeskState>,
    changed: Notify,
}

struct DeskState {
    queues: Queues<Place>,
    noted: HashSet<String>,
    totals: JobTotals,
    /// When each worker was heard last.
    heard: BTreeMap<WorkerId, Instant>,
    /// Why a worker failed last.
    failure: Option<String>,
    /// How often a worker reported that it failed, with a unit or without.
    failures: u64,
}

impl Desk {
    /// Opens a desk for a job; `reported` are the objects that earlier owners noted.
    #[must_use]
    pub fn new(around: Surroundings, job: &Job, spool: SpoolReader, reported: &[ObjectReport]) -> Self {
        let names = reported.iter().flat_map(|object| &object.units);
        let queues = Queues::new(names.map(|name| UnitName::from_report(name)).collect());
        let mut totals = JobTotals { lins_changed: job.totals.lins_changed, ..JobTotals::default() };
        reported.iter().for_each(|object| add_object(&mut totals, object));
        let noted = reported.iter().map(|object| object.name.clone()).collect();
        let state = Mutex::new(DeskState { queues, noted, totals, heard: BTreeMap::new(), failure: None, failures: 0 });
        Self { around, job: job.id, fence: job.fence, spool, state, changed: Notify::new() }
    }

    /// Adds a unit of the plan to the spool and to the queues.
    ///
    /// # Errors
    /// The spool cannot be written.
    pub fn add(&self, spool: &mut UnitSpool, unit: &Unit) -> Result<(), PlanError> {
        let place = spool.push(unit)?;
        let ticket = Ticket { name: unit.name.clone(), bytes: unit.bytes, preferred: unit.preferred, place };
        self.lock().queues.add(ticket);
        Ok(())
    }

    /// Says that the plan has no more units, and how many LINs the set has.
    pub fn complete_plan(&self, totals: PlanTotals, lins_in_set: u64) {
        let mut state = self.lock();
        state.queues.complete_plan();
        state.totals.lins_nominated = totals.lins;
        state.totals.lins_in_set = lins_in_set;
        drop(state);
        self.changed.notify_one();
    }

    /// Gives a worker its next unit.
    ///
    /// # Errors
    /// The desk was asked under another fence, or the spool cannot be read: that counts as a failure with the unit.
    pub async fn pull(&self, pull: Pull) -> Result<Pulled, PeerError> {
        self.check_fence(pull.fence)?;
        self.hear(pull.worker);
        let next = self.lock().queues.pull(pull.worker, pull.number);
        let ticket = match next {
            Next::Unit(ticket) => ticket,
            Next::Later => return Ok(Pulled::Later),
            Next::Drain => return Ok(Pulled::Drain),
            Next::Finished => return Ok(Pulled::Finished),
        };
        let spool = self.spool.clone();
        match runtime::blocking(move || spool.read(ticket.place)).await {
            Ok(unit) => Ok(Pulled::Unit(unit)),
            Err(error) => {
                let mut state = self.lock();
                state.queues.fail(pull.worker);
                state.failure = Some(error.to_string());
                drop(state);
                self.changed.notify_one();
                Err(self.error(error.kind(), error))
            }
        }
    }

    /// Notes an object in the replicated state, and then its units as done.
    ///
    /// # Errors
    /// The desk was told under another fence, or the object could not be noted: the worker reports again.
    pub async fn report(&self, report: Report) -> Result<(), PeerError> {
        self.check_fence(report.fence)?;
        self.hear(report.worker);
        let mut units = report.units;
        if let Some(object) = &report.object {
            let step = JobOperation::Report { job: self.job, fence: self.fence, object: object.clone() };
            self.around.state.propose(step).await.map_err(|error| self.error(error.kind(), error))?;
            units.extend(object.units.iter().map(|name| UnitName::from_report(name)));
        }
        let mut state = self.lock();
        state.queues.complete(&units);
        state.failures += u64::from(report.failure.is_some());
        if report.failure.is_some() && state.queues.fail(report.worker) > 0 {
            state.failure = report.failure;
        }
        if let Some(object) = report.object.filter(|object| state.noted.insert(object.name.clone())) {
            add_object(&mut state.totals, &object);
            state.totals.lins_changed += report.lins;
        }
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Takes back the units of workers on nodes that are gone, and of those that were not heard for so long.
    pub fn give_back_lost(&self, silence: Duration) -> usize {
        let (peers, now) = (&self.around.peers, self.around.clock.now());
        let is_gone = |node: NodeId| node != self.around.node && !peers.is_alive(node);
        let mut state = self.lock();
        let DeskState { queues, heard, .. } = &mut *state;
        heard.retain(|_, heard| now.duration_since(*heard) < silence);
        queues.give_back(|worker| is_gone(worker.node) || !heard.contains_key(&worker))
    }

    /// Notes a sign of life.
    fn hear(&self, worker: WorkerId) {
        let now = self.around.clock.now();
        self.lock().heard.insert(worker, now);
    }

    /// A unit with which workers fail again and again, and why one of them did.
    pub fn hopeless(&self) -> Option<(UnitName, String)> {
        let state = self.lock();
        let unit = state.queues.hopeless(UNIT_FAILURES_MAX)?.clone();
        Some((unit, state.failure.clone().unwrap_or_else(|| "their logs say why".to_owned())))
    }

    /// How often workers reported that they failed.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Whether every unit is done.
    pub fn is_finished(&self) -> bool {
        self.lock().queues.is_finished()
    }

    /// Waits until something was reported or the plan is complete.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Units that wait, and units that are at workers.
    pub fn queue_lengths(&self) -> (usize, usize) {
        self.lock().queues.lengths()
    }

    /// What the job did so far.
    pub fn totals(&self) -> JobTotals {
        let state = self.lock();
        let (units_done, units) = state.queues.progress();
        JobTotals { units_done, units, ..state.totals.clone() }
    }

    fn check_fence(&self, given: Fence) -> Result<(), PeerError> {
        if given == self.fence {
            return Ok(());
        }
        let reason = format!("job {} is owned under fence {}, not {given}", self.job, self.fence);
        Err(self.error(ErrorKind::Conflict, reason))
    }

    fn error(&self, kind: ErrorKind, reason: impl ToString) -> PeerError {
        PeerError { node: self.around.node, kind, reason: reason.to_string() }
    }

    fn lock(&self) -> MutexGuard<'_, DeskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add_object(totals: &mut JobTotals, object: &ObjectReport) {
    totals.objects += 1;
    totals.bytes_plain += object.bytes_plain;
    totals.bytes_uploaded += object.size;
    let of_node: &mut Vec<(NodeId, u64)> = &mut totals.bytes_by_node;
    match of_node.iter_mut().find(|(node, _)| *node == object.node) {
        Some((_, bytes)) => *bytes += object.bytes_plain,
        None => of_node.push((object.node, object.bytes_plain)),
    }
}

/// The desks of the jobs that this node owns.
#[derive(Clone)]
pub struct Desks {
    node: NodeId,
    open: Arc<Mutex<BTreeMap<JobId, Arc<Desk>>>>,
}

/// Keeps a desk open; dropping it closes the desk, and not one of a later owner that has taken its place.
pub struct OpenDesk {
    desks: Desks,
    desk: Arc<Desk>,
}

impl Desks {
    /// No desks yet, on a node.
    #[must_use]
    pub fn new(node: NodeId) -> Self {
        Self { node, open: Arc::default() }
    }

    /// Opens a desk until the guard is dropped.
    #[must_use]
    pub fn open(&self, desk: Arc<Desk>) -> OpenDesk {
        self.lock().insert(desk.job, Arc::clone(&desk));
        OpenDesk { desks: self.clone(), desk }
    }

    /// Gives a worker its next unit.
    ///
    /// # Errors
    /// This node does not own the job, or not under that fence.
    pub async fn pull(&self, pull: Pull) -> Result<Pulled, PeerError> {
        self.desk(pull.job)?.pull(pull).await
    }

    /// Notes what a worker reports.
    ///
    /// # Errors
    /// This node does not own the job, or not under that fence, or the object could not be noted.
    pub async fn report(&self, report: Report) -> Result<(), PeerError> {
        self.desk(report.job)?.report(report).await
    }

    fn desk(&self, job: JobId) -> Result<Arc<Desk>, PeerError> {
        let reason = format!("it does not own job {job}");
        let missing = || PeerError { node: self.node, kind: ErrorKind::Conflict, reason };
        self.lock().get(&job).cloned().ok_or_else(missing)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Arc<Desk>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenDesk {
    fn drop(&mut self) {
        let mut open = self.desks.lock();
        if open.get(&self.desk.job).is_some_and(|desk| Arc::ptr_eq(desk, &self.desk)) {
            open.remove(&self.desk.job);
        }
    }
}
