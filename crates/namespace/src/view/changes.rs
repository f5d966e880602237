//! The difference between two snapshots (rule P19).
//!
//! Every change of a LIN writes its inode, so a LIN differs between two snapshots exactly if the births of its inode
//! differ. The change index only finds the LINs to look at: each whose row is younger than the base. The cost follows
//! the changes since the base, not the size of the tree.

use types::{Lin, OperationError, Revision, SnapshotId};

use super::View;
use crate::changes::ChangeFlags;
use crate::error::{Failure, StoreError};
use crate::history::{Moment, version, versions};
use crate::keys::{ChangedKey, KeyRange};
use crate::read::Read as _;
use crate::tables::{Changes, Inodes};

/// A LIN that differs between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The LIN.
    pub lin: Lin,
    /// What may have changed; exact about [`ChangeFlags::CREATED`] and [`ChangeFlags::REMOVED`].
    pub flags: ChangeFlags,
}

/// A place in the list of changes between two snapshots. It stays good while the store goes on: a LIN that changes
/// meanwhile may come again, and none is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeCursor(ChangedKey);

impl ChangeCursor {
    /// The cursor as two numbers, for messages between nodes.
    #[must_use]
    pub const fn to_parts(self) -> (u64, u64) {
        (self.0.revision.0, self.0.lin.0)
    }

    /// The inverse of [`ChangeCursor::to_parts`].
    #[must_use]
    pub const fn from_parts(revision: u64, lin: u64) -> Self {
        Self(ChangedKey { revision: Revision(revision), lin: Lin(lin) })
    }
}

/// Some of the changes between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes.
    pub changes: Vec<Change>,
    /// Where to go on; `None` at the end.
    pub next: Option<ChangeCursor>,
    /// Rows of the change index, or inodes if there is no base, that were read for this page.
    pub rows_read: u64,
}

impl View {
    /// A page of the LINs that differ between a base and a later snapshot, reading at most `limit` rows of the index.
    /// Without a base they are all LINs that the later snapshot sees, as created.
    ///
    /// A LIN that neither snapshot sees is left out, and so is one that has not changed between them. The caller reads
    /// the LIN at both snapshots for what has changed.
    ///
    /// # Errors
    /// One of the snapshots is not there or is being dropped, the base is younger, or the store failed.
    pub fn changed_since(
        &self,
        base: Option<SnapshotId>,
        to: SnapshotId,
        after: Option<ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, Failure> {
        let to = self.live_snapshot(to)?.revision;
        let Some(base) = base else { return Ok(self.all_as_created(to, after, limit)?) };
        let base = self.live_snapshot(base)?.revision;
        if base > to {
            let what = "the base snapshot's revision".into();
            return Err(OperationError::OutOfRange { what, value: base.0, limit: to.0 }.into());
        }
        Ok(self.changes_between(base, to, after, limit)?)
    }

    fn all_as_created(
        &self,
        to: Revision,
        after: Option<ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let range = after.map_or_else(KeyRange::all, |cursor| KeyRange::all().after(&cursor.0.lin));
        let mut page = ChangePage::default();
        for row in versions::<Inodes>(&*self.rows, Moment::At(to), range).take(limit) {
            let (lin, _) = row?;
            page.changes.push(Change { lin, flags: ChangeFlags::ALL.without(ChangeFlags::REMOVED) });
            page.step(ChangedKey { revision: Revision(0), lin });
        }
        Ok(page.ended_below(limit))
    }

    fn changes_between(
        &self,
        base: Revision,
        to: Revision,
        after: Option<ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let first = ChangedKey { revision: base.next(), lin: Lin(0) };
        let mut range = KeyRange::all().from(&first);
        if let Some(cursor) = after {
            range = range.after(&cursor.0);
        }
        let mut page = ChangePage::default();
        for row in self.rows.rows::<Changes>(range).take(limit) {
            let (key, row) = row?;
            page.changes.extend(self.change_of(key.lin, ChangeFlags::from_bits(row.flags), base, to)?);
            page.step(key);
        }
        Ok(page.ended_below(limit))
    }

    /// What the index nominates, checked against the inode at both snapshots.
    fn change_of(
        &self,
        lin: Lin,
        flags: ChangeFlags,
        base: Revision,
        to: Revision,
    ) -> Result<Option<Change>, StoreError> {
        let birth = |at| Ok::<_, StoreError>(version::<Inodes>(&*self.rows, Moment::At(at), &lin)?.map(|v| v.revision));
        let flags = flags.without(ChangeFlags::CREATED | ChangeFlags::REMOVED);
        let flags = match (birth(base)?, birth(to)?) {
            (before, now) if before == now => return Ok(None),
            (None, _) => flags | ChangeFlags::CREATED,
            (_, None) => flags | ChangeFlags::REMOVED,
            _ => flags,
        };
        Ok(Some(Change { lin, flags }))
    }
}

impl ChangePage {
    fn step(&mut self, key: ChangedKey) {
        self.rows_read += 1;
        self.next = Some(ChangeCursor(key));
    }

    /// A page that read fewer rows than it might have is the last one.
    fn ended_below(mut self, limit: usize) -> Self {
        if usize::try_from(self.rows_read).is_ok_and(|rows| rows < limit) {
            self.next = None;
        }
        self
    }
}
