//! Snapshots that sessions pin: one is not deleted while somebody reads it (rule P8).
//!
//! A session pins a snapshot or it does not; how many of its readers need it is the client's to count. A pin lasts as long
//! as the lease of the session: from the tick on with which that runs out, it keeps nothing. A snapshot that was taken for
//! a job, and that the job needs no more, goes with the last pin.

use types::{OperationError, Outcome, SessionId, SnapshotId};

use crate::error::{Failure, StoreError};
use crate::keys::{Key as _, KeyRange, PinKey};
use crate::ops::{check_label, snapshot};
use crate::read::Read as _;
use crate::rows::{PinRow, SessionRow};
use crate::tables::{Pins, Sessions};
use crate::transaction::Transaction;

/// Snapshots that one session may pin: they are named in its row.
pub const PINS_MAX: usize = 64;

impl Transaction<'_> {
    /// Pins a snapshot for the calling session. One that it pins already takes the new label.
    pub fn pin_snapshot(&mut self, id: SnapshotId, label: &str) -> Result<Outcome, Failure> {
        check_label(label)?;
        let session = self.calling_session()?;
        let snapshot = snapshot::live(self, id)?;
        let mut row = self.session(session)?;
        row.note_pin(session, id)?;
        self.put::<Sessions>(&session, &row);
        self.put::<Pins>(&PinKey { snapshot: id, session }, &PinRow { label: label.to_owned() });
        Ok(Outcome::Snapshot(snapshot))
    }

    /// Takes the calling session's pin from a snapshot.
    pub fn unpin_snapshot(&mut self, id: SnapshotId) -> Result<Outcome, Failure> {
        let session = self.calling_session()?;
        let mut row = self.session(session)?;
        if row.forget_pin(id) {
            self.put::<Sessions>(&session, &row);
            self.drop_pin(PinKey { snapshot: id, session })?;
        }
        Ok(Outcome::Done)
    }

    /// Takes all pins of a session that ends.
    pub fn unpin_all(&mut self, session: SessionId) -> Result<(), Failure> {
        let pins = self.row::<Sessions>(&session)?.map_or_else(Vec::new, |row| row.pins);
        pins.into_iter().try_for_each(|snapshot| self.drop_pin(PinKey { snapshot, session }))
    }

    fn drop_pin(&mut self, key: PinKey) -> Result<(), Failure> {
        self.delete::<Pins>(&key);
        if self.rows::<Pins>(KeyRange::prefix(key.snapshot.encode())).next().transpose()?.is_none() {
            snapshot::drop_released(self, key.snapshot)?;
        }
        Ok(())
    }

    /// A session that is not over and pins a snapshot, and what it does with it.
    pub fn reader(&self, snapshot: SnapshotId) -> Result<Option<(SessionId, PinRow)>, StoreError> {
        for row in self.rows::<Pins>(KeyRange::prefix(snapshot.encode())) {
            let (key, pin) = row?;
            if self.live_session(key.session)?.is_some() {
                return Ok(Some((key.session, pin)));
            }
        }
        Ok(None)
    }
}

impl SessionRow {
    /// Notes a snapshot that the session pins, unless it is one too many.
    fn note_pin(&mut self, session: SessionId, snapshot: SnapshotId) -> Result<(), OperationError> {
        let Err(place) = self.pins.binary_search(&snapshot) else { return Ok(()) };
        if self.pins.len() >= PINS_MAX {
            return Err(OperationError::TooManyPins { session, limit: PINS_MAX as u64 });
        }
        self.pins.insert(place, snapshot);
        Ok(())
    }

    /// Forgets a snapshot; tells whether the session pinned it.
    fn forget_pin(&mut self, snapshot: SnapshotId) -> bool {
        let place = self.pins.binary_search(&snapshot);
        place.is_ok_and(|place| self.pins.remove(place) == snapshot)
    }
}

#[cfg(test)]
mod tests {
    use types::ErrorKind;

    use super::*;
    use crate::session::tests::session;

    #[test]
    fn a_session_pins_so_many_snapshots_and_no_more() {
        let mut row = session();
        for snapshot in (1..=PINS_MAX as u64).rev() {
            row.note_pin(SessionId(7), SnapshotId(snapshot)).unwrap();
        }
        row.note_pin(SessionId(7), SnapshotId(5)).unwrap();
        let refused = row.note_pin(SessionId(7), SnapshotId(99)).unwrap_err();
        assert_eq!((refused.kind(), row.pins.len()), (ErrorKind::Conflict, PINS_MAX), "{refused}");
        assert!(row.pins.is_sorted());
        assert!(row.forget_pin(SnapshotId(5)) && !row.forget_pin(SnapshotId(5)));
        row.note_pin(SessionId(7), SnapshotId(99)).unwrap();
    }
}
