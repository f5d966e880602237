//! How long the write lasts that is going on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Since when the writer waits for the disk to do one thing; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct WriteProgress {
    began: Arc<Mutex<Option<Instant>>>,
}

impl WriteProgress {
    pub fn begin(&self, now: Instant) {
        *self.began() = Some(now);
    }

    pub fn end(&self) {
        *self.began() = None;
    }

    /// How long the write has lasted; nothing if there is none.
    pub fn lasts(&self, now: Instant) -> Duration {
        self.began().map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }

    fn began(&self) -> MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
