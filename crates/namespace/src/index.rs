//! Upkeep of the change index (rule P19).
//!
//! A LIN has one row, under a revision at or before its last change and after every live snapshot that does not see
//! that change. So a change moves the row only if a snapshot was taken since; else its bits are merged in place. The
//! inode holds the row's revision. A removed LIN leaves its row as a tombstone, which dies with the last snapshot that
//! sees the LIN.

use types::{Lin, Revision};

use crate::changes::ChangeFlags;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{ChangedKey, DeadKey, Key as _};
use crate::read::Read as _;
use crate::rows::ChangedRow;
use crate::tables::Changes;
use crate::transaction::Transaction;

impl Transaction<'_> {
    /// Notes a new LIN; gives the revision of its row.
    pub fn index_new(&mut self, lin: Lin) -> Revision {
        self.put_changed(self.revision(), lin, ChangeFlags::CREATED);
        self.revision()
    }

    /// Notes a change of a LIN whose row is under a revision; gives the revision under which it is now.
    pub fn index_change(&mut self, lin: Lin, row: Revision, flags: ChangeFlags) -> Result<Revision, StoreError> {
        let before = self.changed_flags(row, lin)?;
        let snapshots = self.live_snapshots()?;
        let moves = snapshots.last().is_some_and(|newest| newest.0 >= row.0);
        if !moves {
            if !before.contains(flags) {
                self.put_changed(row, lin, before | flags);
            }
            return Ok(row);
        }
        // Every live snapshot sees what the old bits stand for, unless one is older than the row.
        let needed = snapshots.first().is_some_and(|oldest| oldest.0 < row.0);
        self.delete::<Changes>(&ChangedKey { revision: row, lin });
        self.put_changed(self.revision(), lin, if needed { before | flags } else { flags });
        Ok(self.revision())
    }

    /// Leaves a tombstone for a removed LIN, if a snapshot sees it.
    pub fn index_removal(&mut self, lin: Lin, row: Revision) -> Result<(), StoreError> {
        let revision = self.index_change(lin, row, ChangeFlags::REMOVED)?;
        let key = ChangedKey { revision, lin };
        // A LIN is the revision of its making.
        let birth = Revision(lin.0);
        match self.newest_snapshot()? {
            Some(newest) if birth.0 <= newest.0 => {
                self.put_dead(DeadKey { snapshot: newest, family: Family::Changed, key: key.encode(), birth });
            }
            _ => self.delete::<Changes>(&key),
        }
        Ok(())
    }

    fn changed_flags(&self, revision: Revision, lin: Lin) -> Result<ChangeFlags, StoreError> {
        let row = self.row::<Changes>(&ChangedKey { revision, lin })?;
        Ok(row.map_or(ChangeFlags::default(), |row| ChangeFlags::from_bits(row.flags)))
    }

    fn put_changed(&mut self, revision: Revision, lin: Lin, flags: ChangeFlags) {
        self.put::<Changes>(&ChangedKey { revision, lin }, &ChangedRow { flags: flags.bits() });
    }
}
