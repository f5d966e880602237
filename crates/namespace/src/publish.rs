//! Publishing of blocks: who may, and with how many copies (rules P7, P10 and P12).

use std::collections::BTreeMap;

use types::{BLOCK_LENGTH_MAX, Extent, NewExtent, OperationError, PlacementGroup, SeatState, SessionId};

use crate::error::Failure;
use crate::extents::FileRange;
use crate::keys::{ContentKey, ExtentKey, ShortKey};
use crate::read::Read as _;
use crate::rows::{ExtentRow, Present, RunRow, SessionRow};
use crate::tables::{Blocks, Extents, Pgs, Pools, Sessions, Short};
use crate::transaction::Transaction;

/// The longest file, as POSIX' signed offsets have it.
pub const FILE_LENGTH_MAX: u64 = i64::MAX.unsigned_abs();
/// Extents of one operation, and extents that they may replace: more would hold up everything behind it in the log.
pub const EXTENTS_MAX: usize = 65_536;

impl Transaction<'_> {
    /// Puts extents in the place of what a file holds where they are. Gives the end of the last one.
    pub fn publish(&mut self, content: ContentKey, extents: &[NewExtent]) -> Result<u64, Failure> {
        check_shape(extents)?;
        self.claim_blocks(extents)?;
        let mut replaced = 0;
        for new in extents {
            let pg = self.check_copies(new)?;
            self.note_missing_copies(new, &pg);
            let extent = &new.extent;
            let range = FileRange { start: extent.offset, end: end_of(extent) };
            replaced += self.clear_range(content, range, EXTENTS_MAX - replaced)?;
            let row = RunRow::Block(ExtentRow::new(extent, self.revision()));
            self.put_version::<Extents>(&ExtentKey { content, offset: extent.offset }, row)?;
        }
        Ok(extents.last().map_or(0, |last| end_of(&last.extent)))
    }

    /// Marks the blocks as published in their sessions. A block of an ended session, below its session's mark or
    /// published before is refused (rule P10): a second publication would make its uses impossible to find (rule P7).
    fn claim_blocks(&mut self, extents: &[NewExtent]) -> Result<(), Failure> {
        let mut sessions: BTreeMap<SessionId, SessionRow> = BTreeMap::new();
        let mut before: Option<&Extent> = None;
        for NewExtent { extent, .. } in extents {
            let again = before.is_some_and(|before| before.block == extent.block);
            before = Some(extent);
            if again {
                continue;
            }
            let id = extent.block.session;
            let stale = OperationError::StaleBlock { block: extent.block };
            let session = match sessions.remove(&id) {
                Some(session) => Some(session),
                None => self.live_session(id)?,
            };
            let mut session = session.ok_or(stale)?;
            session.claim(extent.block)?;
            self.put::<Blocks>(&extent.block, &Present);
            sessions.insert(id, session);
        }
        for (id, session) in &sessions {
            self.put::<Sessions>(id, session);
        }
        Ok(())
    }

    /// Checks that enough full seats have the block, of the membership as it is now.
    fn check_copies(&self, new: &NewExtent) -> Result<PlacementGroup, Failure> {
        let no_record = |what: &str, name: String| OperationError::NoRecord { what: what.to_owned(), name };
        let id = new.extent.pg;
        let pg = self.row::<Pgs>(&id)?.ok_or_else(|| no_record("placement group", id.to_string()))?;
        if pg.version != new.pg_version {
            return Err(OperationError::StalePlacement { pg: id, given: new.pg_version, current: pg.version }.into());
        }
        let pool = self.row::<Pools>(&pg.pool)?.ok_or_else(|| no_record("pool", pg.pool.to_string()))?;
        let full = pg.seats.iter().enumerate().filter(|(_, seat)| seat.state == SeatState::Full);
        let acknowledged = full.filter(|&(index, _)| new.acknowledged.contains(index)).count();
        let acknowledged = u16::try_from(acknowledged).unwrap_or(u16::MAX);
        let needed = pool.replicas / 2 + 1;
        if acknowledged < needed {
            return Err(OperationError::TooFewCopies { block: new.extent.block, acknowledged, needed }.into());
        }
        Ok(pg)
    }

    /// Queues the copies that holders did not acknowledge for repair.
    fn note_missing_copies(&mut self, new: &NewExtent, pg: &PlacementGroup) {
        let missing = pg.seats.iter().enumerate().filter(|&(index, _)| !new.acknowledged.contains(index));
        for (_, seat) in missing {
            let key = ShortKey { pg: pg.id, block: new.extent.block, holder: seat.node };
            self.put::<Short>(&key, &Present);
        }
    }
}

/// Checks what can be told from the extents alone.
pub fn check_shape(extents: &[NewExtent]) -> Result<(), OperationError> {
    if extents.len() > EXTENTS_MAX {
        let what = "the number of extents".to_owned();
        return Err(OperationError::OutOfRange { what, value: extents.len() as u64, limit: EXTENTS_MAX as u64 });
    }
    let mut before: Option<&Extent> = None;
    for NewExtent { extent, .. } in extents {
        if let Some(reason) = misfit(extent).or_else(|| before.and_then(|before| mismatch(before, extent))) {
            let reason = format!("at offset {}: {reason}", extent.offset);
            return Err(OperationError::MalformedExtents { reason });
        }
        before = Some(extent);
    }
    Ok(())
}

/// Why an extent is none.
fn misfit(extent: &Extent) -> Option<&'static str> {
    if extent.length == 0 {
        Some("it is empty")
    } else if extent.block_length > BLOCK_LENGTH_MAX {
        Some("its block is longer than any block")
    } else if extent.block_offset.checked_add(extent.length).is_none_or(|end| end > extent.block_length) {
        Some("it reaches beyond its block")
    } else if extent.offset.checked_add(extent.length.into()).is_none_or(|end| end > FILE_LENGTH_MAX) {
        Some("it reaches beyond the longest file")
    } else {
        None
    }
}

/// Why an extent cannot follow another one.
fn mismatch(before: &Extent, extent: &Extent) -> Option<&'static str> {
    if extent.offset < end_of(before) {
        return Some("it overlaps the one before it, or is not sorted");
    }
    let start = |extent: &Extent| i128::from(extent.offset) - i128::from(extent.block_offset);
    let facts = |extent: &Extent| (extent.block_length, extent.digest, extent.pg, start(extent));
    let same_block = before.block == extent.block;
    (same_block && facts(before) != facts(extent))
        .then_some("it does not go on where its block was published before it")
}

const fn end_of(extent: &Extent) -> u64 {
    extent.offset + extent.length as u64
}

#[cfg(test)]
mod tests {
    use types::{BlockId, Digest, PgId, PgVersion, SeatSet};

    use super::*;

    fn new(offset: u64, length: u32, sequence: u64, block_offset: u32) -> NewExtent {
        let block = BlockId { session: SessionId(2), sequence };
        let digest = Digest::default();
        let extent = Extent { offset, length, block, block_offset, block_length: 100, digest, pg: PgId(1) };
        NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(1) }
    }

    #[test]
    fn extents_that_are_sorted_and_lie_in_their_blocks_are_well_formed() {
        assert_eq!(check_shape(&[new(0, 100, 1, 0), new(100, 50, 2, 50), new(1000, 1, 3, 99)]), Ok(()));
        assert_eq!(check_shape(&[new(0, 10, 1, 0), new(20, 10, 1, 20)]), Ok(()), "one block around a hole");
    }

    #[test]
    fn malformed_extents_are_refused() {
        let refused: [&[NewExtent]; 7] = [
            &[new(0, 0, 1, 0)],
            &[new(0, 50, 1, 51)],
            &[new(0, 10, 1, u32::MAX)],
            &[new(u64::MAX, 10, 1, 0)],
            &[new(0, 50, 1, 0), new(49, 50, 2, 0)],
            &[new(50, 50, 1, 0), new(0, 50, 2, 0)],
            &[new(0, 50, 1, 0), new(50, 50, 1, 0)],
        ];
        for extents in refused {
            let refused = check_shape(extents);
            assert!(matches!(refused, Err(OperationError::MalformedExtents { .. })), "{extents:?}: {refused:?}");
        }
    }
}
