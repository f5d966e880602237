//! The Raft core runs, or the process ends.
//!
//! A core that has stopped leaves a process that answers and does nothing. What the log or the state store then holds
//! is checked by the next start, so ending is always right.

use openraft::async_runtime::watch::WatchReceiver;
use runtime::{OnError, Tasks};
use thiserror::Error;

use crate::raft_types::{Fatal, Raft};

/// Why the process has to end.
#[derive(Debug, Error)]
enum CoreStopped {
    #[error("the Raft core stopped: {0}")]
    Failed(Fatal),
    #[error("the Raft core vanished")]
    Vanished,
}

/// Starts the task that ends the process when the core stops before it was told to.
pub(crate) fn watch_core(tasks: &Tasks, raft: &Raft) {
    let (mut news, shutdown) = (raft.metrics(), tasks.shutdown());
    tasks.spawn("raft-core", OnError::EndProcess, async move {
        loop {
            let running = news.borrow_and_update().running_state.clone();
            if let Err(fatal) = running {
                return if shutdown.is_cancelled() { Ok(()) } else { Err(CoreStopped::Failed(fatal)) };
            }
            match shutdown.unless_cancelled(news.changed()).await {
                None => return Ok(()),
                Some(Ok(())) => {}
                Some(Err(_)) => return Err(CoreStopped::Vanished),
            }
        }
    });
}
