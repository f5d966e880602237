//! Processes of the daemon under test, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use client::{Client, ClientError, Options, Session, SmallFile, Target};
use runtime::{Clock, Files, Tasks};
use types::{Change, Content, FileKind, Lin, Name, NewInode, Removal, SnapshotId};
use wire::{Endpoint, v1};

/// Forming takes seconds; a machine under load takes longer.
const DEADLINE: Duration = Duration::from_secs(120);

/// Where a node listens.
#[derive(Clone, Copy)]
pub struct Ports {
    /// For peers and clients.
    pub network: u16,
    /// For Prometheus.
    pub metrics: u16,
}

/// Some daemons; they are killed when this is dropped.
pub struct Daemons {
    folder: tempfile::TempDir,
    processes: Vec<Option<Child>>,
    ports: Vec<Ports>,
    tasks: Tasks,
    /// The process in whose mount namespace the daemons run.
    namespace: Option<u32>,
}

impl Daemons {
    /// Starts so many processes that belong to no cluster.
    pub fn start(nodes: usize) -> Self {
        Self::start_with(nodes, "")
    }

    /// Starts so many processes that belong to no cluster, with more in their configuration.
    pub fn start_with(nodes: usize, more: &str) -> Self {
        let mut daemons = Self::prepare(nodes, more);
        (0..nodes).for_each(|number| daemons.spawn(number));
        daemons
    }

    /// Makes folders and configurations for so many processes.
    pub fn prepare(nodes: usize, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("holdfast-node-").tempdir().expect("a temporary folder");
        let mut daemons =
            Self { folder, processes: Vec::new(), ports: Vec::new(), tasks: Tasks::new("test"), namespace: None };
        for number in 0..nodes {
            let ports = Ports { network: free_port(), metrics: free_port() };
            daemons.ports.push(ports);
            daemons.configure(number, ports, more);
            daemons.processes.push(None);
        }
        daemons
    }

    /// The folder of a node.
    pub fn home(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("n{number}"))
    }

    /// Where a node listens.
    pub fn ports(&self, number: usize) -> Ports {
        self.ports[number]
    }

    fn configure(&self, number: usize, Ports { network: port, metrics }: Ports, more: &str) {
        let text = format!(
            "data = \"disk/data\"\nvolumes = [\"disk/volume\"]\n[network]\nlisten = \"127.0.0.1:{port}\"\n\
             advertise = \"127.0.0.1:{port}\"\n[admin]\nsocket = \"admin.sock\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n{more}"
        );
        Files::real().create_dirs(&self.home(number)).expect("the node's folder");
        Files::real().write_atomic(&self.configuration(number), text.as_bytes(), 0o600).expect("the configuration");
    }

    /// Gives a node that does not run another port.
    pub fn move_to_another_port(&mut self, number: usize) {
        self.ports[number].network = free_port();
        self.configure(number, self.ports[number], "");
    }

    fn configuration(&self, number: usize) -> PathBuf {
        self.home(number).join("holdfastd.toml")
    }

    /// Makes the daemons run in the mount namespace of a process.
    pub fn run_in_namespace_of(&mut self, process: u32) {
        self.namespace = Some(process);
    }

    fn program(&self) -> Command {
        let daemon = env!("CARGO_BIN_EXE_holdfastd");
        let Some(process) = self.namespace else { return Command::new(daemon) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{process}/ns/mnt")).arg(daemon);
        command
    }

    /// Waits until the process of a node ends by itself, and gives how.
    pub async fn ended(&mut self, number: usize) -> ExitStatus {
        let mut child = self.processes[number].take().expect("the node runs");
        tokio::task::spawn_blocking(move || child.wait()).await.expect("it is waited for").expect("it ends")
    }

    /// Starts the process of a node.
    pub fn spawn(&mut self, number: usize) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.home(number).join("log"));
        let child = self
            .program()
            .arg("--config")
            .arg(self.configuration(number))
            .stdin(Stdio::null())
            .stderr(log.expect("the log"))
            .spawn()
            .expect("the daemon starts");
        self.processes[number] = Some(child);
    }

    /// Starts a second process on the configuration of a node and gives how it ended and what it said.
    pub fn run_another(&self, number: usize) -> (ExitStatus, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_holdfastd"))
            .arg("--config")
            .arg(self.configuration(number))
            .output()
            .expect("the daemon starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Kills a node as a loss of power would, as far as the process is concerned.
    pub fn kill(&mut self, number: usize) {
        let mut child = self.processes[number].take().expect("the node runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Asks a node to end, and gives how it ended.
    pub fn terminate(&mut self, number: usize) -> ExitStatus {
        let mut child = self.processes[number].take().expect("the node runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
        child.wait().expect("it ends")
    }

    /// Asks a node to end, and gives how it ends, while the test goes on.
    pub fn ask_to_end(&mut self, number: usize) -> tokio::task::JoinHandle<ExitStatus> {
        let mut child = self.processes[number].take().expect("the node runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it can be asked");
        tokio::task::spawn_blocking(move || child.wait().expect("it ends"))
    }

    /// A client at the socket of a node, once it answers.
    pub async fn client(&self, number: usize) -> Client {
        self.client_of([number]).await
    }

    /// A client that turns from node to node.
    pub async fn client_of_all(&self) -> Client {
        self.client_of(0..self.processes.len()).await
    }

    async fn client_of(&self, nodes: impl IntoIterator<Item = usize>) -> Client {
        let socket = |number| Endpoint::Unix(self.home(number).join("admin.sock"));
        let endpoints = nodes.into_iter().map(socket).collect();
        let options = Options { patience: DEADLINE, ..Options::new(endpoints, self.tasks.clone()) };
        let connect = || async { Client::connect(options.clone()).await.map_err(|error| error.to_string()) };
        self.until("the admin socket answers", connect).await
    }

    /// Tries until it succeeds.
    pub async fn until<T, F: Future<Output = Result<T, String>>>(&self, what: &str, attempt: impl Fn() -> F) -> T {
        let clock = Clock::real();
        let end = clock.now() + DEADLINE;
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(_) if clock.now() < end => clock.sleep(Duration::from_millis(100)).await,
                Err(last) => panic!("{what}: {last}\n{}", self.logs()),
            }
        }
    }

    /// Makes one cluster of all nodes and waits until files can be written.
    pub async fn form(&self) -> v1::InitializeResponse {
        self.form_of(self.processes.len()).await
    }

    /// Makes one cluster of the first nodes and waits until files can be written.
    pub async fn form_of(&self, nodes: usize) -> v1::InitializeResponse {
        let first_nodes = u32::try_from(nodes).expect("few nodes");
        let request = v1::InitializeRequest { first_nodes, admin: "test".to_owned() };
        let made = self.client(0).await.initialize(request).await.expect("the cluster is made");
        assert_eq!(made.tokens.len(), nodes - 1);
        for (number, token) in (1..).zip(&made.tokens) {
            self.join(number, token).await;
        }
        self.ready(0).await;
        made
    }

    /// Makes a node join.
    pub async fn join(&self, number: usize, token: &str) {
        let joined = self.client(number).await.join(token.to_owned()).await;
        joined.unwrap_or_else(|error| panic!("{error}\n{}", self.logs()));
    }

    /// Waits until a node says that files can be written.
    pub async fn ready(&self, number: usize) -> v1::ClusterStatus {
        let client = self.client(number).await;
        let ask = || async {
            let status = client.status().await.map_err(|error| error.to_string())?;
            if status.ready && status.leader.is_some() { Ok(status) } else { Err(format!("{status:?}")) }
        };
        self.until("the cluster is ready", ask).await
    }

    /// Which of the processes leads.
    pub async fn leader(&self) -> usize {
        for number in 0..self.processes.len() {
            let status = self.ready(number).await;
            if status.leader == Some(status.answered_by) {
                return number;
            }
        }
        panic!("none of these nodes leads\n{}", self.logs());
    }

    /// Waits until a node has logged a line that holds a text, and gives the first such line.
    pub async fn line(&self, number: usize, wanted: &str) -> String {
        let look = || async {
            let log = self.log(number);
            log.lines().find(|line| line.contains(wanted)).map(str::to_owned).ok_or_else(String::new)
        };
        self.until(wanted, look).await
    }

    /// All that a node has logged.
    pub fn log(&self, number: usize) -> String {
        let log = Files::real().read(&self.home(number).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The ends of all logs, for a test that fails.
    pub fn logs(&self) -> String {
        let end = |number| {
            let text = self.log(number);
            let lines: Vec<&str> = text.lines().collect();
            format!("--- node {number}\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        (0..self.processes.len()).map(end).collect()
    }
}

impl Drop for Daemons {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// A port that nobody uses now. It lies below those that the system gives to outgoing connections (`ip_local_port_range`
/// begins at 32768): a daemon opens its port some time after this, and until then one of those could take it.
fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // Other processes of tests begin elsewhere.
    let next = || 10_000 + (std::process::id() % 20_000 * 131 + TAKEN.fetch_add(1, Ordering::Relaxed)) % 20_000;
    let candidates = std::iter::repeat_with(|| u16::try_from(next()).expect("it is below 30000"));
    candidates.take(20_000).find(is_free).expect("a free port")
}

/// What a new file has before its content.
pub fn new_file() -> NewInode {
    NewInode {
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
    }
}

/// Bytes that do not repeat and are the same for the same seed.
pub fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    runtime::Seed::fixed(seed).fill(&mut bytes);
    bytes
}

/// Writes a file of some blocks below the root.
pub async fn put(session: &Session, name: &str, bytes: &[u8]) {
    let name = Name::new(name.to_owned()).expect("a name");
    let target = Target { parent: Lin::ROOT, name, inode: new_file(), replace: false };
    let mut writer = session.write_file(target);
    for (index, part) in bytes.chunks(1 << 20).enumerate() {
        writer.write((index as u64) << 20, part).await.expect("blocks are put");
    }
    writer.finish().await.expect("the file is published");
}

/// Removes a file below the root.
pub async fn remove(session: &Session, name: &str) -> Result<(), ClientError> {
    let name = Name::new(name.to_owned()).expect("a name");
    let change = Change::Remove { parent: Lin::ROOT, name, expect: Removal::NotDirectory };
    session.execute_one("remove a file", change).await.map(drop)
}

/// Reads a file below the root.
pub async fn get(client: &Client, name: &str) -> Result<Vec<u8>, String> {
    let name = Name::new(name.to_owned()).map_err(|error| error.to_string())?;
    let steps = client.lookup(Lin::ROOT, &[name], None).await.map_err(|error| error.to_string())?;
    get_lin(client, steps.last().ok_or("no such file")?.lin).await
}

/// A file below the root.
pub async fn find(client: &Client, name: &str) -> Lin {
    let steps = client.lookup(Lin::ROOT, &[Name::new(name.to_owned()).expect("a name")], None).await;
    steps.expect("the file is there").last().expect("a step for each name").lin
}

/// Reads a file, whatever its name.
pub async fn get_lin(client: &Client, lin: Lin) -> Result<Vec<u8>, String> {
    get_at(client, lin, None).await
}

/// Reads a file, at a snapshot or at the head.
pub async fn get_at(client: &Client, lin: Lin, snapshot: Option<SnapshotId>) -> Result<Vec<u8>, String> {
    let mut reader = client.read_file(lin, snapshot).await.map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await.map_err(|error| error.to_string())? {
        assert_eq!(piece.offset, bytes.len() as u64, "the file has no holes");
        bytes.extend_from_slice(&piece.bytes);
    }
    Ok(bytes)
}

/// A small file below the root.
pub fn small(name: &str, bytes: &'static [u8]) -> SmallFile {
    let pieces = vec![client::Piece { offset: 0, bytes: Bytes::from_static(bytes) }];
    let name = Name::new(name.to_owned()).expect("a name");
    let inode = NewInode { size: bytes.len() as u64, ..new_file() };
    SmallFile { parent: Lin::ROOT, name, inode, pieces, replace: false }
}

/// Whether a folder holds a text anywhere in its files.
pub fn holds(folder: &Path, text: &str) -> bool {
    let entries = Files::real().list(folder).expect("the folder can be read");
    entries.iter().any(|entry| match entry.kind {
        runtime::EntryKind::Directory => holds(&entry.path, text),
        _ => {
            Files::real().read(&entry.path).is_ok_and(|bytes| bytes.windows(text.len()).any(|at| at == text.as_bytes()))
        }
    })
}
