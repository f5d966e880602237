//! What `holdfastd` is told on its command line.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};
use wire::v1::namespace_server::SERVICE_NAME;

/// The version, the commit, and the protocol and formats that this program reads and writes.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("HOLDFAST_COMMIT"));
    let protocol = SERVICE_NAME.rsplit_once('.').map_or(SERVICE_NAME, |(package, _)| package);
    let formats: Vec<_> = formats().map(|(name, version)| format!("{name} {version}")).collect();
    format!("{version}\ncommit {commit}\nprotocol: {protocol}\nformats: {}", formats.join(", "))
});

fn formats() -> impl Iterator<Item = (&'static str, u32)> {
    let own = [cluster::FORMATS.as_slice(), &consensus::FORMATS, &namespace::FORMATS, &blockstore::FORMATS];
    own.into_iter().chain([repo::FORMATS.as_slice()]).flatten().copied()
}

/// What the exit codes mean, which are those of `sysexits.h`.
const EXIT_CODES: &str = "\
Exit codes:
   0  it ended as it was asked to, by SIGTERM or SIGINT; or the configuration can be used
  64  the command line was wrong
  70  it failed while it started, ran or ended; the last lines of its log say why
  75  another process has the data folder, a port or the socket; it may work later
  78  the configuration cannot be used; the message names the key";

/// The storage daemon: one per node of a Holdfast cluster.
#[derive(Debug, Parser)]
#[command(name = "holdfastd", version, long_version = LONG_VERSION.as_str(), after_help = EXIT_CODES)]
#[command(args_conflicts_with_subcommands = true)]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_tells_all_that_a_node_writes() {
        for format in ["identity", "join token", "Raft log record", "state store", "segment", "stored block", "commit"]
        {
            assert_eq!(formats().filter(|(name, _)| *name == format).count(), 1, "{format}");
            assert!(LONG_VERSION.contains(&format!("{format} ")), "{}", *LONG_VERSION);
        }
        assert!(LONG_VERSION.contains("\nprotocol: holdfast.v1\n"), "{}", *LONG_VERSION);
    }
}
