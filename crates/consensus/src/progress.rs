//! How long that lasts which is going on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Since when one thing is waited for, if one is; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    began: Arc<Mutex<Option<Instant>>>,
}

impl Progress {
    pub fn begin(&self, now: Instant) {
        *self.began() = Some(now);
    }

    pub fn end(&self) {
        *self.began() = None;
    }

    /// How long it has lasted; nothing if nothing is waited for.
    pub fn lasts(&self, now: Instant) -> Duration {
        self.began().map_or(Duration::ZERO, |began| now.saturating_duration_since(began))
    }

    fn began(&self) -> MutexGuard<'_, Option<Instant>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
