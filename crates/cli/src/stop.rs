//! Ctrl-C and SIGTERM: what goes on is given up in order, so that nothing half-written stays.
//!
//! The signals arrive at a task of their own, which passes them on to the command. A thread that writes to a reader who
//! does not read hears nothing; then the task ends the process itself.

use std::time::Duration;

use runtime::{Clock, OnError, Tasks};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

use crate::error::CliError;

/// How long what is under way may take to clean up after itself; a second signal ends the wait.
const GRACE: Duration = Duration::from_secs(5);
/// How long the command may take to notice a signal: it waits for something nearly all of the time, unless what it
/// waits for is a reader.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// How long the process may go on once the command has given up, with its session to be closed.
const END: Duration = Duration::from_secs(3);

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Interrupt,
    Terminate,
}

/// The signals that ask for the end, as the command hears of them.
pub struct Signals {
    passed_on: mpsc::Receiver<Signal>,
}

impl Signals {
    /// From now on the signals come here, and do not end the process by themselves. If the command does not hear of one,
    /// or does not end in time, `end` is called.
    pub fn watch(end: impl FnOnce(Signal) + Send + 'static) -> Result<Self, CliError> {
        let watch = |kind| unix::signal(kind).map_err(|source| CliError::Start { source });
        let watched =
            Watched { interrupt: watch(SignalKind::interrupt())?, terminate: watch(SignalKind::terminate())? };
        // One at a time: that there is room again tells that the last one was noticed.
        let (sender, passed_on) = mpsc::channel(1);
        // Not among the command's tasks: those are waited for.
        let tasks = Tasks::new("signals");
        tasks.spawn("pass signals on", OnError::Log, async move { end(watched.pass_on(&sender).await) });
        Ok(Self { passed_on })
    }

    /// Runs a command, and gives it up at a signal.
    pub async fn or_stop<T>(&mut self, command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
        tokio::select! {
            done = command => done,
            Some(signal) = self.passed_on.recv() => Err(CliError::Stopped { signal }),
        }
    }

    /// Tells the tasks that are left to stop, and waits for them.
    pub async fn wind_up(&mut self, tasks: &Tasks) {
        tokio::select! {
            // What does not end in time ends with the process.
            _ = tasks.close(GRACE) => {}
            Some(_) = self.passed_on.recv() => {}
        }
    }
}

/// The signals as the operating system tells of them.
struct Watched {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Watched {
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }

    /// Passes signals on to the command, and gives the first one when the process should have ended by now.
    async fn pass_on(mut self, command: &mpsc::Sender<Signal>) -> Signal {
        let clock = Clock::real();
        let first = self.next().await;
        match pass(first, command, &clock).await {
            Passed::Noticed => {
                if let Ok(second) = clock.timeout(GRACE, self.next()).await {
                    pass(second, command, &clock).await;
                }
                clock.sleep(END).await;
            }
            Passed::Over => clock.sleep(NOTICED_WITHIN).await,
            Passed::Unnoticed => {}
        }
        first
    }
}

/// What became of a signal that was passed on.
enum Passed {
    Noticed,
    /// The command waits for something else than its thread can be called away from.
    Unnoticed,
    /// There is no command any more, only its last words.
    Over,
}

async fn pass(signal: Signal, command: &mpsc::Sender<Signal>, clock: &Clock) -> Passed {
    let taken = async {
        command.send(signal).await.ok()?;
        command.reserve().await.ok().map(drop)
    };
    match clock.timeout(NOTICED_WITHIN, taken).await {
        Ok(Some(())) => Passed::Noticed,
        Ok(None) => Passed::Over,
        Err(_) => Passed::Unnoticed,
    }
}
