//! Locks.

use types::{Lin, LockKind, LockMode};

use super::world::{Rows, World};
use crate::family::Family;
use crate::keys::{LockKey, LockOwner};
use crate::rows::LockRow;
use crate::tables::{Locked, Locks};

fn owner(world: &World) -> LockOwner {
    LockOwner { lin: world.file, kind: LockKind::Range, session: world.session, owner: 7 }
}

#[test]
fn a_lock_bears_those_that_it_meets() {
    let world = World::new();
    let owner = owner(&world);
    let other = LockOwner { owner: 8, ..owner };
    let put = |owner, start, end, mode| {
        let row = LockRow { end, mode };
        move |rows: &mut Rows<'_>| rows.put::<Locks>(&LockKey { owner, start }, &row)
    };
    let reason = "another lock excludes it";
    world.break_rows(put(other, 19, 30, LockMode::Exclusive), Family::Lock, reason);
    world.break_rows(put(owner, 19, 30, LockMode::Exclusive), Family::Lock, reason);
    world.break_rows(put(owner, 20, 30, LockMode::Shared), Family::Lock, reason);
    world.break_rows(put(owner, 30, 30, LockMode::Shared), Family::Lock, "it has no byte");
}

#[test]
fn a_file_and_the_session_that_locks_it_know_of_each_other() {
    let world = World::new();
    let owner = owner(&world);
    let key = LockKey { owner, start: 10 };
    let unknown = |rows: &mut Rows<'_>| rows.delete::<Locked>(&owner.locked());
    world.break_rows(unknown, Family::Lock, "its session does not know of it");
    world.break_rows(unknown, Family::Session, "it has 0 locks");
    world.break_rows(|rows| rows.delete::<Locks>(&key), Family::Locked, "it has no lock there");
    world.break_rows(|rows| rows.delete::<Locks>(&key), Family::Session, "it has 0 locks");
    let nowhere = LockKey { owner: LockOwner { lin: Lin(999), ..owner }, start: 0 };
    let row = LockRow { end: 1, mode: LockMode::Shared };
    world.break_rows(|rows| rows.put::<Locks>(&nowhere, &row), Family::Lock, "its inode is not there");
}
