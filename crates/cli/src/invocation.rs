//! One run of the program.

use client::{Client, Options, Session};
use runtime::Tasks;
use runtime::telemetry::{self, TelemetryOptions};
use serde_json::json;

use crate::arguments::{Arguments, Command};
use crate::commands::{backup, cluster, policy, repo, restore, site, snapshot};
use crate::context::ClusterChoice;
use crate::error::CliError;
use crate::exit::Exit;
use crate::fs;
use crate::output::{Format, Output};

/// What every command has at hand.
pub struct Invocation {
    pub choice: ClusterChoice,
    pub output: Output,
    pub tasks: Tasks,
}

impl Invocation {
    /// Connects to the cluster that is meant.
    pub async fn connect(&self) -> Result<Client, CliError> {
        let options = Options::new(self.choice.endpoints()?, self.tasks.clone());
        Ok(Client::connect(options).await?)
    }

    /// Connects, and opens a session for changes.
    pub async fn open_session(&self) -> Result<Session, CliError> {
        let label = format!("holdfast, process {}", std::process::id());
        Ok(self.connect().await?.open_session(&label).await?)
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
    let filter = std::env::var("HOLDFAST_LOG").unwrap_or_else(|_| "error".to_owned());
    telemetry::init(&TelemetryOptions { filter, ..TelemetryOptions::default() })
        .map_err(|error| CliError::Usage { message: format!("$HOLDFAST_LOG: {error}") })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CliError::Start { source })?;
    let Arguments { cluster: choice, command, .. } = arguments;
    let mut invocation = Invocation { choice, output: Output::new(format), tasks: Tasks::new("holdfast") };
    let done = runtime.block_on(dispatch(command, &mut invocation));
    let flushed = invocation.output.flush();
    // Threads that still read a file that nobody wants any more must not hold up the end.
    runtime.shutdown_background();
    done.and(flushed)
}

async fn dispatch(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::Cluster(command) => Box::pin(cluster::run(command, invocation)).await,
        Command::Fs(command) => Box::pin(fs::run(command, invocation)).await,
        Command::Snapshot(command) => Box::pin(snapshot::run(command, invocation)).await,
        Command::Site(command) => Box::pin(site::run(command, invocation)).await,
        Command::Policy(command) => Box::pin(policy::run(command, invocation)).await,
        Command::Backup(command) => Box::pin(backup::run(command, invocation)).await,
        Command::Repo(command) => Box::pin(repo::run(command, invocation)).await,
        Command::Restore(arguments) => Box::pin(restore::run(arguments, invocation)).await,
    }
}

#[expect(clippy::print_stderr, reason = "this is where errors are printed")]
fn print_error(error: &CliError, exit: Exit, format: Format) {
    match format {
        Format::Text => eprintln!("holdfast: {error}"),
        Format::Json => eprintln!(
            "{}",
            json!({ "error": { "code": error.code(), "message": error.to_string(), "exit": exit.code() } })
        ),
    }
}
