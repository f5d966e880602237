//! The numbers of a session's blocks, and which of them may still be published (rules P3 and P10).
//!
//! A number is reserved before its block is put, and the guard of the reservation goes with the block's extent until that
//! is published or given up. So the mark is exact: the first number that is still reserved. The block that has it is the
//! one that a session with too many gaps still takes, and so some writer always gets on.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::{BlockId, SessionId};

/// How many blocks the mark may lag behind before the cluster is told: each time is a change of the state of its own.
const MARK_STEP: u64 = 4096;

/// When the cluster is told the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Once it has moved far.
    Seldom,
    /// As soon as it has moved.
    Now,
}

/// The numbers of a session's blocks.
#[derive(Debug)]
pub struct BlockIds {
    session: SessionId,
    numbers: Mutex<Numbers>,
}

#[derive(Debug)]
struct Numbers {
    next: u64,
    /// Those that may still be published; as many as writers at work hold.
    reserved: BTreeSet<u64>,
    /// The mark that the cluster was told.
    told: u64,
}

impl Numbers {
    /// Every block below it is published or given up for good.
    fn mark(&self) -> u64 {
        self.reserved.first().copied().unwrap_or(self.next)
    }
}

/// A block's id, which may still be published; dropping it says that it is, or that it is given up.
#[derive(Debug)]
pub struct Reserved {
    ids: Arc<BlockIds>,
    sequence: u64,
}

impl Reserved {
    /// The id.
    pub fn id(&self) -> BlockId {
        BlockId { session: self.ids.session, sequence: self.sequence }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.ids.numbers().reserved.remove(&self.sequence);
    }
}

impl BlockIds {
    /// The numbers of a new session.
    pub fn new(session: SessionId) -> Arc<Self> {
        Arc::new(Self { session, numbers: Mutex::new(Numbers { next: 1, reserved: BTreeSet::new(), told: 1 }) })
    }

    /// Takes the next number.
    pub fn reserve(self: &Arc<Self>) -> Reserved {
        let mut numbers = self.numbers();
        let sequence = numbers.next;
        numbers.next += 1;
        numbers.reserved.insert(sequence);
        Reserved { ids: Arc::clone(self), sequence }
    }

    /// The mark as it stands.
    pub fn mark(&self) -> u64 {
        self.numbers().mark()
    }

    /// The mark, if it is time to tell it.
    pub fn mark_to_tell(&self, when: Telling) -> Option<u64> {
        let numbers = self.numbers();
        let step = match when {
            Telling::Seldom => MARK_STEP,
            Telling::Now => 1,
        };
        let mark = numbers.mark();
        (mark >= numbers.told.saturating_add(step)).then_some(mark)
    }

    /// Notes that the cluster has been told a mark.
    pub fn told(&self, mark: u64) {
        let mut numbers = self.numbers();
        numbers.told = numbers.told.max(mark);
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        // Nothing panics while the lock is held.
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_the_first_block_that_may_still_be_published() {
        let ids = BlockIds::new(SessionId(7));
        let [first, second, third] = [ids.reserve(), ids.reserve(), ids.reserve()];
        assert_eq!(second.id(), BlockId { session: SessionId(7), sequence: 2 });
        assert_eq!(ids.mark_to_tell(Telling::Now), None);
        drop(second);
        assert_eq!(ids.mark_to_tell(Telling::Now), None, "the first one still holds it");
        drop(first);
        assert_eq!(ids.mark_to_tell(Telling::Now), Some(3));
        drop(third);
        assert_eq!(ids.mark_to_tell(Telling::Now), Some(4));
    }

    #[test]
    fn a_mark_that_could_not_be_told_is_told_the_next_time() {
        let ids = BlockIds::new(SessionId(1));
        (0..MARK_STEP).for_each(|_| drop(ids.reserve()));
        let mark = ids.mark_to_tell(Telling::Seldom).unwrap();
        assert_eq!(ids.mark_to_tell(Telling::Seldom), Some(mark), "nothing says that the cluster heard it");
        ids.told(mark);
        drop(ids.reserve());
        assert_eq!(ids.mark_to_tell(Telling::Seldom), None);
        assert_eq!(ids.mark_to_tell(Telling::Now), Some(mark + 1));
    }
}
