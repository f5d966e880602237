//! Members in one process, over a network that can be cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use consensus::{
    Batching, ConsensusError, Handle, MessageKind, Options, RequestResult, Retention, Surroundings, Timing, Transport,
    TransportError,
};
use futures::future::BoxFuture;
use namespace::View;
use runtime::{Clock, EntryKind, FileError, Files, Metrics, Tasks};
use tempfile::TempDir;
use types::{
    Change, Content, Create, FileKind, Lin, Name, NewInode, NodeId, Operation, Outcome, Request, RequestKey, SessionId,
};

/// How long a test waits for what has to come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The members that run, and what lies between them.
#[derive(Clone, Default)]
pub struct Net {
    state: Arc<Mutex<NetState>>,
}

#[derive(Default)]
struct NetState {
    members: BTreeMap<NodeId, Handle>,
    isolated: BTreeSet<NodeId>,
    /// Pairs that do not reach each other.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Reached by everything but log entries.
    starved: BTreeSet<NodeId>,
    /// Neither answers nor asks, and no connection to it ends: its host stands still.
    frozen: BTreeSet<NodeId>,
    /// Forwarded requests are carried out, and their answers lost.
    deaf: bool,
    /// Messages about state snapshots that come through yet, if that is bounded.
    snapshot_messages: Option<u64>,
}

/// A member with its folder.
pub struct Node {
    pub id: NodeId,
    pub handle: Handle,
    pub tasks: Tasks,
    pub metrics: Metrics,
    pub folder: TempDir,
    net: Net,
}

/// What differs between the tests.
#[derive(Clone)]
pub struct Setup {
    pub retention: Retention,
    pub batching: Batching,
    pub segment_bytes: u64,
    pub request_deadline: Duration,
    pub files: Files,
    pub clock: Clock,
    /// The shortest and the longest election timeout.
    pub elections: (Duration, Duration),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            batching: Batching::default(),
            segment_bytes: 64 << 10,
            request_deadline: Duration::from_secs(30),
            files: Files::real(),
            clock: Clock::real(),
            elections: (Duration::from_millis(500), Duration::from_millis(1000)),
        }
    }
}

impl Net {
    fn state(&self) -> MutexGuard<'_, NetState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts a member off from all others.
    pub fn isolate(&self, node: NodeId) {
        self.state().isolated.insert(node);
    }

    /// Cuts two members off from each other.
    pub fn cut(&self, one: NodeId, other: NodeId) {
        self.state().cut.extend([(one, other), (other, one)]);
    }

    /// Keeps log entries from a member; everything else reaches it.
    pub fn starve(&self, node: NodeId) {
        self.state().starved.insert(node);
    }

    /// Makes a member stand still, as far as the others can tell.
    pub fn freeze(&self, node: NodeId) {
        self.state().frozen.insert(node);
    }

    /// Joins all members again.
    pub fn heal(&self) {
        let mut state = self.state();
        state.isolated.clear();
        state.cut.clear();
        state.starved.clear();
        state.frozen.clear();
        state.snapshot_messages = None;
    }

    /// Lets so many messages about state snapshots through, and no more.
    pub fn cut_snapshots_after(&self, messages: u64) {
        self.state().snapshot_messages = Some(messages);
    }

    /// Whether as many messages about state snapshots came through as may.
    pub fn snapshots_are_cut(&self) -> bool {
        self.state().snapshot_messages == Some(0)
    }

    /// Loses the answers of forwarded requests, or no longer.
    pub fn lose_answers(&self) {
        self.state().deaf = true;
    }

    /// Brings answers again.
    pub fn bring_answers(&self) {
        self.state().deaf = false;
    }

    fn is_still(&self, from: NodeId, to: NodeId) -> bool {
        let state = self.state();
        state.frozen.contains(&from) || state.frozen.contains(&to)
    }

    fn route(&self, from: NodeId, to: NodeId, kind: MessageKind) -> Option<Handle> {
        let state = self.state();
        let starved = kind == MessageKind::Replication && state.starved.contains(&to);
        let cut = starved
            || state.cut.contains(&(from, to))
            || state.isolated.contains(&from)
            || state.isolated.contains(&to);
        state.members.get(&to).filter(|_| !cut).cloned()
    }

    /// Whether a message about a state snapshot comes through.
    fn takes_snapshot(&self) -> bool {
        match &mut self.state().snapshot_messages {
            None => true,
            Some(0) => false,
            Some(messages) => {
                *messages -= 1;
                true
            }
        }
    }
}

/// The network as one member sees it.
struct Wire {
    from: NodeId,
    net: Net,
    clock: Clock,
}

impl Transport for Wire {
    fn send<'a>(
        &'a self,
        to: NodeId,
        address: &'a str,
        kind: MessageKind,
        message: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        Box::pin(async move {
            let address = address.to_owned();
            let passes = kind != MessageKind::Snapshot || self.net.takes_snapshot();
            let Some(member) = self.net.route(self.from, to, kind).filter(|_| passes) else {
                return Err(TransportError::Unreachable { node: to, address, reason: "cut".into() });
            };
            let still = self.net.is_still(self.from, to);
            let answering = async { if still { std::future::pending().await } else { member.serve(message).await } };
            let served = self.clock.timeout(deadline, answering).await;
            let lost = |reason: &str| TransportError::NoAnswer { node: to, address, reason: reason.into() };
            let deaf = kind == MessageKind::Forward && self.net.state().deaf;
            match served {
                Err(_) => Err(lost("too late")),
                Ok(_) if deaf || self.net.route(self.from, to, kind).is_none() => Err(lost("lost")),
                Ok(Err(error)) => Err(TransportError::Refused { node: to, reason: error.to_string() }),
                Ok(Ok(answer)) => Ok(answer),
            }
        })
    }
}

impl Node {
    /// Starts a member in a folder that has its log.
    pub async fn start_in(net: &Net, id: u64, folder: TempDir, setup: &Setup) -> Result<Self, ConsensusError> {
        let id = NodeId(id);
        let (tasks, clock, metrics) = (Tasks::new("test"), setup.clock.clone(), Metrics::new());
        let mut options = options(id, &folder, setup);
        options.timing = Timing {
            heartbeat: Duration::from_millis(100),
            election_min: setup.elections.0,
            election_max: setup.elections.1,
            request_deadline: setup.request_deadline,
            ..Timing::default()
        };
        options.retention = setup.retention;
        options.batching = setup.batching;
        let transport = Arc::new(Wire { from: id, net: net.clone(), clock: clock.clone() });
        let files = setup.files.clone();
        let surroundings = Surroundings { tasks: tasks.clone(), clock, files, metrics: metrics.clone(), transport };
        let handle = consensus::start(options, surroundings).await?;
        net.state().members.insert(id, handle.clone());
        Ok(Self { id, handle, tasks, metrics, folder, net: net.clone() })
    }

    /// Starts a new member.
    pub async fn start(net: &Net, id: u64, setup: &Setup) -> Self {
        let folder = folder();
        consensus::create(&options(NodeId(id), &folder, setup), &setup.files).expect("an empty log");
        Self::start_in(net, id, folder, setup).await.expect("a member")
    }

    /// Stops the member in order; gives its folder.
    pub async fn stop(self) -> TempDir {
        self.net.state().members.remove(&self.id);
        self.handle.stop(PATIENCE).await.expect("an orderly stop");
        self.folder
    }

    /// Stops the member and gives the folder as it was while it ran: what a killed process leaves.
    pub async fn kill(self) -> TempDir {
        self.net.state().members.remove(&self.id);
        let image = image(self.folder.path());
        self.handle.stop(PATIENCE).await.expect("an orderly stop");
        image
    }

    /// Stops and starts the member.
    pub async fn restart(self, setup: &Setup) -> Self {
        let (net, id) = (self.net.clone(), self.id.get());
        Self::start_in(&net, id, self.stop().await, setup).await.expect("a member")
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("holdfast_{name} ")));
        line.unwrap_or_else(|| panic!("no metric {name}")).parse().expect("a number")
    }

    /// Waits until the member's own state has a file of that name.
    pub async fn wait_for_file(&self, name: &str) {
        let found = self.handle.wait_status(|_| has_file(&self.handle.local_view().expect("a view"), name));
        Clock::real().timeout(PATIENCE, found).await.expect("in time").expect("running");
    }
}

/// Three members of one group, all voters; the first one leads at the beginning.
pub async fn three(net: &Net, setup: &Setup) -> Vec<Node> {
    three_with(net, setup, setup).await
}

/// The same, with a set-up of its own for the first one.
pub async fn three_with(net: &Net, setup: &Setup, first: &Setup) -> Vec<Node> {
    let mut nodes = vec![Node::start(net, 1, first).await];
    for id in 2..=3 {
        nodes.push(Node::start(net, id, setup).await);
    }
    let first = nodes[0].handle.clone();
    first.initialize().await.expect("a group of one");
    for node in &nodes[1..] {
        first.add_learner(node.id, &format!("node-{}:1", node.id)).await.expect("a learner");
        let matched = first.wait_status(|status| {
            let member = status.members.iter().find(|member| member.node == node.id);
            member.is_some_and(|member| member.matched.is_some())
        });
        Clock::real().timeout(PATIENCE, matched).await.expect("in time").expect("running");
        first.promote(node.id).await.expect("a voter");
    }
    nodes
}

/// The member that leads, as a majority of the given ones sees it.
pub async fn leader(nodes: &[&Node]) -> NodeId {
    let ids: Vec<_> = nodes.iter().map(|node| node.id).collect();
    for node in nodes {
        let found = node.handle.wait_status(|status| status.leader.is_some_and(|leader| ids.contains(&leader)));
        Clock::real().timeout(PATIENCE, found).await.expect("a leader in time").expect("running");
    }
    nodes[0].handle.status().leader.expect("a leader")
}

/// A linearizable view. Elections take long on a machine that does much else, so a leader is waited for with patience.
pub async fn read(node: &Node) -> View {
    let clock = Clock::real();
    let reading = async {
        loop {
            match node.handle.read().await {
                Err(ConsensusError::NoLeader { .. } | ConsensusError::Stalled { .. }) => {}
                other => return other.expect("a view"),
            }
        }
    };
    clock.timeout(PATIENCE, reading).await.expect("a leader in time")
}

/// Waits until all members have applied the same, and compares their states.
pub async fn agree(nodes: &[&Node]) {
    let mut last = 0;
    for node in nodes {
        last = last.max(read(node).await.applied_index());
    }
    let mut digests = BTreeSet::new();
    for node in nodes {
        node.handle.wait_applied(last).await.expect("applied");
        let view = node.handle.local_view().expect("a view");
        digests.insert((view.applied_index(), view.revision(), view.digest()));
    }
    assert_eq!(digests.len(), 1, "the states differ: {digests:?}");
}

fn options(id: NodeId, folder: &TempDir, setup: &Setup) -> Options {
    let (raft, marker) = (folder.path().join("raft"), folder.path().join("marker"));
    let mut options = Options::new(id, format!("node-{id}:1"), raft, marker);
    options.segment_bytes = setup.segment_bytes;
    options
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// Copies a folder with all in it.
pub fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    let files = Files::real();
    files.create_dirs(to)?;
    for entry in files.list(from)? {
        let target = to.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => copy(&entry.path, &target)?,
            _ => files.write_atomic(&target, &files.read(&entry.path)?, 0o600)?,
        }
    }
    Ok(())
}

/// A copy of a folder at one moment: taken again while files come and go.
fn image(from: &Path) -> TempDir {
    loop {
        let (before, image) = (names(from), folder());
        if copy(from, image.path()).is_ok() && names(from) == before {
            return image;
        }
    }
}

/// All files below a folder.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in Files::real().list(folder).expect("a list") {
        match entry.kind {
            EntryKind::Directory => found.extend(names(&entry.path)),
            _ => drop(found.insert(entry.path)),
        }
    }
    found
}

/// A request that makes a file in the root directory.
pub fn create(name: &str) -> Request {
    let inode = NewInode {
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content: Content::Empty,
        size: 0,
    };
    let create = Create { parent: Lin::ROOT, name: file_name(name), inode, replace: false };
    Request { key: None, operation: Operation::Change(Change::Create(create)) }
}

/// The same with a key, so that it may be sent again.
pub fn create_once(session: SessionId, sequence: u64, name: &str) -> Request {
    Request { key: Some(RequestKey { session, sequence, low_water: 1 }), ..create(name) }
}

/// Makes a file through a member.
pub async fn make(node: &Node, name: &str) {
    let results = node.handle.propose(vec![create(name)]).await.expect("an answer");
    assert!(matches!(results.as_slice(), [Ok(Outcome::Inode(_))]), "{results:?}");
}

/// Opens a session through a member.
pub async fn session(node: &Node) -> SessionId {
    let operation = Operation::OpenSession { label: "test".into() };
    let results = node.handle.propose(vec![Request { key: None, operation }]).await.expect("an answer");
    match results.as_slice() {
        [Ok(Outcome::Session(session))] => *session,
        other => panic!("no session: {other:?}"),
    }
}

fn file_name(name: &str) -> Name {
    Name::new(name.to_owned()).expect("a name")
}

/// Whether a view has a file of that name.
pub fn has_file(view: &View, name: &str) -> bool {
    view.lookup(Lin::ROOT, &file_name(name)).is_ok()
}

/// The inode that a file of that name is in a view.
pub fn lin_in(view: &View, name: &str) -> Lin {
    view.lookup(Lin::ROOT, &file_name(name)).expect("the file").lin
}

/// The inode that a request made.
pub fn lin_of(result: &RequestResult) -> Lin {
    match result {
        Ok(Outcome::Inode(attributes)) => attributes.lin,
        other => panic!("no inode: {other:?}"),
    }
}
