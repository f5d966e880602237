//! The service of blocks.

use tonic::{Request, Response, Status};
use types::{ErrorKind, PgId, PgVersion};
use wire::v1::blocks_server::Blocks;
use wire::{Failure, v1};

use super::Node;

/// So few that a client has to ask again.
const ANSWER_BLOCKS: usize = 5;

#[tonic::async_trait]
impl Blocks for Node {
    async fn replicate(
        &self,
        request: Request<v1::ReplicateRequest>,
    ) -> Result<Response<v1::ReplicateResponse>, Status> {
        let v1::ReplicateRequest { pg, pg_version, blocks } = request.into_inner();
        self.state().put((PgId(pg), PgVersion(pg_version)), blocks)?;
        Ok(Response::new(v1::ReplicateResponse { pg_version, acknowledged: 0b111 }))
    }

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<v1::FetchResponse>, Status> {
        let v1::FetchRequest { ids, pg } = request.into_inner();
        let state = self.state();
        let left = ids.len().saturating_sub(ANSWER_BLOCKS);
        let blocks = ids.into_iter().take(ANSWER_BLOCKS).map(|id| {
            let missing = || Failure::new(ErrorKind::NotFound, "no_block", format!("no node has {id:?}"));
            state.copy(id.into(), PgId(pg)).ok_or_else(missing)
        });
        let blocks = blocks.collect::<Result<_, _>>()?;
        Ok(Response::new(v1::FetchResponse { blocks, left: u32::try_from(left).unwrap() }))
    }

    async fn put(&self, _request: Request<v1::PutRequest>) -> Result<Response<v1::PutResponse>, Status> {
        Err(Status::permission_denied("for nodes"))
    }

    async fn get(&self, _request: Request<v1::GetRequest>) -> Result<Response<v1::GetResponse>, Status> {
        Err(Status::permission_denied("for nodes"))
    }
}
