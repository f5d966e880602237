//! Ctrl-C and SIGTERM: what goes on is given up in order, so that nothing half-written stays.

use std::time::Duration;

use runtime::Tasks;
use tokio::signal::unix::{self, SignalKind};

use crate::error::CliError;

/// How long what is under way may take to clean up after itself; a second signal ends the wait.
const GRACE: Duration = Duration::from_secs(5);

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

/// The signals that ask for the end.
pub struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    /// From now on the signals come here, and do not end the process by themselves.
    pub fn watch() -> Result<Self, CliError> {
        let watch = |kind| unix::signal(kind).map_err(|source| CliError::Start { source });
        Ok(Self { interrupt: watch(SignalKind::interrupt())?, terminate: watch(SignalKind::terminate())? })
    }

    /// Runs a command, and gives it up at a signal.
    pub async fn or_stop<T>(&mut self, command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        tokio::select! {
            done = command => done,
            signal = self.next() => Err(CliError::Stopped { signal }),
        }
    }

    /// Tells the tasks that are left to stop, and waits for them.
    pub async fn wind_up(&mut self, tasks: &Tasks) {
        tokio::select! {
            // What does not end in time ends with the process.
            _ = tasks.close(GRACE) => {}
            _ = self.next() => {}
        }
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
