//! Exit codes, as `sysexits.h` numbers them.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::NodeError;

/// It ended as it was asked to.
pub const DONE: u8 = 0;
/// The command line was wrong.
pub const USAGE: u8 = 64;
/// It failed while it ran.
pub const FAILED: u8 = 70;
/// Another process has the data folder, a port or the socket: it may work later.
pub const TAKEN: u8 = 75;
/// The configuration cannot be used.
pub const CONFIG: u8 = 78;

/// The exit code for a failure.
#[must_use]
pub fn code_of(error: &NodeError) -> ExitCode {
    ExitCode::from(match error {
        NodeError::Config(_) => CONFIG,
        NodeError::Lock(runtime::LockError::Held { .. }) => TAKEN,
        NodeError::Net(error) if error.source.kind() == ErrorKind::AddrInUse => TAKEN,
        _ => FAILED,
    })
}
