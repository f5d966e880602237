//! What `holdfastd` is told on its command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// The version, the commit and the formats that this program reads and writes.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit ",
    env!("HOLDFAST_COMMIT"),
    "\nformats: identity 1, keystore 1, join token 1, protocol holdfast.v1"
);

/// The storage daemon: one per node of a Holdfast cluster.
#[derive(Debug, Parser)]
#[command(name = "holdfastd", version, long_version = LONG_VERSION, args_conflicts_with_subcommands = true)]
pub struct Arguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
    /// What to do instead of running
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a configuration file and exit: 0 if it can be used, 78 if not
    CheckConfig {
        /// The configuration file
        file: PathBuf,
    },
}
