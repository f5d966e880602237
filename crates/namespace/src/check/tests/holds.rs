//! Files that sessions hold.

use types::{Lin, SessionId};

use super::world::{Rows, World};
use crate::family::Family;
use crate::keys::{HeldKey, OpenKey};
use crate::rows::Present;
use crate::tables::{Held, Opens, Scopes};

#[test]
fn a_file_without_a_name_is_held_and_counts_for_no_directory() {
    let world = World::new();
    let open = OpenKey { lin: world.held, session: world.session };
    let lost = |rows: &mut Rows<'_>| {
        rows.delete::<Opens>(&open);
        rows.delete::<Held>(&open.reversed());
        rows.edit_session(world.session, |session| session.holds = 0);
    };
    world.break_rows(lost, Family::Inode, "it has no name, and no session holds it");
    let scope = |rows: &mut Rows<'_>| rows.put::<Scopes>(&world.held, &world.directory);
    world.break_rows(scope, Family::Scope, "it does not count where it lies");
}

#[test]
fn a_file_and_the_session_that_holds_it_know_of_each_other() {
    let world = World::new();
    let open = OpenKey { lin: world.held, session: world.session };
    let reason = "its session does not know of it";
    world.break_rows(|rows| rows.delete::<Held>(&open.reversed()), Family::Open, reason);
    world.break_rows(|rows| rows.delete::<Held>(&open.reversed()), Family::Session, "it holds 0 files");
    let more = HeldKey { session: world.session, lin: world.file };
    world.break_rows(|rows| rows.put::<Held>(&more, &Present), Family::Held, "its file does not know of it");
    world.break_rows(|rows| rows.put::<Held>(&more, &Present), Family::Session, "it holds 2 files");
    for lin in [world.directory, Lin(999)] {
        let open = OpenKey { lin, session: SessionId(999) };
        world.break_rows(|rows| rows.put::<Opens>(&open, &Present), Family::Open, "there is no such file");
    }
}
