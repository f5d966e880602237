//! The command line, as a test uses it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::ClusterError;

/// Runs `holdfast` with an environment of its own, against one node's admin socket or against no cluster.
#[derive(Clone, Debug)]
pub struct Cli {
    program: PathBuf,
    home: PathBuf,
    socket: Option<PathBuf>,
}

/// What one call gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code, if it was not killed.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: String,
}

impl Cli {
    /// A command line that knows no cluster; configuration and state go to `home`.
    #[must_use]
    pub fn without_cluster(program: &Path, home: &Path) -> Self {
        Self { program: program.to_owned(), home: home.to_owned(), socket: None }
    }

    /// The same, against the admin socket of a node.
    #[must_use]
    pub fn on(&self, socket: &Path) -> Self {
        Self { socket: Some(socket.to_owned()), ..self.clone() }
    }

    /// A command that is not started yet, for a test that wants to say more about how it runs.
    #[must_use]
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(socket) = &self.socket {
            command.arg("--socket").arg(socket);
        }
        self.at_home(command.args(arguments).stdin(Stdio::null()));
        command
    }

    /// The same on a terminal of that many columns: `script` makes one, obeys what comes on its standard input as a
    /// person's typing, and gives what is shown.
    #[must_use]
    pub fn on_terminal<S: AsRef<OsStr>>(&self, columns: u16, arguments: &[S]) -> Command {
        self.on_terminal_then(columns, arguments, "")
    }

    /// The same, with commands of the shell that follow on the same terminal.
    #[must_use]
    pub fn on_terminal_then<S: AsRef<OsStr>>(&self, columns: u16, arguments: &[S], after: &str) -> Command {
        let quoted = |text: &OsStr| format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"));
        let command = self.command(arguments);
        let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
        // The shell lives on when what it runs is interrupted.
        let line = format!("trap : INT; stty columns {columns} rows 24; {}\n{after}", words.join(" "));
        // Whoever waits for a question that never comes is not to wait for ever.
        let mut script = Command::new("timeout");
        script.args(["--foreground", "60", "script"]);
        self.at_home(script.args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"]));
        script.env("TERM", "xterm").env("SHELL", "/bin/sh").stdin(Stdio::null());
        script
    }

    fn at_home(&self, command: &mut Command) {
        command.env("HOME", &self.home).env("XDG_CONFIG_HOME", self.home.join("config"));
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Process`] when it cannot be started.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Output, ClusterError> {
        let output = self.command(arguments).output();
        let output = output.map_err(|source| ClusterError::Process {
            doing: "start",
            program: "holdfast".to_owned(),
            source,
        })?;
        Ok(Output {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that is to succeed, and gives what it printed.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Command`] when it does not succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Vec<u8>, ClusterError> {
        let output = self.run(arguments)?;
        if output.code == Some(0) {
            return Ok(output.stdout);
        }
        Err(ClusterError::Command { arguments: shown(arguments), code: output.code, stderr: output.stderr })
    }

    /// Runs a command with `--json` that is to succeed, and gives the value that it printed.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Command`] when it does not succeed, [`ClusterError::Json`] when it prints something else.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<Value, ClusterError> {
        let mut with_json = vec![OsStr::new("--json")];
        with_json.extend(arguments.iter().map(AsRef::as_ref));
        let printed = self.ok(&with_json)?;
        serde_json::from_slice(&printed).map_err(|source| ClusterError::Json { arguments: shown(arguments), source })
    }
}

fn shown<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let shown: Vec<String> =
        arguments.iter().map(|argument| argument.as_ref().to_string_lossy().into_owned()).collect();
    shown.join(" ")
}
