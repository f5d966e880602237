//! Tails: small appends that lie in rows of the state until they are cut into a block (rule P16).
//!
//! A tail that is short is made longer by the next append, which writes a row of a few KiB in the place of the old one. A
//! longer one is left, and the next append begins a row of its own. So an append of a line costs a few KiB and not the
//! whole tail, and a tail has a few rows and not one a line.

use bytes::Bytes;
use types::{OperationError, TAIL_LENGTH_MAX};

use crate::error::{Failure, StoreError};
use crate::extents::{FileRange, end_of};
use crate::history::{Moment, versions_down};
use crate::keys::{ContentKey, ExtentKey, Key as _, KeyRange};
use crate::publish::EXTENTS_MAX;
use crate::rows::RunRow;
use crate::tables::Extents;
use crate::transaction::Transaction;

/// A tail that has so many bytes is not made longer.
const GROWING_LENGTH_MAX: usize = 4096;
/// Runs at the end of a file that have no more than [`TAIL_LENGTH_MAX`] bytes in tails. Whatever is written into a file
/// between appends, the bytes that it has in tails are few for the extents that it has.
const LOOKED_BACK_AT: usize = 32;

impl Transaction<'_> {
    /// Puts bytes behind the end of a content.
    pub fn append_tail(&mut self, content: ContentKey, end: u64, bytes: &Bytes) -> Result<(), Failure> {
        let range = FileRange { start: end, end: end + bytes.len() as u64 };
        self.clear_range(content, range, EXTENTS_MAX)?;
        let last = self.last_runs(content, end)?;
        let tails = || last.iter().filter(|(_, run)| is_tail(run));
        // What this operation has brought out of the inode could not be cut before.
        let is_fresh = content.since == self.revision();
        let held: u64 = if is_fresh { 0 } else { tails().map(|(_, run)| run.length()).sum() };
        if held + bytes.len() as u64 > TAIL_LENGTH_MAX as u64 {
            let from = tails().last().map_or(end, |(key, _)| key.offset);
            return Err(OperationError::TailFull { lin: content.lin, from }.into());
        }
        let (key, row) = match last.first() {
            Some((key, run @ RunRow::Tail(before)))
                if end_of(key.offset, run) == end
                    && before.len() < GROWING_LENGTH_MAX
                    && before.len() + bytes.len() <= TAIL_LENGTH_MAX =>
            {
                (*key, [&before[..], bytes].concat().into())
            }
            _ => (ExtentKey { content, offset: end }, bytes.clone()),
        };
        Ok(self.put_version::<Extents>(&key, RunRow::Tail(row))?)
    }

    /// The last runs before an offset, the last one first.
    fn last_runs(&self, content: ContentKey, end: u64) -> Result<Vec<(ExtentKey, RunRow)>, StoreError> {
        let taken = self.taken(content)?;
        let before = KeyRange::prefix(content.encode()).until(&ExtentKey { content, offset: end });
        let last = versions_down::<Extents>(self, Moment::Head, before).take(LOOKED_BACK_AT);
        let alive = last.filter_map(|found| match found {
            Ok((key, version)) => taken.death(key.offset, version.revision).is_none().then_some(Ok((key, version.row))),
            Err(error) => Some(Err(error)),
        });
        alive.collect()
    }
}

const fn is_tail(run: &RunRow) -> bool {
    matches!(run, RunRow::Tail(_))
}
