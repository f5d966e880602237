//! Backup jobs, as an admin sees them.

use std::sync::Arc;
use std::time::Duration;

use runtime::OnError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use types::{Job, JobId, JobOperation, JobPhase, Operation, Outcome, PolicyId, Shrinkage};
use wire::v1;
use wire::v1::backups_server::Backups;

use super::service;
use crate::NodeError;
use crate::founding::unexpected;
use crate::member::Member;

/// States of a job that wait for a slow watcher.
const WATCH_QUEUE: usize = 4;
/// Between two looks at a job: a person reads no faster.
const WATCH_PERIOD: Duration = Duration::from_millis(200);
/// Jobs of one answer.
const JOBS_MAX: u32 = 1024;
/// Jobs of one read of the table.
const PAGE: usize = 1024;

service! {
    /// Backup jobs, as an admin sees them.
    BackupsService
}

impl BackupsService {
    async fn propose_job(&self, step: &'static str, operation: JobOperation) -> Result<Response<v1::Job>, Status> {
        match self.daemon.member()?.propose(Operation::Job(operation)).await? {
            Outcome::Job(job) => Ok(Response::new(job.into())),
            other => Err(unexpected(step, &other).into()),
        }
    }
}

#[tonic::async_trait]
impl Backups for BackupsService {
    type WatchStream = ReceiverStream<Result<v1::Job, Status>>;

    /// The node that is asked becomes the coordinator: it is alive, and admins and schedules ask different nodes.
    async fn run(&self, request: Request<v1::RunBackupRequest>) -> Result<Response<v1::Job>, Status> {
        let member = self.daemon.member()?;
        let v1::RunBackupRequest { policy, accept_shrunk } = request.into_inner();
        let (coordinator, policy) = (member.node(), PolicyId(policy));
        let shrinkage = if accept_shrunk { Shrinkage::Accept } else { Shrinkage::Refuse };
        self.propose_job("Start", JobOperation::Start { policy, coordinator, shrinkage }).await
    }

    async fn watch(&self, request: Request<v1::WatchBackupRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let member = Arc::clone(self.daemon.member()?);
        let id = JobId(request.into_inner().job);
        // A job that is not there is an error of the call, not of the stream.
        member.read(move |view| view.job(id)).await?;
        let (sender, states) = mpsc::channel(WATCH_QUEUE);
        member.front.clone().spawn("watch job", OnError::Log, watch(member, id, sender));
        Ok(Response::new(ReceiverStream::new(states)))
    }

    async fn list(
        &self,
        request: Request<v1::ListBackupsRequest>,
    ) -> Result<Response<v1::ListBackupsResponse>, Status> {
        let v1::ListBackupsRequest { policy, limit } = request.into_inner();
        let limit = limit.clamp(1, JOBS_MAX) as usize;
        let policy = policy.map(PolicyId);
        let jobs = self.daemon.member()?.read(move |view| newest_jobs(&view, policy, limit)).await?;
        Ok(Response::new(v1::ListBackupsResponse { jobs: jobs.into_iter().map(Into::into).collect() }))
    }

    async fn cancel(&self, request: Request<v1::CancelBackupRequest>) -> Result<Response<v1::Job>, Status> {
        self.propose_job("Cancel", JobOperation::Cancel { job: JobId(request.into_inner().job) }).await
    }
}

/// Sends a job's state at once and at each change, until its last.
async fn watch(member: Arc<Member>, id: JobId, states: mpsc::Sender<Result<v1::Job, Status>>) {
    let shutdown = member.front.shutdown();
    let mut shown: Option<Job> = None;
    loop {
        let job = match member.read_local(move |view| view.job(id)).await {
            Ok(job) => job,
            Err(error) => {
                let _gone = states.send(Err(error.into())).await;
                return;
            }
        };
        if shown.as_ref() != Some(&job) {
            if states.send(Ok(job.clone().into())).await.is_err() || has_ended(&job) {
                return;
            }
            shown = Some(job);
        }
        let pause = member.platform.clock.sleep(WATCH_PERIOD);
        tokio::select! {
            () = pause => {}
            () = states.closed() => return,
            () = shutdown.cancelled() => return,
        }
    }
}

const fn has_ended(job: &Job) -> bool {
    matches!(job.phase, JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled)
}

/// The newest jobs first. The table is in the order of their starts, so it is walked with a window that keeps the last.
fn newest_jobs(view: &namespace::View, policy: Option<PolicyId>, limit: usize) -> Result<Vec<Job>, NodeError> {
    let mut newest = std::collections::VecDeque::with_capacity(limit);
    let mut after = None;
    loop {
        let page = view.jobs(after, PAGE)?;
        let Some(last) = page.last().map(|job| job.id) else { break };
        after = Some(last);
        for job in page.into_iter().filter(|job| policy.is_none_or(|policy| job.policy == policy)) {
            if newest.len() == limit {
                newest.pop_front();
            }
            newest.push_back(job);
        }
    }
    Ok(newest.into_iter().rev().collect())
}
