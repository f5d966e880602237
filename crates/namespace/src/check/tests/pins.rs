//! Pins of snapshots.

use types::{SessionId, SnapshotId, SnapshotState};

use super::world::{Rows, World};
use crate::family::Family;
use crate::keys::PinKey;
use crate::read::Read as _;
use crate::rows::{PinRow, SnapshotRow};
use crate::tables::{Pins, Snapshots};

fn edit_snapshot(rows: &mut Rows<'_>, world: &World, id: SnapshotId, what: impl FnOnce(&mut SnapshotRow)) {
    let mut row = world.database.row::<Snapshots>(&id).unwrap().unwrap();
    what(&mut row);
    rows.put::<Snapshots>(&id, &row);
}

#[test]
fn a_session_and_the_snapshot_that_it_pins_know_of_each_other() {
    let world = World::new();
    let pin = PinKey { snapshot: world.first, session: world.session };
    let reason = format!("it does not pin snapshot {}", world.first);
    world.break_rows(|rows| rows.delete::<Pins>(&pin), Family::Session, &reason);
    let row = PinRow { label: String::new() };
    for unknown in [PinKey { snapshot: world.second, ..pin }, PinKey { session: SessionId(999), ..pin }] {
        let more = |rows: &mut Rows<'_>| rows.put::<Pins>(&unknown, &row);
        world.break_rows(more, Family::Pin, "its session does not know of it");
    }
    let twice = |rows: &mut Rows<'_>| rows.edit_session(world.session, |session| session.pins.push(world.first));
    world.break_rows(twice, Family::Session, "its pins are not in order");
}

#[test]
fn a_pinned_snapshot_is_there_and_one_that_nobody_needs_is_not() {
    let world = World::new();
    let dying = |rows: &mut Rows<'_>| {
        edit_snapshot(rows, &world, world.first, |row| row.snapshot.state = SnapshotState::Dying);
    };
    world.break_rows(dying, Family::Pin, "its snapshot is not there any more");
    let left = |rows: &mut Rows<'_>| edit_snapshot(rows, &world, world.second, |row| row.is_released = true);
    world.break_rows(left, Family::Snapshot, "nobody needs it any more");
}
