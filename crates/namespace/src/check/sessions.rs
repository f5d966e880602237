//! Sessions: the results that they remember, and the blocks that they have published.

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{Key as _, KeyRange};
use crate::meta;
use crate::read::Read as _;
use crate::rows::SessionRow;
use crate::session::{GAPS_MAX, WINDOW};
use crate::tables::{Blocks, Remembered, Sessions};

impl<R: Rows> Checker<'_, R> {
    /// A session was heard of in the past, and its published ranges are sorted, apart, and above its mark.
    pub(super) fn sessions(&mut self) -> Result<(), StoreError> {
        let ticks = meta::progress(self.rows)?.ticks;
        for row in self.rows.rows::<Sessions>(KeyRange::all()) {
            let (id, session) = row?;
            let (key, heard) = (id.encode(), session.renewed <= ticks);
            self.expect(heard, Family::Session, &key, "it was heard of in a tick that is to come");
            let mut above = session.block_mark;
            let mut apart = session.published.len() <= GAPS_MAX;
            for (start, end) in session.published {
                apart &= above < start && start < end;
                above = end;
            }
            self.expect(apart, Family::Session, &key, "its published blocks are not ranges above its mark");
        }
        Ok(())
    }

    /// A result is remembered for a session that is there, within its window.
    pub(super) fn remembered(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Remembered>(KeyRange::all()) {
            let (key, _) = row?;
            let session = self.rows.row::<Sessions>(&key.session)?;
            let window = session.map(|session| session.low_water..session.low_water.saturating_add(WINDOW));
            let inside = window.is_some_and(|window| window.contains(&key.sequence));
            self.expect(inside, Family::Remembered, &key.encode(), "it is outside of its session's window");
        }
        Ok(())
    }

    /// A block in use cannot be published again by its session.
    pub(super) fn claimed(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Blocks>(KeyRange::all()) {
            let (block, _) = row?;
            let session = self.rows.row::<Sessions>(&block.session)?;
            let claimed = session.is_none_or(|session| has_claimed(&session, block.sequence));
            self.expect(claimed, Family::Block, &block.encode(), "its session could publish it again");
        }
        Ok(())
    }
}

fn has_claimed(session: &SessionRow, sequence: u64) -> bool {
    let published = session.published.partition_point(|&(start, _)| start <= sequence);
    let last = published.checked_sub(1).and_then(|last| session.published.get(last));
    sequence < session.block_mark || last.is_some_and(|&(_, end)| sequence < end)
}
