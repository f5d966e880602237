//! The newest copy of the state, kept while it may be asked for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::Clock;
use tokio::time::Instant;

use super::Checkpoint;

/// How long an unused copy stays: a transfer that was cut off can go on with the same files. It holds the space of
/// files that the store itself has dropped since.
const IDLE: Duration = Duration::from_secs(600);

/// The newest copy of the state; clones share it.
#[derive(Clone)]
pub(crate) struct Shelf {
    clock: Clock,
    kept: Arc<Mutex<Option<Kept>>>,
}

struct Kept {
    checkpoint: Arc<Checkpoint>,
    used: Instant,
}

impl Shelf {
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default() }
    }

    /// The copy, if there is one; using it keeps it longer.
    pub fn get(&self) -> Option<Arc<Checkpoint>> {
        let mut kept = self.kept();
        let kept = kept.as_mut()?;
        kept.used = self.clock.now();
        Some(Arc::clone(&kept.checkpoint))
    }

    /// Replaces the copy.
    pub fn put(&self, checkpoint: Arc<Checkpoint>) {
        let old = self.kept().replace(Kept { checkpoint, used: self.clock.now() });
        drop(old);
    }

    /// Drops the copy: the state was replaced.
    pub fn clear(&self) {
        let old = self.kept().take();
        drop(old);
    }

    /// Drops the copy if nobody used it for long. Blocks.
    pub fn drop_idle(&self) {
        let now = self.clock.now();
        let old = self.kept().take_if(|kept| now.saturating_duration_since(kept.used) > IDLE);
        drop(old);
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
