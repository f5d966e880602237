//! What the nodes of a test share, and each node's side of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use backup::{
    BlockReadError, BlockSource, Handle, Keys, PeerError, Peers, Pull, Pulled, Report, Sites, State, StateError,
};
use blockstore::BlockStore;
use bytes::Bytes;
use futures::future::BoxFuture;
use namespace::{Entry, Store, View};
use repo::{NewKeys, WriterKeys};
use site::Site;
use types::{
    Batch, BlockId, ErrorKind, Extent, JobOperation, NodeId, Operation, OperationError, Outcome, RepositoryId, Request,
    Timestamp,
};

use super::REPOSITORY;
use crate::faults::Faults;

/// What all nodes share.
pub struct Shared {
    pub(super) store: Store,
    pub(super) applied: Mutex<u64>,
    pub(super) blocks: BlockStore,
    pub(super) keys: NewKeys,
    pub(super) other_keys: NewKeys,
    pub(super) site: Mutex<Site>,
    /// What single nodes find at the site's URL, where it is something else.
    pub(super) sites_of: Mutex<BTreeMap<NodeId, Site>>,
    pub(super) leader: AtomicU64,
    pub(super) dead: Mutex<BTreeSet<NodeId>>,
    pub(super) handles: Mutex<Vec<(NodeId, Handle)>>,
    pub(super) fetched: AtomicU64,
    pub(super) lags: AtomicBool,
    /// What the nodes have applied, while they lag behind the leader.
    pub(super) lagging: Mutex<Option<View>>,
    pub faults: Faults,
}

/// One node's side of it.
pub struct Node {
    pub(super) id: NodeId,
    pub(super) shared: Arc<Shared>,
}

impl Shared {
    pub fn try_apply(&self, operation: Operation) -> Result<Outcome, OperationError> {
        let mut index = self.applied.lock().unwrap();
        *index += 1;
        let proposed_at = Timestamp { seconds: 1_700_000_000 + index.cast_signed(), nanoseconds: 0 };
        let batch = Some(Batch { proposed_at, requests: vec![Request { key: None, operation }] });
        let entry = Entry { index: *index, position: Bytes::new(), membership: None, batch };
        self.store.apply(&[entry]).unwrap().remove(0).remove(0)
    }

    /// Loses a block on the volume.
    pub async fn lose_block(&self, block: BlockId) {
        self.blocks.remove(vec![block]).await.unwrap();
    }

    pub fn view(&self) -> View {
        self.store.view().unwrap()
    }

    /// From the first report on until the commit is fixed, a lagging node applies nothing.
    fn lag_at(&self, step: &JobOperation) {
        let mut lagging = self.lagging.lock().unwrap();
        match step {
            JobOperation::Report { .. } if self.lags.load(Ordering::Relaxed) && lagging.is_none() => {
                *lagging = Some(self.view());
            }
            JobOperation::FixCommit { .. } => *lagging = None,
            _ => {}
        }
    }

    fn handle(&self, node: NodeId) -> Result<Handle, PeerError> {
        let reason = "it is down".to_owned();
        let down = PeerError { node, kind: ErrorKind::Unavailable, reason };
        if self.dead.lock().unwrap().contains(&node) {
            return Err(down);
        }
        let handles = self.handles.lock().unwrap();
        handles.iter().find(|(id, _)| *id == node).map(|(_, handle)| handle.clone()).ok_or(down)
    }
}

impl Node {
    /// Another node, unless this one's calls are lost.
    fn reach(&self, node: NodeId) -> Result<Handle, PeerError> {
        if self.shared.faults.is_muted(self.id) {
            return Err(PeerError { node, kind: ErrorKind::Unavailable, reason: "the call was lost".to_owned() });
        }
        self.shared.handle(node)
    }
}

impl State for Node {
    fn propose(&self, step: JobOperation) -> BoxFuture<'_, Result<Outcome, StateError>> {
        Box::pin(async move {
            self.shared.faults.fits(&step)?;
            self.shared.lag_at(&step);
            if let JobOperation::Report { object, .. } = &step {
                self.shared.faults.note(object);
            }
            Ok(self.shared.try_apply(Operation::Job(step))?)
        })
    }

    fn latest(&self) -> BoxFuture<'_, Result<View, StateError>> {
        Box::pin(async move { Ok(self.shared.store.view()?) })
    }

    fn view(&self) -> Result<View, StateError> {
        match &*self.shared.lagging.lock().unwrap() {
            Some(view) => Ok(view.clone()),
            None => Ok(self.shared.store.view()?),
        }
    }

    fn is_leader(&self) -> bool {
        self.shared.leader.load(Ordering::Relaxed) == self.id.0
    }
}

impl Peers for Node {
    fn pull(&self, owner: NodeId, pull: Pull) -> BoxFuture<'_, Result<Pulled, PeerError>> {
        Box::pin(async move {
            let pulled = self.reach(owner)?.pull(pull).await?;
            let reason = "its answer was lost".to_owned();
            let lost = PeerError { node: owner, kind: ErrorKind::Unavailable, reason };
            if self.shared.faults.arrives(self.id, &pulled) { Ok(pulled) } else { Err(lost) }
        })
    }

    fn report(&self, owner: NodeId, report: Report) -> BoxFuture<'_, Result<(), PeerError>> {
        Box::pin(async move {
            if self.shared.faults.refuses(self.id, &report) {
                let reason = "it cannot be noted".to_owned();
                return Err(PeerError { node: owner, kind: ErrorKind::InvalidRequest, reason });
            }
            self.reach(owner)?.report(report).await
        })
    }

    fn has_keys(&self, node: NodeId, _: types::Site) -> BoxFuture<'_, Result<bool, PeerError>> {
        Box::pin(async move { self.shared.handle(node).map(|_| self.shared.faults.ask_for_keys(node)) })
    }

    fn site_problem(&self, node: NodeId, site: types::Site) -> BoxFuture<'_, Result<Option<String>, PeerError>> {
        Box::pin(async move { Ok(self.reach(node)?.site_problem(&site).await) })
    }

    fn is_alive(&self, node: NodeId) -> bool {
        !self.shared.dead.lock().unwrap().contains(&node)
    }
}

impl BlockSource for Node {
    fn read(&self, extent: &Extent) -> BoxFuture<'_, Result<Bytes, BlockReadError>> {
        let block = extent.block;
        Box::pin(async move {
            self.shared.fetched.fetch_add(1, Ordering::Relaxed);
            if self.shared.faults.is_stalled(self.id) {
                std::future::pending::<()>().await;
            }
            let found = self.shared.blocks.get(block).await.ok().flatten();
            let reason = "there is no such block".to_owned();
            let stored = found.map(|found| self.shared.faults.as_read(block, found.stored));
            stored.ok_or(BlockReadError { block, kind: ErrorKind::NotFound, reason })
        })
    }
}

impl Keys for Node {
    fn writer_keys(&self, repository: RepositoryId) -> Option<WriterKeys> {
        let has_keys = repository == REPOSITORY && self.shared.faults.has_keys(self.id);
        let keys = if self.shared.faults.has_wrong_keys(self.id) { &self.shared.other_keys } else { &self.shared.keys };
        has_keys.then(|| keys.keys.writer.clone())
    }
}

impl Sites for Node {
    fn open(&self, _: &types::Site) -> Result<Site, site::SiteError> {
        self.shared.faults.wait_for_mount(self.id);
        let own = self.shared.sites_of.lock().unwrap().get(&self.id).cloned();
        Ok(own.unwrap_or_else(|| self.shared.site.lock().unwrap().clone()))
    }
}
