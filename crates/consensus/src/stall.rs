//! A leader whose disk hangs hands over.
//!
//! Its heartbeats would go on, so that nobody stands for election, while nothing that it is asked to write comes back.
//! The log and the vote have one writer, which is watched; so is the application to the state store, which RocksDB holds
//! up when it cannot flush. A flush that holds nothing up yet only delays the purge of the log. A disk that fails is
//! another matter: that ends the process.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use runtime::{Clock, OnError, Tasks};
use tracing::warn;
use types::NodeId;

use crate::log::LogStore;
use crate::member::status_of;
use crate::options::Timing;
use crate::progress::Progress;
use crate::raft_types::Raft;

/// An application may take longer than a sync, and what makes it long makes it so on the next leader too; in election
/// timeouts.
const APPLY_SHARE: u32 = 5;

/// What the task owns.
pub(crate) struct StallWatch {
    pub node: NodeId,
    pub raft: Raft,
    pub log: LogStore,
    pub applying: Progress,
    pub clock: Clock,
    pub timing: Timing,
}

impl StallWatch {
    /// Starts the task.
    pub fn start(self, tasks: &Tasks) {
        let shutdown = tasks.shutdown();
        tasks.spawn("stall-watch", OnError::EndProcess, async move {
            let mut ticks = self.clock.interval(self.timing.heartbeat);
            let mut told = false;
            while shutdown.unless_cancelled(ticks.tick()).await.is_some() {
                let stalled = self.stalled();
                told = match stalled {
                    Some(stall) => told || self.hand_over(stall).await,
                    None => false,
                };
            }
        });
    }

    /// What hangs, and how long already, if it is for too long.
    fn stalled(&self) -> Option<(&'static str, Duration)> {
        let now = self.clock.now();
        // As long as the others would wait for a leader that is gone.
        let log = self.log.write_lasts(now);
        if log > self.timing.election_max {
            return Some(("the log", log));
        }
        let applying = self.applying.lasts(now);
        (applying > self.timing.election_max * APPLY_SHARE).then_some(("the state store", applying))
    }

    /// Tells the voter with the most entries to take over, if this node leads; says whether it did.
    async fn hand_over(&self, (what, lasts): (&'static str, Duration)) -> bool {
        let status = status_of(self.node, &self.raft.metrics().borrow_watched());
        let Some(to) = status.successor() else { return false };
        warn!(?lasts, %to, "{what} does not get on: hand leadership over");
        // A core that has stopped is the watcher's concern.
        self.raft.trigger().transfer_leader(to.get()).await.is_ok()
    }
}
