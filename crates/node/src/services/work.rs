//! Work of backup jobs: what workers on other nodes ask the owner of a job.

use backup::{Handle, PeerError};
use tonic::{Request, Response, Status};
use types::ErrorKind;
use wire::v1::work_server::Work;
use wire::{Failure, code, v1};

use super::{calling_node, service};
use crate::backing_up::{decode, encode};

service! {
    /// Work of backup jobs: what workers on other nodes ask the owner of a job.
    WorkService
}

impl WorkService {
    fn backups(&self) -> Result<&Handle, Failure> {
        let starting =
            || Failure::new(ErrorKind::Unavailable, code::STARTING, "this node has no number for its start yet");
        self.daemon.member()?.backups().ok_or_else(starting)
    }
}

#[tonic::async_trait]
impl Work for WorkService {
    async fn pull(&self, request: Request<v1::WorkMessage>) -> Result<Response<v1::WorkReply>, Status> {
        calling_node(&request)?;
        let pull = decode(&request.into_inner().payload)?;
        let pulled = self.backups()?.pull(pull).await.map_err(refusal)?;
        Ok(Response::new(v1::WorkReply { payload: encode(&pulled) }))
    }

    async fn report(&self, request: Request<v1::WorkMessage>) -> Result<Response<v1::WorkReply>, Status> {
        calling_node(&request)?;
        let report = decode(&request.into_inner().payload)?;
        self.backups()?.report(report).await.map_err(refusal)?;
        Ok(Response::new(v1::WorkReply { payload: encode(&()) }))
    }
}

fn refusal(error: PeerError) -> Failure {
    Failure::new(error.kind, "work_refused", error.reason)
}
