//! Files that sessions hold: both sides say the same.

use types::FileKind;

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, version};
use crate::holds::HOLDS_MAX;
use crate::keys::{Key as _, KeyRange};
use crate::read::Read as _;
use crate::tables::{Held, Inodes, Opens, Sessions};

impl<R: Rows> Checker<'_, R> {
    /// What is held is there and no directory, both sides know of it, and each session has counted what it holds.
    pub(super) fn holds(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Opens>(KeyRange::all()) {
            let (open, _) = row?;
            let key = open.encode();
            let inode = version::<Inodes>(self.rows, Moment::Head, &open.lin)?;
            let there = inode.is_some_and(|inode| inode.row.kind != FileKind::Directory);
            self.expect(there, Family::Open, &key, "there is no such file");
            let known = self.rows.row::<Held>(&open.reversed())?.is_some();
            self.expect(known, Family::Open, &key, "its session does not know of it");
        }
        for row in self.rows.rows::<Held>(KeyRange::all()) {
            let (held, _) = row?;
            let known = self.rows.row::<Opens>(&held.reversed())?.is_some();
            self.expect(known, Family::Held, &held.encode(), "its file does not know of it");
        }
        for row in self.rows.rows::<Sessions>(KeyRange::all()) {
            let (id, session) = row?;
            let held = self.rows.rows::<Held>(KeyRange::prefix(id.encode())).count() as u64;
            let counted = held == session.holds && held <= HOLDS_MAX;
            self.expect(counted, Family::Session, &id.encode(), format!("it holds {held} files"));
        }
        Ok(())
    }
}
