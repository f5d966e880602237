//! Snapshots of the file system.

use ::namespace::{StoreError, View};
use tonic::{Request, Response, Status};
use types::{Change, Operation, Outcome, Snapshot, SnapshotId};
use wire::v1;
use wire::v1::snapshots_server::Snapshots;

use super::service;
use crate::founding::unexpected;

service! {
    /// Snapshots of the file system.
    SnapshotsService
}

#[tonic::async_trait]
impl Snapshots for SnapshotsService {
    async fn create(&self, request: Request<v1::CreateSnapshotRequest>) -> Result<Response<v1::Snapshot>, Status> {
        let change = Change::CreateSnapshot { name: request.into_inner().name };
        match self.daemon.member()?.propose(Operation::Change(change)).await? {
            Outcome::Snapshot(snapshot) => Ok(Response::new(snapshot.into())),
            other => Err(unexpected("CreateSnapshot", &other).into()),
        }
    }

    async fn list(
        &self,
        _request: Request<v1::ListSnapshotsRequest>,
    ) -> Result<Response<v1::ListSnapshotsResponse>, Status> {
        let read = |view: View| Ok::<_, StoreError>((view.snapshots()?, view.readers()?));
        let (snapshots, readers) = self.daemon.member()?.read(read).await?;
        let with_readers = |snapshot: Snapshot| {
            let readers = readers.get(&snapshot.id).copied().unwrap_or_default();
            v1::Snapshot::from(Snapshot { pins: snapshot.pins.saturating_add(readers), ..snapshot })
        };
        let snapshots = snapshots.into_iter().map(with_readers).collect();
        Ok(Response::new(v1::ListSnapshotsResponse { snapshots }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteSnapshotRequest>,
    ) -> Result<Response<v1::DeleteSnapshotResponse>, Status> {
        let change = Change::DeleteSnapshot { snapshot: SnapshotId(request.into_inner().snapshot) };
        self.daemon.member()?.propose(Operation::Change(change)).await?;
        Ok(Response::new(v1::DeleteSnapshotResponse {}))
    }
}
