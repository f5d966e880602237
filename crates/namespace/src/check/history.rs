//! What snapshots see: old versions, the lists of what dies with a snapshot, and the change index.

use types::{Revision, SnapshotState};

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, Version, split_history_key, version};
use crate::keys::{DeadKey, Key as _, KeyRange};
use crate::read::{Read as _, decode_key, decode_row};
use crate::rows::Dated;
use crate::tables::{Changes, Deadlist, Inodes, Snapshots, Versioned};

impl<R: Rows> Checker<'_, R> {
    /// A row of the change index is that of a living inode, or a tombstone that some snapshot needs.
    pub(super) fn changes(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Changes>(KeyRange::all()) {
            let (key, _) = row?;
            let bytes = key.encode();
            let inode = version::<Inodes>(self.rows, Moment::Head, &key.lin)?;
            match inode {
                Some(inode) => {
                    let current = inode.row.changed == key.revision;
                    self.expect(current, Family::Changed, &bytes, "the inode has another row");
                }
                None => self.mourned(Family::Changed, &bytes, Revision(key.lin.0), key.revision)?,
            }
        }
        Ok(())
    }

    /// Every old version is on the list of a snapshot that sees it, and died before the next one was born.
    pub(super) fn history<T: Versioned>(&mut self) -> Result<(), StoreError> {
        let mut before: Option<(Vec<u8>, Revision)> = None;
        for pair in self.rows.scan(T::HISTORY, KeyRange::all()) {
            let (key, value) = pair?;
            let (head_key, birth) = split_history_key::<T>(&key)?;
            let typed = decode_key::<T::Key>(T::HISTORY, head_key)?;
            let Dated { revision: death, .. }: Version<T> = decode_row(T::HISTORY, &key, &value)?;
            let apart = before.is_none_or(|(before, death)| before != head_key || death <= birth);
            self.expect(apart && birth < death, T::HISTORY, &key, "it lives at the same time as the one before it");
            let head = version::<T>(self.rows, Moment::Head, &typed)?;
            let over = head.is_none_or(|head| death <= head.revision);
            self.expect(over, T::HISTORY, &key, "it lives at the same time as the row of the head");
            self.mourned(T::HISTORY, head_key, birth, death)?;
            before = Some((head_key.to_vec(), death));
        }
        Ok(())
    }

    /// Checks that a dead row is on the list of the one snapshot that it dies with.
    fn mourned(&mut self, family: Family, key: &[u8], birth: Revision, death: Revision) -> Result<(), StoreError> {
        let mut on_lists = 0;
        for row in self.rows.rows::<Snapshots>(KeyRange::all()) {
            let (snapshot, row) = row?;
            let listed = DeadKey { snapshot, family, key: key.to_vec(), birth };
            if self.rows.row::<Deadlist>(&listed)?.is_some() {
                on_lists += 1;
            } else if row.snapshot.state == SnapshotState::Live && on_lists > 0 && snapshot.0 < death.0 {
                self.fault(family, key, format!("it dies before snapshot {snapshot}, which sees it"));
            }
        }
        self.expect(on_lists == 1, family, key, format!("{on_lists} snapshots have it on their lists"));
        Ok(())
    }

    /// A deadlist belongs to a snapshot and names rows that are there.
    pub(super) fn deadlist(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Deadlist>(KeyRange::all()) {
            let (key, _) = row?;
            let bytes = key.encode();
            let snapshot = self.rows.row::<Snapshots>(&key.snapshot)?;
            self.expect(snapshot.is_some(), Family::Deadlist, &bytes, "its snapshot is not there");
            self.expect(key.birth.0 <= key.snapshot.0, Family::Deadlist, &bytes, "its snapshot does not see the row");
            let row_key = match key.family {
                Family::Changed => key.key,
                _ => crate::history::history_key(&key.key, key.birth),
            };
            let there = self.rows.get(key.family, &row_key)?.is_some();
            self.expect(there, Family::Deadlist, &bytes, "the row that it names is not there");
        }
        Ok(())
    }
}
