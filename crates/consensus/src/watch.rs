//! The Raft core runs, or the process ends; and who leads.
//!
//! A core that has stopped leaves a process that answers and does nothing. What the log or the state store then holds
//! is checked by the next start, so ending is always right.

use openraft::async_runtime::watch::WatchReceiver;
use runtime::{OnError, Tasks};
use thiserror::Error;
use tokio::sync::watch;
use types::NodeId;

use crate::raft_types::{Fatal, Raft};

/// Why the process has to end.
#[derive(Debug, Error)]
enum CoreStopped {
    #[error("the Raft core stopped: {0}")]
    Failed(Fatal),
    #[error("the Raft core vanished")]
    Vanished,
}

/// Starts the task that ends the process when the core stops before it was told to. Gives who leads, as far as this
/// member knows: the core has news with every entry, and those who wait for another leader shall not all look at each.
pub(crate) fn watch_core(tasks: &Tasks, raft: &Raft) -> watch::Receiver<Option<NodeId>> {
    // Not all of its figures, which change several times with each entry.
    let (raft, mut news, shutdown) = (raft.clone(), raft.server_metrics(), tasks.shutdown());
    let (leader, known) = watch::channel(news.borrow_watched().current_leader.map(NodeId));
    tasks.spawn("raft-core", OnError::EndProcess, async move {
        loop {
            let leads = news.borrow_and_update().current_leader.map(NodeId);
            leader.send_if_modified(|known| std::mem::replace(known, leads) != leads);
            match shutdown.unless_cancelled(news.changed()).await {
                None => return Ok(()),
                Some(Ok(())) => {}
                Some(Err(_)) => break,
            }
        }
        // It is gone, and has left a word why.
        match raft.metrics().borrow_watched().running_state.clone() {
            _ if shutdown.is_cancelled() => Ok(()),
            Err(fatal) => Err(CoreStopped::Failed(fatal)),
            Ok(()) => Err(CoreStopped::Vanished),
        }
    });
    known
}
