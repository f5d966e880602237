//! The service of the namespace, as far as files below the root go.

use prost::Message as _;
use tonic::{Request, Response, Status};
use types::{Change, OperationError, Outcome, PgId, PgVersion, Run, SessionId};
use wire::v1::namespace_server::Namespace;
use wire::v1::stored_content::Content;
use wire::v1::{self, describe_result};

use super::state::attributes;
use super::{File, Node};

#[tonic::async_trait]
impl Namespace for Node {
    async fn open_session(
        &self,
        _request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let session = self.state().open_session();
        Ok(Response::new(v1::OpenSessionResponse { session: session.0, gear_seed: 7, lease_ms: 0 }))
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        self.state().sessions.remove(&SessionId(request.into_inner().session));
        Ok(Response::new(v1::CloseSessionResponse {}))
    }

    async fn raise_block_mark(
        &self,
        request: Request<v1::RaiseBlockMarkRequest>,
    ) -> Result<Response<v1::RaiseBlockMarkResponse>, Status> {
        let v1::RaiseBlockMarkRequest { session, mark } = request.into_inner();
        self.state().raise_block_mark(SessionId(session), mark);
        Ok(Response::new(v1::RaiseBlockMarkResponse {}))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<v1::ExecuteResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        state.longest_request = state.longest_request.max(request.encoded_len());
        let session = SessionId(request.session);
        let mut results = Vec::new();
        for numbered in request.changes {
            let change = Change::try_from(numbered.change.unwrap())?;
            let result: Result<Outcome, OperationError> = state.execute(session, numbered.sequence, &change);
            results.push(result.into());
        }
        Ok(Response::new(v1::ExecuteResponse { results }))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let state = self.state();
        let one = |lin: u64| {
            let file = state.files.values().find(|file| file.lin.0 == lin).unwrap();
            v1::DescribeResult { result: Some(describe_result::Result::Inode(inode(file))) }
        };
        let results = request.into_inner().lins.into_iter().map(one).collect();
        Ok(Response::new(v1::DescribeResponse { results, ..Default::default() }))
    }

    async fn placement_groups(
        &self,
        _request: Request<v1::PlacementGroupsRequest>,
    ) -> Result<Response<v1::PlacementGroupsResponse>, Status> {
        let state = self.state();
        let groups = state.groups.iter().map(|(&id, &version)| group(id, version)).collect();
        let pools = vec![v1::Pool { id: 1, replicas: 3 }];
        Ok(Response::new(v1::PlacementGroupsResponse { pools, groups }))
    }

    async fn lookup(&self, _request: Request<v1::LookupRequest>) -> Result<Response<v1::LookupResponse>, Status> {
        Err(Status::unimplemented("no test looks names up"))
    }

    async fn read_directory(
        &self,
        _request: Request<v1::ReadDirectoryRequest>,
    ) -> Result<Response<v1::ReadDirectoryResponse>, Status> {
        Err(Status::unimplemented("no test lists a directory"))
    }

    async fn read_runs(&self, request: Request<v1::ReadRunsRequest>) -> Result<Response<v1::ReadRunsResponse>, Status> {
        let v1::ReadRunsRequest { lin, offset, .. } = request.into_inner();
        let state = self.state();
        let file = state.files.values().find(|file| file.lin.0 == lin).unwrap();
        let runs = runs(file).filter(|run| run.end() > offset).map(Into::into).collect();
        Ok(Response::new(v1::ReadRunsResponse { runs, size: file.size, ..Default::default() }))
    }

    async fn seek_file(
        &self,
        _request: Request<v1::SeekFileRequest>,
    ) -> Result<Response<v1::SeekFileResponse>, Status> {
        Err(Status::unimplemented("no test searches a file"))
    }

    async fn test_lock(
        &self,
        _request: Request<v1::TestLockRequest>,
    ) -> Result<Response<v1::TestLockResponse>, Status> {
        Err(Status::unimplemented("no test looks for locks"))
    }

    async fn list_locks(
        &self,
        _request: Request<v1::ListLocksRequest>,
    ) -> Result<Response<v1::ListLocksResponse>, Status> {
        Err(Status::unimplemented("no test lists locks"))
    }

    async fn list_links(
        &self,
        _request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        Err(Status::unimplemented("no test lists links"))
    }

    async fn stat_fs(&self, _request: Request<v1::StatFsRequest>) -> Result<Response<v1::StatFsResponse>, Status> {
        Err(Status::unimplemented("no test asks for room"))
    }
}

fn inode(file: &File) -> v1::Inode {
    let runs = runs(file).map(Into::into).collect();
    let content = match file.extents.is_empty() {
        true => Content::Inline(file.inline.clone()),
        false => Content::Runs(v1::Runs { runs }),
    };
    let content = Some(v1::StoredContent { content: Some(content), next_offset: None, ..Default::default() });
    v1::Inode { attributes: Some(attributes(file).into()), content, ..Default::default() }
}

fn runs(file: &File) -> impl Iterator<Item = Run> {
    file.extents.values().map(|new| Run::Block(new.extent.clone()))
}

fn group(id: PgId, version: PgVersion) -> v1::PlacementGroup {
    let seat = |node: u64| v1::Seat {
        node,
        volume: format!("6ba7b810-9dad-11d1-80b4-00c04fd430c{node}"),
        state: v1::SeatState::Full.into(),
    };
    v1::PlacementGroup { id: id.0, pool: 1, version: version.0, seats: (1..=3).map(seat).collect() }
}
