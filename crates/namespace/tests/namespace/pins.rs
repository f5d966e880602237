//! Snapshots that sessions pin.

use namespace::LEASE_TICKS;
use types::{Change, ErrorKind, Operation, OperationError, Outcome, SessionId, SnapshotId, SnapshotState};

use crate::callers::Callers;
use crate::world::Answer;

impl Callers {
    fn pin(&mut self, session: SessionId, snapshot: SnapshotId) -> Answer {
        self.call(session, Change::PinSnapshot { snapshot, label: "a reader".into() })
    }

    fn unpin(&mut self, session: SessionId, snapshot: SnapshotId) {
        assert_eq!(self.call(session, Change::UnpinSnapshot { snapshot }), Ok(Outcome::Done));
    }

    fn delete(&mut self, snapshot: SnapshotId) -> Answer {
        self.world.change(Change::DeleteSnapshot { snapshot })
    }
}

fn pinned(session: SessionId) -> Answer {
    Err(OperationError::SnapshotPinned { name: "s".into(), session, label: "a reader".into() })
}

#[test]
fn a_snapshot_is_deleted_once_nobody_pins_it() {
    let (mut callers, first) = Callers::new();
    let (second, snapshot) = (callers.world.open_session(), callers.world.snapshot("s").id);
    for session in [first, first, second] {
        assert!(matches!(callers.pin(session, snapshot), Ok(Outcome::Snapshot(pinned)) if pinned.id == snapshot));
    }
    assert_eq!(callers.world.view().readers().unwrap().get(&snapshot), Some(&2));
    let refused = callers.delete(snapshot);
    assert_eq!(refused.as_ref().map_err(OperationError::kind), Err(ErrorKind::Conflict));
    assert_eq!(refused, pinned(first));
    callers.unpin(first, snapshot);
    callers.unpin(first, snapshot);
    assert_eq!(callers.delete(snapshot), pinned(second), "however often the other one unpins it");
    callers.world.check();
    callers.world.run(Operation::CloseSession { session: second }).unwrap();
    assert_eq!(callers.world.view().readers().unwrap().len(), 0);
    callers.delete(snapshot).unwrap();
    callers.world.check();
    let refused = callers.pin(first, snapshot).map_err(|refused| refused.kind());
    assert_eq!(refused, Err(ErrorKind::NotFound), "it is dying");
}

#[test]
fn a_pin_lasts_as_long_as_the_lease_of_its_session() {
    let (mut callers, session) = Callers::new();
    let snapshot = callers.world.snapshot("s").id;
    callers.pin(session, snapshot).unwrap();
    callers.world.tick(LEASE_TICKS);
    assert_eq!(callers.delete(snapshot), pinned(session));
    callers.world.tick(1);
    assert_eq!(callers.world.view().readers().unwrap().len(), 0);
    callers.world.drop_snapshot(snapshot, 100);
    callers.world.check();
    callers.world.run(Operation::CloseSession { session }).unwrap();
    callers.world.check();
}

#[test]
fn a_pin_needs_a_session_and_a_snapshot_that_can_be_read() {
    let (mut callers, session) = Callers::new();
    let missing = callers.pin(session, SnapshotId(99)).map_err(|refused| refused.kind());
    assert_eq!(missing, Err(ErrorKind::NotFound));
    let snapshot = callers.world.snapshot("s").id;
    let change = Change::PinSnapshot { snapshot, label: String::new() };
    assert!(matches!(callers.world.change(change), Err(OperationError::NoSession { .. })));
    let long = Change::PinSnapshot { snapshot, label: "x".repeat(256) };
    assert_eq!(callers.call(session, long).map_err(|refused| refused.kind()), Err(ErrorKind::InvalidRequest));
    assert_eq!(callers.world.view().snapshot(snapshot).unwrap().state, SnapshotState::Live);
    callers.world.check();
}
