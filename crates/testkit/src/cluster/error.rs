//! What can go wrong with a cluster of processes.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

/// Why a cluster under test did not do what it was to do.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// A program has not been built.
    #[error("{} is not there: build it with `cargo build --workspace --bins`", path.display())]
    MissingProgram {
        /// Where it should be.
        path: PathBuf,
    },
    /// The test's own files could not be written or read.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A process could not be started or waited for.
    #[error("{doing} {program}: {source}")]
    Process {
        /// What was being done.
        doing: &'static str,
        /// With which program.
        program: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A daemon ended while it was being waited for.
    #[error("node {node} ended ({status}) while {waiting_for} was awaited; its log ends:\n{log_end}")]
    Ended {
        /// Which, from 1.
        node: usize,
        /// How it ended.
        status: ExitStatus,
        /// What was awaited.
        waiting_for: &'static str,
        /// The last lines that it logged.
        log_end: String,
    },
    /// A condition did not come true in time.
    #[error("{waiting_for} did not come true within {waited:?}; last seen: {last_seen}")]
    Deadline {
        /// The condition.
        waiting_for: String,
        /// How long it was given.
        waited: Duration,
        /// What was the case instead.
        last_seen: String,
    },
    /// The command line failed.
    #[error("holdfast {arguments} ended with {code:?}: {stderr}")]
    Command {
        /// What it was asked.
        arguments: String,
        /// Its exit code, if it was not killed.
        code: Option<i32>,
        /// What it said.
        stderr: String,
    },
    /// The command line was asked for JSON and gave something else.
    #[error("holdfast {arguments} printed no JSON: {source}")]
    Json {
        /// What it was asked.
        arguments: String,
        /// What is wrong with the text.
        #[source]
        source: serde_json::Error,
    },
    /// A port or a free one could not be found.
    #[error("no free port on loopback after {tries} tries")]
    NoPort {
        /// How many were tried.
        tries: u32,
    },
}
