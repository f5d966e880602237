//! The line between a worker and whoever owns its job.
//!
//! A job's owner may change; what a worker has packed is not lost by it. So the line looks up the owner before each
//! call, and waits out the time in which there is none.

use std::convert::Infallible;

use types::{ErrorKind, Fence, JobId, JobPhase, NodeId};

use super::WorkError;
use crate::coordinate::Desks;
use crate::set::if_there;
use crate::surroundings::{PeerError, StateError};
use crate::work::{Pull, Pulled, Report, WorkerId};

use crate::{Options, Surroundings};

/// A worker's line to the owner of its job.
#[derive(Clone)]
pub struct Line {
    around: Surroundings,
    options: Options,
    desks: Desks,
    job: JobId,
    worker: WorkerId,
}

impl Line {
    /// Makes a line; `desks` are those of this node, which is asked without a detour if it owns the job.
    #[must_use]
    pub const fn new(around: Surroundings, options: Options, desks: Desks, job: JobId, worker: WorkerId) -> Self {
        Self { around, options, desks, job, worker }
    }

    /// Asks for a unit; `None` if the job takes no more objects. Gives the fence of the owner that was asked. `number`
    /// tells this question from the worker's others.
    ///
    /// # Errors
    /// The state cannot be read, or the owner refuses for a reason that does not pass.
    pub async fn pull(&self, number: u64) -> Result<Option<(Fence, Pulled)>, WorkError> {
        while let Some((owner, fence)) = self.owner().await? {
            let pull = Pull { job: self.job, fence, worker: self.worker, number };
            let pulled = if owner == self.around.node {
                self.desks.pull(pull).await
            } else {
                self.around.peers.pull(owner, pull).await
            };
            match pulled {
                Ok(pulled) => return Ok(Some((fence, pulled))),
                Err(error) => self.wait_after(error).await?,
            }
        }
        Ok(None)
    }

    /// Reports, until an owner has noted it, or the job takes no more objects.
    ///
    /// # Errors
    /// The state cannot be read, or the owner refuses for a reason that does not pass.
    pub async fn report(&self, mut report: Report) -> Result<(), WorkError> {
        while let Some((owner, fence)) = self.owner().await? {
            report.fence = fence;
            let reported = if owner == self.around.node {
                self.desks.report(report.clone()).await
            } else {
                self.around.peers.report(owner, report.clone()).await
            };
            match reported {
                Ok(()) => return Ok(()),
                Err(error) => self.wait_after(error).await?,
            }
        }
        Ok(())
    }

    /// Lets the owner know again and again that the worker is there, however long it takes over a unit.
    ///
    /// # Errors
    /// The state cannot be read, or the owner refuses for a reason that does not pass.
    pub async fn give_signs_of_life(&self) -> Result<Infallible, WorkError> {
        loop {
            self.around.clock.sleep(self.options.sign_of_life).await;
            self.report(self.empty_report()).await?;
        }
    }

    /// Says why the worker failed, or why there is none.
    pub async fn report_failure(&self, reason: String) {
        let report = Report { failure: Some(reason), ..self.empty_report() };
        if let Err(error) = self.report(report).await {
            tracing::debug!(job = %self.job, error = %error, "the failure of a worker could not be reported");
        }
    }

    /// A report of nothing; the owner's fence is looked up when it is sent.
    #[must_use]
    pub const fn empty_report(&self) -> Report {
        let (job, worker) = (self.job, self.worker);
        Report { job, fence: Fence(0), worker, object: None, units: Vec::new(), lins: 0, failure: None }
    }

    async fn owner(&self) -> Result<Option<(NodeId, Fence)>, StateError> {
        let (state, id) = (self.around.state.clone(), self.job);
        runtime::blocking(move || {
            // A job that is gone is over; one that cannot be read is not: what is to be reported must not be dropped.
            let job = if_there(state.view()?.job(id)).map_err(StateError::from)?;
            Ok(job.filter(|job| job.phase == JobPhase::Packing).map(|job| (job.coordinator, job.fence)))
        })
        .await
    }

    /// Waits before the owner is asked again, which may be another one by then. What no owner will take ends the worker.
    async fn wait_after(&self, error: PeerError) -> Result<(), WorkError> {
        tracing::debug!(job = %self.job, node = %error.node, error = %error, "the owner did not answer");
        match error.kind {
            // A connection that broke under a call is told as an internal error too.
            ErrorKind::Unavailable
            | ErrorKind::NotLeader
            | ErrorKind::Conflict
            | ErrorKind::NoSpace
            | ErrorKind::Internal => {
                self.around.clock.sleep(self.options.poll).await;
                Ok(())
            }
            _ => Err(error.into()),
        }
    }
}
