//! A bound on the bytes that are in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One permit stands for this many bytes, so that budgets above 4 GiB fit the semaphore's 32-bit counts.
const GRAIN_BYTES: u64 = 1024;

/// A number of bytes that may be in flight; whoever wants more waits. Clones share it.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    semaphore: Arc<Semaphore>,
    permits: u32,
}

/// The right to hold some bytes; gives them back when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the bytes back"]
pub struct BytePermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ByteBudget {
    /// Makes a budget of that many bytes, rounded up to whole KiB; at least one.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let permits = grains(bytes).clamp(1, u32::MAX / 8);
        Self { semaphore: Arc::new(Semaphore::new(permits as usize)), permits }
    }

    /// Waits until that many bytes are free, in order of arrival. More than the whole budget counts as the whole budget:
    /// such a caller then runs alone instead of waiting forever.
    pub async fn acquire(&self, bytes: u64) -> BytePermit {
        let wanted = grains(bytes).min(self.permits);
        let permit = Arc::clone(&self.semaphore).acquire_many_owned(wanted).await;
        BytePermit { _permit: permit.ok() }
    }

    /// Takes the bytes if they are free now.
    #[must_use]
    pub fn try_acquire(&self, bytes: u64) -> Option<BytePermit> {
        let wanted = grains(bytes).min(self.permits);
        let permit = Arc::clone(&self.semaphore).try_acquire_many_owned(wanted).ok()?;
        Some(BytePermit { _permit: Some(permit) })
    }

    /// How many bytes are taken now.
    #[must_use]
    pub fn taken(&self) -> u64 {
        (u64::from(self.permits) * GRAIN_BYTES).saturating_sub(self.free())
    }

    /// How many bytes are free now.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.semaphore.available_permits() as u64 * GRAIN_BYTES
    }
}

fn grains(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(GRAIN_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_taken_comes_back_when_dropped() {
        let budget = ByteBudget::new(4096);
        let first = budget.acquire(3000).await;
        assert!(budget.try_acquire(2048).is_none());
        drop(first);
        assert!(budget.try_acquire(4096).is_some());
        assert_eq!(budget.free(), 4096);
    }

    #[tokio::test]
    async fn more_than_everything_takes_everything() {
        let budget = ByteBudget::new(4096);
        let all = budget.acquire(1 << 40).await;
        assert_eq!((budget.free(), budget.taken()), (0, 4096));
        drop(all);
        assert_eq!(budget.free(), 4096);
    }
}
