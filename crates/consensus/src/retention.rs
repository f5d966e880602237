//! How much log is kept, and what has to be durable before it goes (rule P5).
//!
//! **Order.** Flush the state store; take the applied entry from before that flush as the bound; let openraft know a
//! copy of the state at or after the bound, since it drops nothing that no copy holds; then purge. The bound is far
//! behind what is applied: see [`crate::Retention`]. If a received state takes the place of the store meanwhile, that
//! flush counts for nothing, and the next look begins anew. One that takes its place later is durable before it counts,
//! and holds more than any entry that was applied before: so the bound stays good.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use runtime::{Clock, OnError, Tasks, blocking};
use tracing::{info, warn};

use crate::Retention;
use crate::log::LogStore;
use crate::metrics::Metrics;
use crate::raft_types::Raft;
use crate::state::{Incoming, Shelf, StateError, Stores};

/// How long a copy of the state may take before the purge is left to the next look.
const COPY_DEADLINE: Duration = Duration::from_secs(120);

/// What the task owns.
pub(crate) struct Keeper {
    pub retention: Retention,
    pub raft: Raft,
    pub log: LogStore,
    pub stores: Stores,
    pub shelf: Shelf,
    pub incoming: Arc<Incoming>,
    pub clock: Clock,
    pub metrics: Metrics,
}

impl Keeper {
    /// Starts the task.
    pub fn start(self, tasks: &Tasks) {
        let shutdown = tasks.shutdown();
        tasks.spawn("log-retention", OnError::EndProcess, async move {
            let mut ticks = self.clock.interval(self.retention.period);
            while shutdown.unless_cancelled(ticks.tick()).await.is_some() {
                let Some(kept) = shutdown.unless_cancelled(self.keep()).await else { break };
                kept?;
            }
            Ok::<_, StateError>(())
        });
    }

    async fn keep(&self) -> Result<(), StateError> {
        let (shelf, incoming) = (self.shelf.clone(), Arc::clone(&self.incoming));
        blocking(move || {
            shelf.drop_idle();
            incoming.drop_idle();
        })
        .await;
        let Some(wanted) = self.wanted_bound() else { return Ok(()) };
        let stores = self.stores.clone();
        let Some(flushed) = blocking(move || stores.flush()).await? else { return Ok(()) };
        let bound = wanted.min(flushed);
        if !self.copy_reaches(bound).await {
            warn!(bound, "no copy of the state in time; the log is purged later");
            return Ok(());
        }
        info!(bound, bytes = self.log.bytes(), "purge the log");
        self.metrics.purged_index.set(i64::try_from(bound).unwrap_or(i64::MAX));
        // A core that has stopped is the watcher's concern.
        let _ = self.raft.trigger().purge_log(bound).await;
        self.metrics.purges.inc();
        Ok(())
    }

    /// The entry up to which the log should go, if enough has come together.
    fn wanted_bound(&self) -> Option<u64> {
        let (applied, purged) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.last_applied.as_ref()?.index, metrics.purged.as_ref().map_or(0, |purged| purged.index))
        };
        bound(&self.retention, applied, purged, self.log.bytes(), |bytes| self.log.index_with_bytes_behind(bytes))
    }

    /// Waits until openraft knows a copy of the state that holds the bound.
    async fn copy_reaches(&self, bound: u64) -> bool {
        let known = |raft: &Raft| raft.metrics().borrow_watched().snapshot.as_ref().map(|copy| copy.index);
        if known(&self.raft).is_some_and(|copied| copied >= bound) {
            return true;
        }
        if self.raft.trigger().snapshot().await.is_err() {
            return false;
        }
        let mut news = self.raft.metrics();
        let copied =
            async { while known(&self.raft).is_none_or(|copied| copied < bound) && news.changed().await.is_ok() {} };
        self.clock.timeout(COPY_DEADLINE, copied).await.is_ok() && known(&self.raft) >= Some(bound)
    }
}

/// The decision: by number of entries, or by bytes.
fn bound(
    retention: &Retention,
    applied: u64,
    purged: u64,
    log_bytes: u64,
    index_with_bytes_behind: impl FnOnce(u64) -> Option<u64>,
) -> Option<u64> {
    let by_entries = applied.saturating_sub(retention.keep_entries);
    let by_entries = (by_entries >= purged + retention.purge_entries).then_some(by_entries);
    let by_bytes =
        if log_bytes > retention.log_bytes { index_with_bytes_behind(retention.log_bytes / 2) } else { None };
    let by_bytes = by_bytes.map(|index| index.min(applied.saturating_sub(retention.keep_entries_min)));
    by_entries.max(by_bytes).filter(|bound| *bound > purged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention() -> Retention {
        Retention {
            keep_entries: 100,
            purge_entries: 50,
            log_bytes: 1000,
            keep_entries_min: 10,
            ..Retention::default()
        }
    }

    #[test]
    fn nothing_goes_before_enough_has_come_together() {
        assert_eq!(bound(&retention(), 149, 0, 0, |_| None), None);
        assert_eq!(bound(&retention(), 150, 0, 0, |_| None), Some(50));
        assert_eq!(bound(&retention(), 199, 50, 0, |_| None), None);
        assert_eq!(bound(&retention(), 200, 50, 0, |_| None), Some(100));
    }

    #[test]
    fn too_many_bytes_cut_deeper_but_keep_the_least() {
        let half = |bytes: u64| {
            assert_eq!(bytes, 500);
            Some(60)
        };
        assert_eq!(bound(&retention(), 80, 0, 1001, half), Some(60));
        assert_eq!(bound(&retention(), 65, 0, 1001, half), Some(55));
        assert_eq!(bound(&retention(), 80, 60, 1001, half), None, "it is purged already");
        assert_eq!(bound(&retention(), 80, 0, 1000, |_| None), None);
    }
}
