//! `holdfastd`: configuration, wiring and the services of one node.
//!
//! **Boot** is a list of named steps ([`boot`]). A node without an identity listens on its Unix socket alone, and waits
//! there to be made the first node of a cluster or to join one; then, in the same process, it goes on as a member: Raft,
//! block stores, the port with mutual TLS, and the work in the background.
//!
//! **What is where.** [`Daemon`] is the process; [`member`] is everything that only a member has. One file in `services/`
//! for each service of the protocol; they decide nothing, but translate between the protocol and the crates below.
//! `steward` forms the cluster, `ticks` counts its leases, `reclaim` gives space back, `collect` finds what nobody needs,
//! `keyring` fetches missing secrets.
//!
//! **End.** SIGTERM or SIGINT: take no new calls, answer those that are under way, hand leadership over, then stop Raft
//! and the stores, all under one deadline ([`ending`]). A crash at any point loses nothing that was acknowledged: what
//! must survive is synced before it is.

mod arguments;
mod backing_up;
mod boot;
mod calls;
mod collect;
mod compact;
mod config;
mod daemon;
mod ending;
mod error;
mod exit;
mod folder;
mod founding;
mod in_flight;
mod joining;
mod keyring;
mod liveness;
mod member;
mod membership;
mod message_limits;
mod metadata_room;
mod metrics_endpoint;
mod observe;
mod peers;
mod platform;
mod reclaim;
mod registry;
mod reopen;
mod replication;
mod scrub;
mod server;
mod services;
mod steward;
mod ticks;
mod timekeeping;
mod transport;
mod volumes;
mod witness;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind as ClapErrorKind;

use arguments::{Arguments, Command};
pub use config::{
    AdminConfig, BackupConfig, BlocksConfig, Config, ConfigError, LogConfig, MetadataConfig, MetricsConfig,
    NetworkConfig, SessionsConfig,
};
pub use daemon::Daemon;
pub use error::NodeError;
pub use platform::Platform;

/// Runs the program with its command line and gives its exit code.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    wire::install_crypto_provider();
    let done = match (arguments.command, arguments.config) {
        (Some(Command::CheckConfig { file }), _) => check_config(&file),
        (None, Some(file)) => boot::run(&file),
        // clap asks for one of the two.
        (None, None) => return ExitCode::from(exit::USAGE),
    };
    match done {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => {
            say(std::io::stderr(), &format!("holdfastd: {error}"));
            exit::code_of(&error)
        }
    }
}

fn check_config(file: &Path) -> Result<(), NodeError> {
    Config::read(&runtime::Files::real(), file)?;
    say(std::io::stdout(), &format!("{}: ok", file.display()));
    Ok(())
}

fn usage(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion);
    // Nobody is left to be told if the terminal is gone.
    let _printed = error.print();
    ExitCode::from(if asked_for { exit::DONE } else { exit::USAGE })
}

/// Prints a line. If nobody reads it any more, the exit code still tells.
fn say(mut to: impl std::io::Write, line: &str) {
    let _written = writeln!(to, "{line}");
}
