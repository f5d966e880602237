//! A cluster of processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::folder::NodeFolder;
use super::ports::free_ports;
use super::{Cli, ClusterError, Daemon, Programs, wait_for};

/// How long forming may take: elections, catching up and placement groups, on a machine under load.
const FORM_DEADLINE: Duration = Duration::from_secs(120);

/// Nodes on loopback, in a folder that goes with them.
#[derive(Debug)]
pub struct Cluster {
    // Dropped in this order: no process may still write into a folder that is being removed.
    daemons: Vec<Daemon>,
    cli: Cli,
    folder: TempDir,
}

impl Cluster {
    /// Starts processes that belong to no cluster yet.
    ///
    /// # Errors
    ///
    /// When a program is missing or does not start.
    pub fn start(nodes: usize) -> Result<Self, ClusterError> {
        Self::start_prepared(nodes, |_, _| ())
    }

    /// As [`Cluster::start`]; `prepare` is given the number and the folder of each node before it is started.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub fn start_prepared(nodes: usize, mut prepare: impl FnMut(usize, &Path)) -> Result<Self, ClusterError> {
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("holdfast-test-").tempdir();
        let folder =
            folder.map_err(|source| ClusterError::File { doing: "make", path: std::env::temp_dir(), source })?;
        let ports = free_ports(nodes * 2)?;
        let mut daemons = Vec::new();
        for (number, pair) in (1..).zip(ports.chunks_exact(2)) {
            let [port, metrics_port] = pair else { continue };
            let node = NodeFolder::create(folder.path().join(format!("n{number}")), *port, *metrics_port)?;
            prepare(number, node.root());
            let mut daemon = Daemon::new(number, programs.holdfastd.clone(), node);
            daemon.start()?;
            daemons.push(daemon);
        }
        let cli = Cli::without_cluster(&programs.holdfast, &folder.path().join("home"));
        Ok(Self { daemons, cli, folder })
    }

    /// Starts processes and makes them one cluster that files can be written to.
    ///
    /// # Errors
    ///
    /// When a program is missing, does not start, or the cluster does not form in time.
    pub fn formed(nodes: usize) -> Result<Self, ClusterError> {
        let cluster = Self::start(nodes)?;
        cluster.form()?;
        Ok(cluster)
    }

    /// Makes the processes that were started one cluster that files can be written to.
    ///
    /// # Errors
    ///
    /// When it does not form in time.
    pub fn form(&self) -> Result<(), ClusterError> {
        let nodes = self.daemons.len();
        let answer = self.cli(1).json(&["cluster", "init", "--first-nodes", &nodes.to_string()])?;
        let tokens = answer.get("tokens").and_then(Value::as_array).cloned().unwrap_or_default();
        for (node, token) in (2..=nodes).zip(tokens.iter().filter_map(Value::as_str)) {
            self.cli(node).ok(&["cluster", "join", token])?;
        }
        self.wait_until_ready()
    }

    /// Waits until the first node says that files can be written.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Deadline`] when it does not.
    pub fn wait_until_ready(&self) -> Result<(), ClusterError> {
        wait_for("a cluster that is ready", FORM_DEADLINE, || {
            let status = self.cli(1).json(&["cluster", "status"]).map_err(|error| error.to_string())?;
            if status.get("ready") == Some(&Value::Bool(true)) { Ok(()) } else { Err(status.to_string()) }
        })
    }

    /// The command line, speaking to the admin socket of a node, counted from 1.
    #[must_use]
    pub fn cli(&self, node: usize) -> Cli {
        self.cli.on(&self.folder.path().join(format!("n{node}")).join("admin.sock"))
    }

    /// The command line without any cluster, as after a disaster.
    #[must_use]
    pub fn cli_without_cluster(&self) -> &Cli {
        &self.cli
    }

    /// A node, counted from 1.
    ///
    /// # Panics
    ///
    /// When there is no such node.
    pub fn node(&mut self, number: usize) -> &mut Daemon {
        self.daemons.iter_mut().find(|daemon| daemon.number() == number).expect("a test names nodes that it started")
    }

    /// A path in the folder of the cluster, for a test's own files.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills every node and removes what it had: nothing of the cluster is left but the test's own files.
    ///
    /// # Errors
    ///
    /// When a process or a folder resists.
    pub fn destroy(&mut self) -> Result<(), ClusterError> {
        for mut daemon in std::mem::take(&mut self.daemons) {
            daemon.kill()?;
            let path = daemon.folder().to_owned();
            std::fs::remove_dir_all(&path).map_err(|source| ClusterError::File { doing: "remove", path, source })?;
        }
        Ok(())
    }
}

impl Drop for Cluster {
    /// When a test fails, what the nodes logged is most of what one has.
    #[expect(clippy::print_stderr, reason = "the test runner shows it when the test fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for daemon in &self.daemons {
                eprintln!("log of node {} ends:\n{}\n", daemon.number(), daemon.log_end());
            }
        }
    }
}
