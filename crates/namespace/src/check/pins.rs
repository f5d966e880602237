//! Pins of snapshots: sessions know of theirs, and what nobody needs is gone.

use types::SnapshotState;

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{Key as _, KeyRange, PinKey};
use crate::meta;
use crate::pins::PINS_MAX;
use crate::read::Read as _;
use crate::tables::{Pins, Sessions, Snapshots};

impl<R: Rows> Checker<'_, R> {
    /// Every pin is on the list of its session, and keeps its snapshot as long as that is not over.
    pub(super) fn pins(&mut self) -> Result<(), StoreError> {
        let ticks = meta::progress(self.rows)?.ticks;
        for row in self.rows.rows::<Pins>(KeyRange::all()) {
            let (key, _) = row?;
            let (bytes, session) = (key.encode(), self.rows.row::<Sessions>(&key.session)?);
            let listed = session.as_ref().is_some_and(|session| session.pins.contains(&key.snapshot));
            self.expect(listed, Family::Pin, &bytes, "its session does not know of it");
            let is_over = session.is_none_or(|session| session.has_expired(ticks));
            let is_live = self.live.binary_search(&key.snapshot).is_ok();
            self.expect(is_over || is_live, Family::Pin, &bytes, "its snapshot is not there any more");
        }
        for row in self.rows.rows::<Sessions>(KeyRange::all()) {
            let (id, session) = row?;
            let sorted = session.pins.is_sorted_by(|one, other| one < other) && session.pins.len() <= PINS_MAX;
            self.expect(sorted, Family::Session, &id.encode(), "its pins are not in order");
            for snapshot in session.pins {
                let there = self.rows.row::<Pins>(&PinKey { snapshot, session: id })?.is_some();
                self.expect(there, Family::Session, &id.encode(), format!("it does not pin snapshot {snapshot}"));
            }
        }
        self.released()
    }

    /// A snapshot that was needed for its pins alone has one.
    fn released(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Snapshots>(KeyRange::all()) {
            let (id, row) = row?;
            let is_needed = !row.is_released || row.snapshot.pins > 0 || row.snapshot.state == SnapshotState::Dying;
            let is_read = self.rows.rows::<Pins>(KeyRange::prefix(id.encode())).next().is_some();
            self.expect(is_needed || is_read, Family::Snapshot, &id.encode(), "nobody needs it any more");
        }
        Ok(())
    }
}
