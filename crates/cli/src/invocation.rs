//! One run of the program.

use std::mem::ManuallyDrop;
use std::process::ExitCode;
use std::time::Duration;

use client::{Client, Options, Session};
use runtime::Tasks;
use runtime::telemetry::{self, LogFormat, TelemetryOptions};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::arguments::{Arguments, Command};
use crate::commands::{backup, cluster, completions, context, policy, quota, repo, restore, site, snapshot};
use crate::context::ClusterChoice;
use crate::error::CliError;
use crate::exit::Exit;
use crate::fs;
use crate::output::{Format, Output, Verbosity, complain_line};
use crate::stop::{Signal, Signals};

/// How long the end of a session may take that is closed because a command failed or was stopped.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Errors, and of sites warnings too: whoever waits is told that a request is tried again.
const DEFAULT_LOG: &str = "error,site=warn";

/// What every command has at hand.
pub struct Invocation {
    pub choice: ClusterChoice,
    pub output: Output,
    pub tasks: Tasks,
    /// The session that is open; a command that succeeds closes it itself.
    session: Option<Session>,
}

impl Invocation {
    /// Connects to the cluster that is meant.
    pub async fn connect(&self) -> Result<Client, CliError> {
        let options = Options::new(self.choice.endpoints()?, self.tasks.clone());
        Ok(Client::connect(options).await?)
    }

    /// Connects, and opens a session for changes.
    pub async fn open_session(&mut self) -> Result<Session, CliError> {
        let label = format!("holdfast, process {}", std::process::id());
        let session = self.connect().await?.open_session(&label).await?;
        self.session = Some(session.clone());
        Ok(session)
    }

    /// Carries out a command. When it fails or is stopped, what it left running cleans up after itself, and its session
    /// is closed, so that the cluster can clear away the blocks that nobody will publish.
    async fn carry_out(&mut self, command: Command) -> Result<(), CliError> {
        let mut signals = Signals::watch(end)?;
        let done = signals.or_stop(dispatch(command, self)).await;
        if done.is_err() {
            signals.wind_up(&self.tasks).await;
            if let Some(session) = self.session.take() {
                // The first error tells why; what cannot be closed now expires.
                let _ = tokio::time::timeout(CLOSE_PATIENCE, session.close()).await;
            }
        }
        done
    }
}

/// Runs a command to its end; an error is printed here.
pub fn run(arguments: Arguments) -> Result<(), Exit> {
    let format = if arguments.json { Format::Json } else { Format::Text };
    run_typed(arguments, format).map_err(|error| {
        let exit = error.exit();
        if !matches!(error, CliError::OutputClosed) {
            print_error(&error, exit, format);
        }
        exit
    })
}

fn run_typed(arguments: Arguments, format: Format) -> Result<(), CliError> {
    let filter = std::env::var("HOLDFAST_LOG").unwrap_or_else(|_| DEFAULT_LOG.to_owned());
    let look = if format == Format::Json { LogFormat::Json } else { LogFormat::Text };
    telemetry::init(&TelemetryOptions { filter, format: look })
        .map_err(|error| CliError::Usage { message: format!("$HOLDFAST_LOG: {error}") })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CliError::Start { source })?;
    let Arguments { cluster: choice, command, quiet, .. } = arguments;
    let output = Output::new(format, if quiet { Verbosity::Quiet } else { Verbosity::Normal });
    let invocation = Invocation { choice, output, tasks: Tasks::new("holdfast"), session: None };
    run_on(runtime, invocation, command)
}

fn run_on(runtime: Runtime, mut invocation: Invocation, command: Command) -> Result<(), CliError> {
    // It ends with the process: signals are obeyed until then, whatever is written to whomever; and threads that still
    // read a file that nobody wants any more do not hold up the end.
    let runtime = ManuallyDrop::new(runtime);
    let done = runtime.block_on(invocation.carry_out(command));
    if matches!(done, Err(CliError::Stopped { .. })) {
        invocation.output.discard();
    }
    done.and(invocation.output.flush())
}

/// Ends the process although the command goes on. Nothing is said: whoever reads standard error may be the one that does
/// not read.
fn end(signal: Signal) {
    std::process::exit(CliError::Stopped { signal }.exit().code().into());
}

async fn dispatch(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::Cluster(command) => Box::pin(cluster::run(command, invocation)).await,
        Command::Fs(command) => Box::pin(fs::run(command, invocation)).await,
        Command::Snapshot(command) => Box::pin(snapshot::run(command, invocation)).await,
        Command::Site(command) => Box::pin(site::run(command, invocation)).await,
        Command::Policy(command) => Box::pin(policy::run(command, invocation)).await,
        Command::Quota(command) => Box::pin(quota::run(command, invocation)).await,
        Command::Backup(command) => Box::pin(backup::run(command, invocation)).await,
        Command::Repo(command) => Box::pin(repo::run(command, invocation)).await,
        Command::Restore(arguments) => Box::pin(restore::run(arguments, invocation)).await,
        Command::Context(command) => context::run(command, invocation),
        Command::Completions(arguments) => completions::run(&arguments, invocation),
    }
}

/// Tells of a command line that is none. Who asks for help or the version gets it, as they would without us.
pub fn refuse(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if !wants_json || !error.use_stderr() {
        // A reader that went away needs no help.
        let _ = error.print();
        return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
    }
    complain_line(format_args!("{}", error_value("usage", error.to_string().trim_end(), Exit::Usage)));
    Exit::Usage.into()
}

fn print_error(error: &CliError, exit: Exit, format: Format) {
    match format {
        Format::Text => complain_line(format_args!("holdfast: {error}")),
        Format::Json => complain_line(format_args!("{}", error_value(error.code(), &error.to_string(), exit))),
    }
}

fn error_value(code: &str, message: &str, exit: Exit) -> Value {
    json!({ "error": { "code": code, "message": message, "exit": exit.code() } })
}
