//! Sessions: a request that is repeated gives its first result, and a block is published once (rules P3 and P10).
//!
//! A session has a lease, which is measured in ticks that come with the log (rule P2). Each of its requests renews it, with
//! one write a tick at most. One whose lease has run out is over for good, whether or not its rows are still there: nothing
//! renews it, and everything that names it is refused. So whoever sees that, in however old a state, may end it.

use std::ops::Range;

use types::{BlockId, OperationError, Outcome, RequestKey, SessionId};

use crate::database::Rows as _;
use crate::error::{Failure, StoreError};
use crate::keys::{Key as _, KeyRange, RememberedKey};
use crate::read::Read as _;
use crate::rows::{RememberedRow, SessionRow};
use crate::tables::{Remembered, Sessions, Table as _};
use crate::transaction::Transaction;

/// Requests of one session that may be under way at once, and so the results that are remembered of it.
pub const WINDOW: u64 = 1024;
/// Gaps that a session may leave between published blocks above its mark: a bound on its row.
pub const GAPS_MAX: usize = 4096;

/// Numbers that are looked up one by one when they are given up: to begin a walk costs as much as several look-ups.
const LOOKED_UP_MAX: u64 = 8;

/// Ticks that a session outlives the one in which it was last heard of.
pub const LEASE_TICKS: u64 = 60;

/// The result that a request had when it was carried out.
pub type FirstResult = Result<Outcome, OperationError>;

impl Transaction<'_> {
    /// Opens a session; its number is the revision of the operation.
    pub fn open_session(&mut self, label: &str) -> SessionId {
        let id = SessionId(self.revision().0);
        let row = SessionRow {
            label: label.to_owned(),
            opened: self.now(),
            used: self.now(),
            renewed: self.progress.ticks,
            low_water: 1,
            block_mark: 0,
            holds: 0,
            locks: 0,
            pins: Vec::new(),
            published: Vec::new(),
        };
        self.put::<Sessions>(&id, &row);
        id
    }

    /// Ends a session, forgets its results, pins and locks, and lets it hold no file. One that has ended stays ended; one that
    /// had much is ended again until nothing is left of it.
    pub fn close_session(&mut self, id: SessionId) -> Result<(), Failure> {
        self.forget(id, KeyRange::prefix(id.encode()))?;
        self.unpin_all(id)?;
        self.delete::<Sessions>(&id);
        self.forget_some_locks(id)?;
        self.release_some(id)
    }

    /// Says that all blocks of a session below a mark are published or given up.
    pub fn raise_block_mark(&mut self, id: SessionId, mark: u64) -> Result<(), Failure> {
        let mut row = self.session(id)?;
        row.raise_block_mark(mark);
        row.renewed = self.progress.ticks;
        self.put::<Sessions>(&id, &row);
        Ok(())
    }

    /// Counts a tick, unless it was counted before.
    pub fn tick(&mut self, after: u64) {
        if self.progress.ticks == after {
            self.progress.ticks = after.saturating_add(1);
        }
    }

    /// The first result of a request that was carried out before. Of a new one takes the low-water mark.
    pub fn admit(&mut self, key: RequestKey) -> Result<Option<FirstResult>, Failure> {
        let mut row = self.session(key.session)?;
        if row.renewed != self.progress.ticks {
            row.renewed = self.progress.ticks;
            self.put::<Sessions>(&key.session, &row);
        }
        let remembered = RememberedKey { session: key.session, sequence: key.sequence };
        if let Some(row) = self.row::<Remembered>(&remembered)? {
            return Ok(Some(row.result));
        }
        let low_water = row.low_water.max(key.low_water);
        let window = low_water..low_water.saturating_add(WINDOW);
        if !window.contains(&key.sequence) {
            return Err(OperationError::OutsideWindow { session: key.session, sequence: key.sequence }.into());
        }
        if low_water > row.low_water {
            let given_up = row.low_water..low_water;
            row.low_water = low_water;
            row.used = self.now();
            self.put::<Sessions>(&key.session, &row);
            self.give_up(key.session, given_up)?;
        }
        Ok(None)
    }

    /// Forgets the results of requests with these numbers.
    fn give_up(&mut self, session: SessionId, numbers: Range<u64>) -> Result<(), Failure> {
        let remembered = |sequence| RememberedKey { session, sequence };
        if numbers.end - numbers.start > LOOKED_UP_MAX {
            // Not from the session's first number on: the range would walk over all that was ever forgotten.
            let range = KeyRange::all().from(&remembered(numbers.start)).until(&remembered(numbers.end));
            return self.forget(session, range);
        }
        for key in numbers.map(remembered) {
            if self.get(Remembered::FAMILY, &key.encode())?.is_some() {
                self.delete::<Remembered>(&key);
            }
        }
        Ok(())
    }

    /// Remembers a result, unless the operation ended its own session.
    pub fn remember(&mut self, key: RequestKey, result: &FirstResult) -> Result<(), Failure> {
        if self.row::<Sessions>(&key.session)?.is_some() {
            let remembered = RememberedKey { session: key.session, sequence: key.sequence };
            self.put::<Remembered>(&remembered, &RememberedRow { result: result.clone() });
        }
        Ok(())
    }

    /// A session whose lease has not run out.
    pub fn live_session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let ticks = self.progress.ticks;
        Ok(self.row::<Sessions>(&id)?.filter(|row| !row.has_expired(ticks)))
    }

    /// A session that is not over.
    pub fn session(&self, id: SessionId) -> Result<SessionRow, Failure> {
        Ok(self.live_session(id)?.ok_or(OperationError::NoSession { session: id })?)
    }

    /// Forgets results of a session: at most a window of them.
    fn forget(&mut self, session: SessionId, range: KeyRange) -> Result<(), Failure> {
        let keys: Vec<_> =
            self.rows::<Remembered>(range).map(|row| row.map(|(key, _)| key)).collect::<Result<_, _>>()?;
        for key in keys {
            debug_assert_eq!(key.session, session, "the range is within the session");
            self.delete::<Remembered>(&key);
        }
        Ok(())
    }
}

impl SessionRow {
    /// Whether the lease has run out at a count of ticks.
    pub const fn has_expired(&self, ticks: u64) -> bool {
        ticks.saturating_sub(self.renewed) > LEASE_TICKS
    }

    /// Marks a block as published; one below the mark, or one that is published already, is refused.
    ///
    /// The block at the mark raises it, and one beside a range lengthens that. So whatever gaps there are, the oldest
    /// block of the session can always be published, once those before it are published or given up.
    pub fn claim(&mut self, block: BlockId) -> Result<(), OperationError> {
        let sequence = block.sequence;
        let after = sequence.checked_add(1).ok_or_else(|| no_block(sequence))?;
        // The range that would follow one that begins with the block.
        let next = self.published.partition_point(|&(start, _)| start <= sequence);
        let before = next.checked_sub(1).and_then(|index| self.published.get(index)).copied();
        if sequence < self.block_mark || before.is_some_and(|(_, end)| sequence < end) {
            return Err(OperationError::StaleBlock { block });
        }
        if sequence == self.block_mark {
            self.raise_block_mark(after);
            return Ok(());
        }
        let (mut start, mut end) = (sequence, after);
        let (mut first, mut last) = (next, next);
        if let Some((before, _)) = before.filter(|&(_, end)| end == sequence) {
            start = before;
            first -= 1;
        }
        if let Some(&(_, after)) = self.published.get(next).filter(|&&(start, _)| start == end) {
            end = after;
            last += 1;
        }
        if first == last && self.published.len() >= GAPS_MAX {
            return Err(OperationError::SessionFull { session: block.session, gaps: GAPS_MAX as u64 });
        }
        self.published.splice(first..last, [(start, end)]);
        Ok(())
    }

    /// Raises the block mark, and takes in what is published from there on; a lower one changes nothing.
    fn raise_block_mark(&mut self, mark: u64) {
        self.block_mark = self.block_mark.max(mark);
        let reached = self.published.iter().take_while(|(start, _)| *start <= self.block_mark).count();
        for (_, end) in self.published.drain(..reached) {
            self.block_mark = self.block_mark.max(end);
        }
    }
}

/// The number after a block's has to be a number too.
fn no_block(sequence: u64) -> OperationError {
    OperationError::OutOfRange { what: "the number of the block".to_owned(), value: sequence, limit: u64::MAX - 1 }
}

#[cfg(test)]
pub mod tests {
    use bytes::Bytes;
    use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
    use types::{Batch, ErrorKind, Operation, Request, Timestamp};

    use super::*;
    use crate::{Entry, Store};

    /// One that has done nothing yet.
    pub fn session() -> SessionRow {
        let opened = Timestamp::default();
        SessionRow {
            label: String::new(),
            opened,
            used: opened,
            renewed: 0,
            low_water: 1,
            block_mark: 0,
            holds: 0,
            locks: 0,
            pins: Vec::new(),
            published: Vec::new(),
        }
    }

    fn block(sequence: u64) -> BlockId {
        BlockId { session: SessionId(1), sequence }
    }

    #[test]
    fn a_block_is_claimed_once_and_neighbours_share_a_range() {
        let mut row = session();
        for sequence in [5, 7, 1, 6, 0] {
            row.claim(block(sequence)).unwrap();
        }
        assert_eq!((row.block_mark, &row.published[..]), (2, &[(5, 8)][..]), "the first ones have raised the mark");
        for sequence in [0, 1, 5, 6, 7] {
            assert_eq!(row.claim(block(sequence)), Err(OperationError::StaleBlock { block: block(sequence) }));
        }
    }

    #[test]
    fn a_raised_mark_forgets_what_is_below_it() {
        let mut row = session();
        for sequence in [1, 3, 4, 10] {
            row.claim(block(sequence)).unwrap();
        }
        row.raise_block_mark(3);
        assert_eq!((row.block_mark, &row.published[..]), (5, &[(10, 11)][..]), "and what is published behind it");
        row.raise_block_mark(1);
        assert_eq!(row.block_mark, 5);
        row.raise_block_mark(11);
        assert_eq!((row.block_mark, row.published.len()), (11, 0));
    }

    #[test]
    fn gaps_have_a_bound_and_filling_one_is_always_possible() {
        let mut row = session();
        for gap in 1..=GAPS_MAX as u64 {
            row.claim(block(2 * gap)).unwrap();
        }
        let beyond = 2 * GAPS_MAX as u64 + 2;
        let refused = row.claim(block(beyond)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "to be tried again: {refused}");
        row.claim(block(3)).unwrap();
        row.claim(block(beyond)).unwrap();
    }

    #[test]
    fn the_oldest_block_is_always_taken_so_that_no_session_jams() {
        let mut row = session();
        row.raise_block_mark(1);
        for gap in 1..=GAPS_MAX as u64 {
            row.claim(block(10 * gap)).unwrap();
        }
        row.claim(block(5)).unwrap_err();
        // Its neighbours are not published, and there is no room for another gap.
        for oldest in 1..10 {
            row.claim(block(oldest)).unwrap();
            assert_eq!(row.claim(block(oldest)), Err(OperationError::StaleBlock { block: block(oldest) }));
        }
        assert_eq!((row.block_mark, row.published.len()), (11, GAPS_MAX - 1), "the mark has taken in the first range");
        row.claim(block(15)).unwrap();
    }

    #[test]
    fn the_last_number_is_no_block() {
        let mut row = session();
        let refused = row.claim(block(u64::MAX)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidRequest, "{refused}");
        row.claim(block(u64::MAX - 1)).unwrap();
        assert_eq!(row.published, [(u64::MAX - 1, u64::MAX)]);
        row.raise_block_mark(u64::MAX);
        assert_eq!(row.claim(block(u64::MAX)).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }

    /// Applies one operation, and gives how many rows that are gone the store walked over for it, and how many walks it
    /// began.
    fn apply(store: &Store, index: u64, request: Request) -> (FirstResult, u64, u64) {
        let batch = Some(Batch { proposed_at: Timestamp::default(), requests: vec![request] });
        let entry = Entry { index, position: Bytes::from_static(b"position"), membership: None, batch };
        let mut counted = PerfContext::default();
        counted.reset();
        let result = store.apply(&[entry]).unwrap().remove(0).remove(0);
        let (gone, walks) = (PerfMetric::InternalDeleteSkippedCount, PerfMetric::SeekOnMemtableCount);
        (result, counted.metric(gone), counted.metric(walks))
    }

    fn store_with_session() -> (tempfile::TempDir, Store, SessionId) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state")).unwrap();
        let opened = apply(&store, 1, Request { key: None, operation: Operation::OpenSession { label: "s".into() } });
        let Ok(Outcome::Session(session)) = opened.0 else { panic!("no session: {opened:?}") };
        (folder, store, session)
    }

    #[test]
    fn the_last_request_of_a_session_costs_no_more_than_the_first() {
        let (_folder, store, session) = store_with_session();
        set_perf_stats(PerfStatsLevel::EnableCount);
        for sequence in 1..=500 {
            let key = Some(RequestKey { session, sequence, low_water: sequence });
            let operation = Operation::RaiseBlockMark { session, mark: sequence };
            let (result, gone, walks) = apply(&store, sequence + 1, Request { key, operation });
            assert_eq!(result, Ok(Outcome::Done));
            assert!(gone <= 4, "request {sequence} walked over {gone} rows that were forgotten before");
            assert_eq!(walks, 0, "request {sequence} gives one number up, which takes no walk");
        }
        set_perf_stats(PerfStatsLevel::Disable);
    }

    #[test]
    fn whatever_the_step_of_a_mark_all_results_below_it_are_forgotten() {
        for step in 1..=2 * LOOKED_UP_MAX {
            let (_folder, store, session) = store_with_session();
            let requests = (1..=step).map(|sequence| (sequence, 1)).chain([(step + 1, step + 1)]);
            for (index, (sequence, low_water)) in (2..).zip(requests) {
                let key = Some(RequestKey { session, sequence, low_water });
                let operation = Operation::RaiseBlockMark { session, mark: sequence };
                assert_eq!(apply(&store, index, Request { key, operation }).0, Ok(Outcome::Done));
            }
            assert_eq!(store.view().unwrap().check().unwrap(), [], "after a step of {step}");
        }
    }
}
