//! Raft's messages from the other members.

use tonic::{Request, Response, Status};
use types::ErrorKind;
use wire::v1::raft_server::Raft;
use wire::{Failure, v1};

use super::{calling_node, service};
use crate::NodeError;

service! {
    /// Raft's messages from the other members.
    RaftService
}

#[tonic::async_trait]
impl Raft for RaftService {
    async fn exchange(&self, request: Request<v1::RaftMessage>) -> Result<Response<v1::RaftReply>, Status> {
        let caller = calling_node(&request)?;
        let message = request.into_inner();
        if message.from != caller.0 || message.group != 0 {
            let text = format!("node {caller} sent a message as node {} of group {}", message.from, message.group);
            return Err(Failure::new(ErrorKind::Denied, "false_sender", text).into());
        }
        let member = self.daemon.member()?;
        let payload = member.consensus.serve(message.payload).await.map_err(NodeError::from)?;
        Ok(Response::new(v1::RaftReply { payload }))
    }
}
