//! Three nodes in one process: one state store that all of them see at once, one volume, one repository in a folder.

mod files;
mod node;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup::{BackupMetrics, Options, Runner, Surroundings};
use blockstore::{BlockStore, BlockStoreMetrics, Outside};
use namespace::{Store, View};
use repo::{KeyObject, NewRepository, PassphraseCost, Repository};
use runtime::{Clock, Files, Metrics, OnError, Seed, Tasks};
use site::{Medium, Site};
use types::{
    Change, ClusterId, Generation, Incarnation, Job, JobOperation, JobPhase, Lin, NewNode, NodeId, Operation, Outcome,
    Policy, Registration, RepositoryId, Root, SessionId, Shrinkage, VolumeId,
};
use uuid::Uuid;

use crate::faults::Faults;
use node::Node;

pub use node::Shared;

pub const REPOSITORY: RepositoryId = RepositoryId(Uuid::from_u128(0xb0b));

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

    /// Waits for the end of a job, which must be a backup.
    pub async fn succeed(&self, job: &Job) -> Job {
        let job = self.wait(job, is_over).await;
        assert!(matches!(job.phase, JobPhase::Succeeded(_)), "{:?}", job.phase);
        job
    }

    /// Waits for the end of a job, which must be a failure, and gives its reason.
    pub async fn fail(&self, job: &Job) -> String {
        match self.wait(job, is_over).await.phase {
            JobPhase::Failed(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a job to its success.
    pub async fn back_up(&self, policy: &Policy) -> Job {
        let job = self.succeed(&self.start_job(policy, self.nodes[0])).await;
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

    /// Ends everything.
    pub async fn stop(self) {
        self.tasks.close(Duration::from_secs(20)).await.unwrap();
    }
}

pub fn is_over(job: &Job) -> bool {
    matches!(job.phase, JobPhase::Succeeded(_) | JobPhase::Failed(_) | JobPhase::Cancelled)
}
