//! The file system: sessions, changes and reads.

use std::sync::Arc;

use ::namespace::{NamedLock, Runs, Sought, View};
use runtime::blocking;
use tonic::{Request, Response, Status};
use types::{Change, Lin, Lock, Name, Operation, Outcome, RequestKey, Revision, Seek, SessionId, SnapshotId};
use wire::v1::namespace_server::Namespace;
use wire::v1::seek_file_response::Found;
use wire::{InvalidMessage, Numbered as _, v1};

use super::{service, survey, too_many};
use crate::NodeError;
use crate::founding::unexpected;
use crate::member::Member;

mod answers;

/// Changes of one call; together they fit into one entry of the log.
const CHANGES_MAX: usize = 1024;
/// LINs and names of one call.
const LINS_MAX: usize = 1024;
/// Entries or runs of one answer.
const PAGE_MAX: u32 = 4096;

service! {
    /// The file system: sessions, changes and reads.
    NamespaceService
}

impl NamespaceService {
    fn member(&self) -> Result<&Arc<Member>, Status> {
        Ok(self.daemon.member()?)
    }

    /// Reads what callers keep for a while: names and attributes. The leader's lease is enough for the head.
    async fn read_attributes_at<T: Send + 'static>(
        &self,
        snapshot: Option<u64>,
        read: impl FnOnce(View) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, Status> {
        match snapshot {
            Some(snapshot) => self.read_at(Some(snapshot), read).await,
            None => Ok(self.member()?.read_leased(read).await?),
        }
    }

    /// Reads from the head or from a snapshot, on a thread that may block.
    ///
    /// A head read sees everything that was acknowledged before it. A snapshot does not change, so this node's own state
    /// is good enough if it has the snapshot; if not, it may just not have heard of it yet.
    async fn read_at<T: Send + 'static>(
        &self,
        snapshot: Option<u64>,
        read: impl FnOnce(View) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, Status> {
        let member = self.member()?;
        let Some(snapshot) = snapshot.map(SnapshotId) else { return Ok(member.read(read).await?) };
        let local = member.read_local(move |view| Ok::<_, NodeError>(view.at(snapshot).ok())).await?;
        let view = match local {
            Some(view) => view,
            None => member.read(move |view| view.at(snapshot)).await?,
        };
        Ok(blocking(move || read(view)).await?)
    }

    async fn propose_for_session(&self, operation: Operation) -> Result<Outcome, Status> {
        let member = self.member()?;
        Ok(member.propose(operation).await?)
    }
}

#[tonic::async_trait]
impl Namespace for NamespaceService {
    async fn open_session(
        &self,
        request: Request<v1::OpenSessionRequest>,
    ) -> Result<Response<v1::OpenSessionResponse>, Status> {
        let member = self.member()?;
        member.require_formed().await?;
        let open = Operation::OpenSession { label: request.into_inner().label };
        match member.propose(open).await? {
            Outcome::Session(session) => {
                let lease_ms = u64::from(member.config.sessions.lease_seconds) * 1000;
                let (session, gear_seed) = (session.0, member.gear_seed);
                Ok(Response::new(v1::OpenSessionResponse { session, gear_seed, lease_ms }))
            }
            other => Err(unexpected("OpenSession", &other).into()),
        }
    }

    async fn close_session(
        &self,
        request: Request<v1::CloseSessionRequest>,
    ) -> Result<Response<v1::CloseSessionResponse>, Status> {
        let session = SessionId(request.into_inner().session);
        self.propose_for_session(Operation::CloseSession { session }).await?;
        Ok(Response::new(v1::CloseSessionResponse {}))
    }

    async fn raise_block_mark(
        &self,
        request: Request<v1::RaiseBlockMarkRequest>,
    ) -> Result<Response<v1::RaiseBlockMarkResponse>, Status> {
        let v1::RaiseBlockMarkRequest { session, mark } = request.into_inner();
        self.propose_for_session(Operation::RaiseBlockMark { session: SessionId(session), mark }).await?;
        Ok(Response::new(v1::RaiseBlockMarkResponse {}))
    }

    async fn execute(&self, request: Request<v1::ExecuteRequest>) -> Result<Response<v1::ExecuteResponse>, Status> {
        let member = self.member()?;
        member.require_formed().await?;
        let request = request.into_inner();
        if request.changes.len() > CHANGES_MAX {
            return Err(too_many("changes", request.changes.len()).into());
        }
        let requests = keyed_requests(request)?;
        member.metadata_room.check(member, &requests)?;
        let results = member.consensus.propose(requests).await.map_err(NodeError::from)?;
        Ok(Response::new(v1::ExecuteResponse { results: results.into_iter().map(Into::into).collect() }))
    }

    async fn lookup(&self, request: Request<v1::LookupRequest>) -> Result<Response<v1::LookupResponse>, Status> {
        let v1::LookupRequest { start, names, snapshot } = request.into_inner();
        let names = names_of("names", names)?;
        let steps = self.read_attributes_at(snapshot, move |view| answers::walk(&view, Lin(start), &names)).await?;
        Ok(Response::new(v1::LookupResponse { steps }))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let request = request.into_inner();
        if request.lins.len() > LINS_MAX {
            return Err(too_many("lins", request.lins.len()).into());
        }
        let (snapshot, read) = (request.snapshot, move |view| answers::describe(&view, &request));
        Ok(Response::new(self.read_attributes_at(snapshot, read).await?))
    }

    async fn read_directory(
        &self,
        request: Request<v1::ReadDirectoryRequest>,
    ) -> Result<Response<v1::ReadDirectoryResponse>, Status> {
        let request = request.into_inner();
        let after = match request.after.is_empty() {
            true => None,
            false => names_of("after", vec![request.after.clone()])?.pop(),
        };
        let (limit, snapshot) = (request.limit.clamp(1, PAGE_MAX) as usize, request.snapshot);
        let read = move |view| answers::directory(&view, &request, after.as_ref(), limit);
        Ok(Response::new(self.read_at(snapshot, read).await?))
    }

    async fn read_runs(&self, request: Request<v1::ReadRunsRequest>) -> Result<Response<v1::ReadRunsResponse>, Status> {
        let v1::ReadRunsRequest { lin, offset, limit, snapshot } = request.into_inner();
        let limit = limit.clamp(1, PAGE_MAX) as usize;
        let read = move |view: View| Ok(view.runs(Lin(lin), offset, limit)?);
        let Runs { runs, next, changed, size, since } = self.read_at(snapshot, read).await?;
        let runs = runs.into_iter().map(Into::into).collect();
        let since = since.map_or(0, Revision::get);
        Ok(Response::new(v1::ReadRunsResponse { runs, next_offset: next, changed: changed.0, size, since }))
    }

    async fn seek_file(&self, request: Request<v1::SeekFileRequest>) -> Result<Response<v1::SeekFileResponse>, Status> {
        let v1::SeekFileRequest { lin, offset, what, snapshot } = request.into_inner();
        let what = Seek::from_number("what", what)?;
        let read = move |view: View| Ok(view.seek(Lin(lin), offset, what, PAGE_MAX as usize)?);
        let found = match self.read_at(snapshot, read).await? {
            Sought::At(offset) => Found::At(offset),
            Sought::Nothing => Found::Nothing(v1::Nothing {}),
            Sought::ReadOn(offset) => Found::ReadOn(offset),
        };
        Ok(Response::new(v1::SeekFileResponse { found: Some(found) }))
    }

    async fn test_lock(&self, request: Request<v1::TestLockRequest>) -> Result<Response<v1::TestLockResponse>, Status> {
        let v1::TestLockRequest { lin, session, lock } = request.into_inner();
        let wanted = Lock::try_from(lock.ok_or(InvalidMessage::Missing { field: "lock" })?)?;
        let read = move |view: View| view.conflicting_lock(Lin(lin), SessionId(session), &wanted);
        let taken = self.member()?.read(read).await?;
        Ok(Response::new(v1::TestLockResponse { taken: taken.map(Into::into) }))
    }

    async fn list_locks(
        &self,
        request: Request<v1::ListLocksRequest>,
    ) -> Result<Response<v1::ListLocksResponse>, Status> {
        let lin = Lin(request.into_inner().lin);
        let locks = self.member()?.read(move |view| view.locks(lin)).await?;
        let named = |NamedLock { taken, label }| v1::TakenLock { label, ..taken.into() };
        Ok(Response::new(v1::ListLocksResponse { locks: locks.into_iter().map(named).collect() }))
    }

    async fn list_links(
        &self,
        request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        let v1::ListLinksRequest { lin, snapshot } = request.into_inner();
        let links = self.read_at(snapshot, move |view| Ok(view.links(Lin(lin))?)).await?;
        let entry = |(parent, name): (Lin, Name)| v1::LinkEntry { parent: parent.0, name: name.to_bytes() };
        Ok(Response::new(v1::ListLinksResponse { links: links.into_iter().map(entry).collect() }))
    }

    async fn stat_fs(&self, request: Request<v1::StatFsRequest>) -> Result<Response<v1::StatFsResponse>, Status> {
        let member = self.member()?;
        if let Some(directory) = request.into_inner().directory.map(Lin)
            && let Some(quota) = member.read(move |view| view.tightest_quota(directory)).await?
        {
            return Ok(Response::new(answers::fullness(&quota)));
        }
        let (usage, pools) = member.read(|view| Ok::<_, NodeError>((view.usage(), view.pools()?))).await?;
        let nodes = survey::nodes(member).await?;
        let replicas = pools.first().map_or(1, |pool| u64::from(pool.replicas));
        let sum = |of: fn(&v1::NodeStatus) -> u64| nodes.iter().map(of).fold(0, u64::saturating_add) / replicas;
        Ok(Response::new(v1::StatFsResponse {
            capacity_bytes: sum(|node| node.capacity_bytes),
            available_bytes: sum(|node| node.free_bytes),
            used_bytes: usage.bytes,
            inodes: usage.inodes,
            quota: None,
        }))
    }

    async fn placement_groups(
        &self,
        _request: Request<v1::PlacementGroupsRequest>,
    ) -> Result<Response<v1::PlacementGroupsResponse>, Status> {
        let member = self.member()?;
        member.require_formed().await?;
        let read = |view: View| Ok::<_, NodeError>((view.pools()?, view.placement_groups()?));
        let (pools, groups) = member.read(read).await?;
        Ok(Response::new(v1::PlacementGroupsResponse {
            pools: pools.into_iter().map(Into::into).collect(),
            groups: groups.into_iter().map(Into::into).collect(),
        }))
    }
}

/// The requests of one call, each with the key that makes it repeatable (rule P3).
fn keyed_requests(request: v1::ExecuteRequest) -> Result<Vec<types::Request>, InvalidMessage> {
    let (session, low_water) = (SessionId(request.session), request.low_water);
    let keyed = |numbered: v1::NumberedChange| {
        let change = numbered.change.ok_or(InvalidMessage::Missing { field: "change" })?;
        let key = RequestKey { session, sequence: numbered.sequence, low_water };
        Ok(types::Request { key: Some(key), operation: Operation::Change(Change::try_from(change)?) })
    };
    request.changes.into_iter().map(keyed).collect()
}

fn names_of(field: &'static str, names: Vec<bytes::Bytes>) -> Result<Vec<Name>, InvalidMessage> {
    if names.len() > LINS_MAX {
        return Err(too_many(field, names.len()));
    }
    let name = |bytes| Name::new(bytes).map_err(|source| InvalidMessage::Name { field, source });
    names.into_iter().map(name).collect()
}
