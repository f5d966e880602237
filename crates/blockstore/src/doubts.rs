//! Records that the disk did not give at the last try.
//!
//! Nothing is known against such a copy: the error may pass, and the bytes may be right. But until they have been read it
//! is no copy to count on. So its block is not told as held, and a put of the block writes it anew instead of passing it
//! over; the old record then dies as any that is replaced. A read of the whole record ends the doubt. So does a restart,
//! after which the next read begins it again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::index::Row;
use crate::segment::SegmentNumber;

/// So many records in doubt mean that the disk as a whole is away, of which a longer list tells no more.
const DOUBTS_MAX: usize = 64 << 10;

/// Where a record begins.
type Place = (SegmentNumber, u64);

#[derive(Debug, Default)]
pub(crate) struct Doubts {
    places: Mutex<BTreeSet<Place>>,
}

impl Doubts {
    /// A read of the record has failed.
    pub(crate) fn begin(&self, row: &Row) {
        self.locked(|places| {
            if places.len() < DOUBTS_MAX {
                places.insert(row.place());
            }
        });
    }

    /// The whole record was read, or is dead.
    pub(crate) fn end(&self, row: &Row) {
        self.locked(|places| places.remove(&row.place()));
    }

    pub(crate) fn has(&self, row: &Row) -> bool {
        self.locked(|places| places.contains(&row.place()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.locked(|places| places.is_empty())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut BTreeSet<Place>) -> T) -> T {
        work(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use types::{Digest, PgId};

    use super::*;
    use crate::index::RowState;

    fn row(offset: u64) -> Row {
        Row {
            state: RowState::Held,
            segment: SegmentNumber::FIRST,
            offset,
            payload_length: 0,
            plain_length: 0,
            pg: PgId(1),
            digest: Digest::default(),
        }
    }

    #[test]
    fn a_disk_that_is_away_takes_a_bounded_room() {
        let doubts = Doubts::default();
        let most = DOUBTS_MAX as u64;
        (0..=most).for_each(|offset| doubts.begin(&row(offset)));
        assert!(doubts.has(&row(0)) && !doubts.has(&row(most)));
        doubts.end(&row(0));
        doubts.begin(&row(most));
        assert!(!doubts.has(&row(0)) && doubts.has(&row(most)));
    }
}
