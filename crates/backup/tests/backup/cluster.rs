//! Three nodes in one process: one state store that all of them see at once, one volume, one repository in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup::{
    BackupMetrics, BlockReadError, BlockSource, Handle, Keys, Options, PeerError, Peers, Pull, Pulled, Report, Runner,
    Sites, State, StateError, Surroundings,
};
use blockstore::{BlockStore, BlockStoreMetrics, NewBlock, Outside};
use bytes::Bytes;
use futures::future::BoxFuture;
use namespace::{Entry, Store, View};
use repo::{KeyObject, NewKeys, NewRepository, PassphraseCost, Repository, WriterKeys};
use runtime::{Clock, Files, Metrics, OnError, Seed, Tasks};
use site::{Medium, Site};
use types::{
    Batch, BlockId, Change, ClusterId, Content, Create, ErrorKind, Extent, FileKind, Generation, Incarnation, Job,
    JobOperation, JobPhase, Lin, Name, NewExtent, NewInode, NewNode, NodeId, Operation, OperationError, Outcome,
    Policy, Registration, RepositoryId, Request, Root, SeatSet, SessionId, Shrinkage, Timestamp, VolumeId,
};
use uuid::Uuid;

use crate::faults::Faults;

pub const REPOSITORY: RepositoryId = RepositoryId(Uuid::from_u128(0xb0b));

/// What all nodes share.
pub struct Shared {
    store: Store,
    applied: Mutex<u64>,
    blocks: BlockStore,
    keys: NewKeys,
    other_keys: NewKeys,
    site: Mutex<Site>,
    /// What single nodes find at the site's URL, where it is something else.
    sites_of: Mutex<BTreeMap<NodeId, Site>>,
    leader: AtomicU64,
    dead: Mutex<BTreeSet<NodeId>>,
    handles: Mutex<Vec<(NodeId, Handle)>>,
    fetched: AtomicU64,
    lags: AtomicBool,
    /// What the nodes have applied, while they lag behind the leader.
    lagging: Mutex<Option<View>>,
    pub faults: Faults,
}

/// One node's side of it.
struct Node {
    id: NodeId,
    shared: Arc<Shared>,
}

pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub shared: Arc<Shared>,
    pub nodes: Vec<NodeId>,
    pub site_record: types::Site,
    pub seed: Seed,
    session: SessionId,
    sequence: u64,
    starts: u64,
    pub metrics: Metrics,
    backup_metrics: BackupMetrics,
    tasks: Tasks,
    running: Vec<(NodeId, Tasks)>,
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
            found.map(|found| found.stored).ok_or(BlockReadError { block, kind: ErrorKind::NotFound, reason })
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

impl Cluster {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (seed, tasks) = (Seed::from_os(), Tasks::new("test"));
        let store = Store::open(folder.path().join("state")).unwrap();
        let place = folder.path().join("site");
        std::fs::create_dir(&place).unwrap();
        let site = Site::open(&format!("file://{}", place.display())).unwrap();
        let keys = KeyObject::create(REPOSITORY, "a long passphrase", PassphraseCost::LEAST, &seed).unwrap();
        let other_keys = KeyObject::create(REPOSITORY, "another passphrase", PassphraseCost::LEAST, &seed).unwrap();
        let new = NewRepository {
            repository: REPOSITORY,
            cluster: ClusterId(Uuid::from_u128(2)),
            generation: Generation(1),
            keys: keys.object.clone(),
            random: 3,
        };
        Repository::create(&site, &new).await.unwrap();
        let options =
            blockstore::Options { reserve_bytes: 0, ..blockstore::Options::new(folder.path().join("volume")) };
        let metrics = Metrics::new();
        let outside = Outside {
            files: Files::real(),
            tasks: tasks.child("volume"),
            seed: seed.clone(),
            metrics: BlockStoreMetrics::new(&metrics),
        };
        let blocks = BlockStore::open(options, outside).await.unwrap();
        let shared = Shared {
            store,
            applied: Mutex::new(0),
            blocks,
            keys,
            other_keys,
            leader: AtomicU64::new(0),
            dead: Mutex::default(),
            handles: Mutex::default(),
            lags: AtomicBool::new(false),
            lagging: Mutex::new(None),
            fetched: AtomicU64::new(0),
            site: Mutex::new(site.clone()),
            sites_of: Mutex::default(),
            faults: Faults::default(),
        };
        let mut proposed = types::Site::proposed("away".into(), site.url().into(), REPOSITORY, Generation(1));
        proposed.data_key_public = shared.keys.keys.writer.data_public;
        proposed.keys_fingerprint = shared.keys.keys.writer.fingerprint();
        let mut cluster = Self {
            folder,
            shared: Arc::new(shared),
            nodes: Vec::new(),
            site_record: proposed.clone(),
            seed,
            session: SessionId(0),
            sequence: 0,
            starts: 0,
            backup_metrics: BackupMetrics::new(&metrics),
            metrics,
            tasks,
            running: Vec::new(),
        };
        cluster.register(proposed);
        cluster
    }

    /// Registers the nodes, their placement groups, the site and a session.
    fn register(&mut self, site: types::Site) {
        for number in 0..3_u128 {
            let node = NewNode {
                address: format!("node-{number}:1"),
                volumes: vec![VolumeId(Uuid::from_u128(100 + number))],
                key_fingerprint: number.to_string(),
            };
            match self.apply(Operation::Register(Registration::AddNode(node))) {
                Outcome::Node(node) => self.nodes.push(node.id),
                other => panic!("{other:?}"),
            }
        }
        self.shared.leader.store(self.nodes[0].0, Ordering::Relaxed);
        let nodes = self.nodes.clone();
        self.apply(Operation::Register(Registration::FormPool { replicas: 3, groups: 4, nodes }));
        match self.apply(Operation::Register(Registration::AddSite(site))) {
            Outcome::Site(site) => self.site_record = site,
            other => panic!("{other:?}"),
        }
        let site = self.site_record.id;
        self.apply(Operation::Register(Registration::KitExported { site }));
        match self.apply(Operation::OpenSession { label: "test".into() }) {
            Outcome::Session(session) => self.session = session,
            other => panic!("{other:?}"),
        }
    }

    pub fn apply(&self, operation: Operation) -> Outcome {
        self.shared.try_apply(operation).unwrap()
    }

    pub fn change(&self, change: Change) -> Outcome {
        self.apply(Operation::Change(change))
    }

    pub fn view(&self) -> View {
        self.shared.view()
    }

    /// Lets the nodes apply late what the leader has answered.
    pub fn let_nodes_lag(&self) {
        self.shared.lags.store(true, Ordering::Relaxed);
    }

    /// Puts a decorator between the nodes and the site.
    pub fn decorate_site(&self, decorate: impl FnOnce(Arc<dyn Medium>) -> Arc<dyn Medium>) {
        let mut site = self.shared.site.lock().unwrap();
        *site = Site::over(site.url(), decorate(site.medium()));
    }

    /// Lets a node find something else at the site's URL.
    pub fn replace_site_of(&self, node: NodeId, site: Site) {
        self.shared.sites_of.lock().unwrap().insert(node, site);
    }

    /// Loses a block on the volume.
    pub async fn lose_block(&self, block: BlockId) {
        self.shared.blocks.remove(vec![block]).await.unwrap();
    }

    /// Blocks that were read for backups.
    pub fn blocks_fetched(&self) -> u64 {
        self.shared.fetched.load(Ordering::Relaxed)
    }

    pub fn policy(&self, name: &str, roots: &[(Lin, &str)]) -> Policy {
        let roots = roots.iter().map(|(lin, path)| Root { lin: *lin, path: (*path).to_owned() }).collect();
        let create = Registration::CreatePolicy { name: name.into(), roots, site: self.site_record.id };
        match self.apply(Operation::Register(create)) {
            Outcome::Policy(policy) => policy,
            other => panic!("{other:?}"),
        }
    }

    /// Starts the runner of a node.
    pub fn start(&mut self, node: NodeId, options: Options) {
        self.starts += 1;
        let around = self.surroundings(node, Incarnation(self.starts));
        let (runner, handle) = Runner::new(around, options);
        let mut handles = self.shared.handles.lock().unwrap();
        handles.retain(|(id, _)| *id != node);
        handles.push((node, handle));
        drop(handles);
        let tasks = self.tasks.child(&format!("node-{node}"));
        tasks.spawn("runner", OnError::EndProcess, runner.run(tasks.child("jobs")));
        self.running.push((node, tasks));
    }

    /// What a node's backups run in.
    pub fn surroundings(&self, node: NodeId, incarnation: Incarnation) -> Surroundings {
        let of = Arc::new(Node { id: node, shared: Arc::clone(&self.shared) });
        Surroundings {
            node,
            incarnation,
            state: of.clone(),
            peers: of.clone(),
            blocks: of.clone(),
            keys: of.clone(),
            sites: of,
            clock: Clock::real(),
            seed: self.seed.clone(),
            files: Files::real(),
            metrics: self.backup_metrics.clone(),
            folder: self.folder.path().join(format!("spool-{node}")),
        }
    }

    pub fn start_all(&mut self, options: Options) {
        self.nodes.clone().into_iter().for_each(|node| self.start(node, options));
    }

    /// Ends a node's runner as a crash does: others no longer reach it.
    pub async fn kill(&mut self, node: NodeId) {
        self.shared.dead.lock().unwrap().insert(node);
        self.end(node).await;
        let alive = self.nodes.iter().find(|id| !self.shared.dead.lock().unwrap().contains(id)).copied();
        self.shared.leader.store(alive.unwrap().0, Ordering::Relaxed);
    }

    /// Ends a node's runner and starts it again, so fast that others take it for alive all the while.
    pub async fn restart(&mut self, node: NodeId, options: Options) {
        self.end(node).await;
        self.start(node, options);
    }

    /// Starts a node that was killed.
    pub fn revive(&mut self, node: NodeId, options: Options) {
        self.shared.dead.lock().unwrap().remove(&node);
        self.start(node, options);
    }

    async fn end(&mut self, node: NodeId) {
        let at = self.running.iter().position(|(id, _)| *id == node).unwrap();
        let (_, tasks) = self.running.remove(at);
        tasks.close(Duration::from_secs(20)).await.unwrap();
    }

    /// Starts a job of a policy.
    pub fn start_job(&self, policy: &Policy, coordinator: NodeId) -> Job {
        self.start_job_with(policy, coordinator, Shrinkage::Refuse)
    }

    pub fn start_job_with(&self, policy: &Policy, coordinator: NodeId, shrinkage: Shrinkage) -> Job {
        match self.apply(Operation::Job(JobOperation::Start { policy: policy.id, coordinator, shrinkage })) {
            Outcome::Job(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a job satisfies a condition.
    pub async fn wait(&self, job: &Job, condition: impl Fn(&Job) -> bool) -> Job {
        let clock = Clock::real();
        for _ in 0..6000 {
            let job = self.view().job(job.id).unwrap();
            if condition(&job) {
                return job;
            }
            clock.sleep(Duration::from_millis(10)).await;
        }
        panic!("job {} stays as it is: {:?}", job.id, self.view().job(job.id));
    }

    /// Runs a job to its success.
    pub async fn back_up(&self, policy: &Policy) -> Job {
        let started = self.start_job(policy, self.nodes[0]);
        let job = self.wait(&started, is_over).await;
        assert!(matches!(job.phase, JobPhase::Succeeded(_)), "{:?}", job.phase);
        self.check_rows().await;
        job
    }

    /// Compares the rows of all backups with each other.
    async fn check_rows(&self) {
        let folder = self.folder.path().join("check");
        let options = repo::CheckOptions::new(repo::CheckDepth::Structure, Files::real(), folder);
        let mut report = self.repository().await.check(&options).await.unwrap();
        report.findings.retain(|finding| matches!(finding, repo::Finding::Rows(_)));
        assert!(report.findings.is_empty(), "{:?}", report.findings);
    }

    pub async fn repository(&self) -> Repository<repo::Listed> {
        let site = self.shared.site.lock().unwrap().clone();
        let unlock = repo::Unlock::PrivateKey(self.shared.keys.keys.private.clone());
        Repository::open(&site, unlock).await.unwrap().list().await.unwrap()
    }

    pub fn mkdir(&self, parent: Lin, name: &str) -> Lin {
        self.create(parent, name, FileKind::Directory, Content::Empty, 0, "")
    }

    pub fn symlink(&self, parent: Lin, name: &str, target: &str) -> Lin {
        self.create(parent, name, FileKind::Symlink, Content::Empty, 0, target)
    }

    /// Makes a file: inline if it is short, else in blocks on the volume.
    pub async fn file(&mut self, parent: Lin, name: &str, content: &[u8]) -> Lin {
        let stored = self.content(0, content).await;
        self.create(parent, name, FileKind::File, stored, content.len() as u64, "")
    }

    /// Puts bytes as blocks, to be published at an offset of a file.
    pub async fn content(&mut self, offset: u64, content: &[u8]) -> Content {
        if content.len() <= 1000 && offset == 0 {
            return Content::Inline(Bytes::copy_from_slice(content));
        }
        let group = self.view().placement_groups().unwrap().remove(0);
        let (mut extents, mut blocks) = (Vec::new(), Vec::new());
        let mut at = offset;
        for plain in content.chunks(300_000) {
            let encoded = block::encode(plain).unwrap();
            self.sequence += 1;
            let id = BlockId { session: self.session, sequence: self.sequence };
            let length = u32::try_from(plain.len()).unwrap();
            let extent = Extent {
                offset: at,
                length,
                block: id,
                block_offset: 0,
                block_length: length,
                digest: encoded.digest,
                pg: group.id,
            };
            let acknowledged = SeatSet(0b111);
            extents.push(NewExtent { extent, pg_version: group.version, acknowledged });
            blocks.push(NewBlock { id, pg: group.id, digest: encoded.digest, stored: encoded.stored });
            at += plain.len() as u64;
        }
        self.shared.blocks.put(blocks).await.unwrap();
        Content::Extents(extents)
    }

    /// Puts bytes as a block that is said to have that digest, as a client does that lies.
    pub async fn content_claiming(&mut self, content: &[u8], digest: types::Digest) -> Content {
        let group = self.view().placement_groups().unwrap().remove(0);
        self.sequence += 1;
        let id = BlockId { session: self.session, sequence: self.sequence };
        let length = u32::try_from(content.len()).unwrap();
        let (offset, block_offset, block_length, pg) = (0, 0, length, group.id);
        let extent = Extent { offset, length, block: id, block_offset, block_length, digest, pg };
        let stored = block::encode(content).unwrap().stored;
        self.shared.blocks.put(vec![NewBlock { id, pg, digest, stored }]).await.unwrap();
        Content::Extents(vec![NewExtent { extent, pg_version: group.version, acknowledged: SeatSet(0b111) }])
    }

    pub fn create(&self, parent: Lin, name: &str, kind: FileKind, content: Content, size: u64, target: &str) -> Lin {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let inode = NewInode {
            kind,
            mode: 0o750,
            uid,
            gid,
            atime: None,
            mtime: Some(Timestamp { seconds: 1_600_000_000, nanoseconds: 123_456_789 }),
            target: Bytes::from(target.to_owned()),
            xattrs: Vec::new(),
            content,
            size,
        };
        let name = Name::new(name.to_owned()).unwrap();
        match self.change(Change::Create(Create { parent, name, inode, replace: false })) {
            Outcome::Inode(attributes) => attributes.lin,
            other => panic!("{other:?}"),
        }
    }

    /// Reads a whole file of a view, block by block.
    pub async fn read(&self, view: &View, lin: Lin) -> Vec<u8> {
        let file = view.file(lin).unwrap();
        let mut content = vec![0; usize::try_from(file.attributes.size).unwrap()];
        match file.content {
            namespace::StoredContent::Inline(bytes) => content[..bytes.len()].copy_from_slice(&bytes),
            namespace::StoredContent::Extents => {
                for published in view.extents(lin, 0, usize::MAX).unwrap() {
                    let extent = published.extent;
                    let stored = self.shared.blocks.get(extent.block).await.unwrap().unwrap();
                    let plain = block::decode(&stored.stored, &extent.digest).unwrap();
                    let (to, from) = (usize::try_from(extent.offset).unwrap(), extent.block_offset as usize);
                    let length = extent.length as usize;
                    content[to..to + length].copy_from_slice(&plain[from..from + length]);
                }
            }
            other => panic!("{other:?}"),
        }
        content
    }

    /// Ends everything.
    pub async fn stop(self) {
        self.tasks.close(Duration::from_secs(20)).await.unwrap();
    }
}

pub fn is_over(job: &Job) -> bool {
    matches!(job.phase, JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled)
}
