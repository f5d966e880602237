//! One `holdfastd` process.

use std::fs::OpenOptions;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::folder::NodeFolder;
use super::{ClusterError, wait_for};

/// How long a node may take until its admin socket answers; a machine under load is slow.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How many lines of a log an error shows.
const LOG_LINES_SHOWN: usize = 30;

/// A node under test: its folder, and its process while it runs.
#[derive(Debug)]
pub struct Daemon {
    number: usize,
    program: PathBuf,
    folder: NodeFolder,
    process: Option<Child>,
}

impl Daemon {
    pub(super) fn new(number: usize, program: PathBuf, folder: NodeFolder) -> Self {
        Self { number, program, folder, process: None }
    }

    /// Starts the process and waits until its admin socket answers.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Ended`] when it ends instead, with the end of its log.
    pub fn start(&mut self) -> Result<(), ClusterError> {
        self.process = Some(self.spawn()?);
        self.wait_for_socket()
    }

    /// Starts one more process on the same folder, which is to refuse that, and gives how it ended.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Deadline`] when it does not end.
    pub fn start_another(&self) -> Result<ExitStatus, ClusterError> {
        let mut another = self.spawn()?;
        let ended = wait_for("the end of a second process", START_DEADLINE, || match another.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        });
        if ended.is_err() {
            another.kill().and_then(|()| another.wait()).map_err(|source| self.process_error("kill", source))?;
        }
        ended
    }

    fn spawn(&self) -> Result<Child, ClusterError> {
        let path = self.folder.log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.map_err(|source| self.folder.error("open", &path, source))?;
        Command::new(&self.program)
            .arg("--config")
            .arg(self.folder.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|source| self.process_error("start", source))
    }

    fn wait_for_socket(&mut self) -> Result<(), ClusterError> {
        let socket = self.socket();
        wait_for("an answer from the admin socket", START_DEADLINE, || match self.ended() {
            Ok(None) => UnixStream::connect(&socket).map(|_| Ok(())).map_err(|error| error.to_string()),
            Ok(Some(status)) => Ok(Err(self.ended_error(status, "its admin socket"))),
            Err(error) => Ok(Err(error)),
        })?
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Process`] when the operating system does not tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ClusterError> {
        let Some(process) = &mut self.process else { return Ok(None) };
        process.try_wait().map_err(|source| ClusterError::Process {
            doing: "wait for",
            program: "holdfastd".to_owned(),
            source,
        })
    }

    /// Kills the process as a loss of power would, as far as the process is concerned, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Process`] when the operating system refuses.
    pub fn kill(&mut self) -> Result<(), ClusterError> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        process.kill().map_err(|source| self.process_error("kill", source))?;
        process.wait().map(|_| ()).map_err(|source| self.process_error("wait for", source))
    }

    /// Asks the process to end (SIGTERM), and gives how it ended.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Deadline`] when it does not end in time; it still runs then.
    pub fn terminate(&mut self, deadline: Duration) -> Result<Option<ExitStatus>, ClusterError> {
        let Some(process) = &self.process else { return Ok(None) };
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, Signal::TERM)
                .map_err(|errno| self.process_error("terminate", errno.into()))?;
        }
        let status = wait_for("the end of a node", deadline, || match self.ended() {
            Ok(Some(status)) => Ok(Ok(status)),
            Ok(None) => Err("it runs"),
            Err(error) => Ok(Err(error)),
        })??;
        self.process = None;
        Ok(Some(status))
    }

    /// The process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// The path of the admin socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.socket()
    }

    /// The folder that holds everything of this node.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.root()
    }

    /// Everything that the node has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        self.folder.logged()
    }

    /// The last lines of the log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default().join("\n")
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    fn ended_error(&self, status: ExitStatus, waiting_for: &'static str) -> ClusterError {
        ClusterError::Ended { node: self.number, status, waiting_for, log_end: self.log_end() }
    }

    fn process_error(&self, doing: &'static str, source: std::io::Error) -> ClusterError {
        ClusterError::Process { doing, program: format!("holdfastd of node {}", self.number), source }
    }
}

impl Drop for Daemon {
    /// No test leaves a process behind.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _already_gone = process.kill();
            let _reaped = process.wait();
        }
    }
}
