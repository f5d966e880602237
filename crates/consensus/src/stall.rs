//! A leader whose disk hangs hands over.
//!
//! Its heartbeats would go on, so that nobody stands for election, while nothing that it is asked to write comes back.
//! A disk that fails is another matter: that ends the process.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use runtime::{Clock, OnError, Tasks};
use tracing::warn;
use types::NodeId;

use crate::log::LogStore;
use crate::member::status_of;
use crate::options::Timing;
use crate::raft_types::Raft;

/// What the task owns.
pub(crate) struct StallWatch {
    pub node: NodeId,
    pub raft: Raft,
    pub log: LogStore,
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
                let lasts = self.log.write_lasts(self.clock.now());
                // As long as the others would wait for a leader that is gone.
                let stalled = lasts > self.timing.election_max;
                told = stalled && (told || self.hand_over(lasts).await);
            }
        });
    }

    /// Tells the voter with the most entries to take over, if this node leads; says whether it did.
    async fn hand_over(&self, lasts: Duration) -> bool {
        let status = status_of(self.node, &self.raft.metrics().borrow_watched());
        let Some(to) = status.successor() else { return false };
        warn!(?lasts, %to, "the log does not get on: hand leadership over");
        // A core that has stopped is the watcher's concern.
        self.raft.trigger().transfer_leader(to.get()).await.is_ok()
    }
}
