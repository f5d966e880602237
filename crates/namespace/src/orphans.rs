//! Extents that were taken from their file and are not dropped yet.
//!
//! A file can have more extents than one operation may handle. The operation that cuts, empties or removes it drops the
//! first of them, and notes of the others from which offset on they are dead. An extent that lies there and is older
//! than that operation is an orphan: no later moment sees it. Every later operation drops some, as of the one that
//! took them, so that snapshots see what they saw. What is written where orphans lie is younger than they are, and
//! drops those that it meets first: so no two extents of a content ever overlap.

use types::{OperationError, Revision};

use crate::database::Rows;
use crate::error::{Failure, StoreError};
use crate::extents::FileRange;
use crate::history::Moment;
use crate::keys::{ContentKey, ExtentKey, Key as _, KeyRange, OrphanKey};
use crate::read::Read as _;
use crate::rows::OrphanRow;
use crate::tables::Orphans;
use crate::transaction::Transaction;
use crate::tree;

/// Extents that go with a file in the operation that cuts, removes or empties it: about a gibibyte of it.
const DROPPED_AT_ONCE_MAX: usize = 1024;
/// Extents behind the places where orphans begin that any other operation looks at.
const LOOKED_AT_MAX: usize = 256;
/// Cuts of one content that are not done: each read of the file looks at all of them.
const CUTS_MAX: usize = 1024;

/// What was taken from one content, by operation, oldest first: from which offset on.
pub struct Taken(Vec<(Revision, u64)>);

impl Taken {
    /// What was taken from a content and is not dropped yet.
    pub fn of(rows: &impl Rows, content: ContentKey) -> Result<Self, StoreError> {
        let taken = rows.rows::<Orphans>(KeyRange::prefix(content.encode()));
        Ok(Self(taken.map(|row| row.map(|(key, row)| (key.death, row.from))).collect::<Result<_, _>>()?))
    }

    /// The operation that took an extent from its file, if one did.
    pub fn death(&self, offset: u64, birth: Revision) -> Option<Revision> {
        let taken = |&&(death, from): &&(Revision, u64)| birth < death && offset >= from;
        self.0.iter().find(taken).map(|&(death, _)| death)
    }

    /// Whether an extent is not seen any more at a moment.
    pub fn hides(&self, moment: Moment, offset: u64, birth: Revision) -> bool {
        self.death(offset, birth).is_some_and(|death| match moment {
            Moment::Head => true,
            Moment::At(at) => death <= at,
        })
    }
}

impl Transaction<'_> {
    /// What was taken from a content; mostly there are no orphans at all, and no row has to be looked for.
    pub fn taken(&self, content: ContentKey) -> Result<Taken, StoreError> {
        if self.progress.orphans == 0 { Ok(Taken(Vec::new())) } else { Taken::of(self, content) }
    }

    /// Takes all extents from a file, which goes on with another content or not at all.
    pub fn abandon(&mut self, content: ContentKey) -> Result<(), StoreError> {
        let taken = self.taken(content)?;
        self.take_behind(content, &taken, 0)
    }

    /// Takes from a file what lies behind an offset.
    pub fn cut_behind(&mut self, content: ContentKey, offset: u64) -> Result<(), Failure> {
        let taken = self.taken(content)?;
        if taken.0.len() >= CUTS_MAX {
            let by = "its earlier cuts are still being worked off: try again in a moment".to_owned();
            return Err(OperationError::InUse { what: "file".into(), name: content.lin.to_string(), by }.into());
        }
        let reaching = tree::stored_extents(self, Moment::Head, ExtentKey { content, offset })?.next().transpose()?;
        if let Some((key, extent)) = reaching.filter(|(key, _)| key.offset < offset)
            && taken.death(key.offset, extent.revision).is_none()
        {
            self.cut(key, &extent.row, FileRange { start: offset, end: u64::MAX })?;
        }
        Ok(self.take_behind(content, &taken, offset)?)
    }

    /// Drops the first extents from an offset on; those that are left are orphans.
    fn take_behind(&mut self, content: ContentKey, taken: &Taken, offset: u64) -> Result<(), StoreError> {
        let death = self.revision();
        let first = self.extents_from(ExtentKey { content, offset }, DROPPED_AT_ONCE_MAX)?;
        for (key, extent) in &first {
            let death = taken.death(key.offset, extent.revision).unwrap_or(death);
            self.drop_extent(*key, &extent.row, death)?;
        }
        if let Some((last, _)) = first.get(DROPPED_AT_ONCE_MAX - 1) {
            self.put::<Orphans>(&OrphanKey { content, death }, &OrphanRow { from: last.offset + 1 });
            self.progress.orphans += 1;
        }
        Ok(())
    }

    /// Drops some orphans, if there are any: every operation pays a bounded share.
    pub fn drop_orphans(&mut self) -> Result<(), StoreError> {
        if self.progress.orphans == 0 {
            return Ok(());
        }
        let first = self.rows::<Orphans>(KeyRange::all()).next().transpose()?;
        let Some((orphans, row)) = first else { return Ok(()) };
        let OrphanKey { content, death } = orphans;
        let behind = self.extents_from(ExtentKey { content, offset: row.from }, LOOKED_AT_MAX)?;
        // No operation before this one took any of them: its row would come first.
        for (key, extent) in behind.iter().filter(|(_, extent)| extent.revision < death) {
            self.drop_extent(*key, &extent.row, death)?;
        }
        match behind.get(LOOKED_AT_MAX - 1) {
            Some((last, _)) => self.put::<Orphans>(&orphans, &OrphanRow { from: last.offset + 1 }),
            None => {
                self.delete::<Orphans>(&orphans);
                self.progress.orphans = self.progress.orphans.saturating_sub(1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_dies_by_the_first_operation_after_its_birth_that_took_what_lies_there() {
        let taken = Taken(vec![(Revision(10), 100), (Revision(20), 50), (Revision(30), 200)]);
        assert_eq!(taken.death(100, Revision(9)), Some(Revision(10)));
        assert_eq!(taken.death(99, Revision(9)), Some(Revision(20)));
        assert_eq!(taken.death(100, Revision(10)), Some(Revision(20)), "it was written by the operation that cut");
        assert_eq!(taken.death(200, Revision(25)), Some(Revision(30)));
        assert_eq!(taken.death(199, Revision(25)), None);
        assert_eq!(taken.death(49, Revision(1)), None);
        assert_eq!(taken.death(1000, Revision(30)), None);
    }

    #[test]
    fn a_moment_before_the_death_still_sees_the_extent() {
        let taken = Taken(vec![(Revision(10), 100)]);
        assert!(taken.hides(Moment::Head, 100, Revision(9)));
        assert!(taken.hides(Moment::At(Revision(10)), 100, Revision(9)));
        assert!(!taken.hides(Moment::At(Revision(9)), 100, Revision(9)));
    }
}
