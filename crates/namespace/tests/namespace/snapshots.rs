//! What snapshots see, and how they go.

use bytes::Bytes;
use namespace::{Failure, StoredContent};
use types::{Change, Content, FileKind, Lin, NodeId, OperationError, RenameMode, SnapshotState, XattrMode};

use crate::world::{World, attributes, extent, name};

#[test]
fn a_snapshot_sees_everything_as_it_was() {
    let (mut world, session) = World::with_pool();
    let d = world.directory(Lin::ROOT, "d");
    let f = world.file(d, "f");
    let xattr = Bytes::from_static(b"user.a");
    let set = |value: &'static [u8]| Change::SetXattr {
        lin: f,
        name: xattr.clone(),
        value: Bytes::from_static(value),
        mode: XattrMode::Any,
    };
    world.write(f, Content::Extents(vec![extent(session, 1, 0, 100)])).unwrap();
    world.change(set(b"old")).unwrap();
    let before = world.view().attributes(f).unwrap();
    let snapshot = world.snapshot("s");

    world.write(f, Content::Extents(vec![extent(session, 2, 50, 100)])).unwrap();
    world.change(set(b"new")).unwrap();
    world.rename((d, "f"), (Lin::ROOT, "g"), RenameMode::NoReplace).unwrap();
    world.remove_directory(Lin::ROOT, "d").unwrap();
    world.file(Lin::ROOT, "h");
    world.remove(Lin::ROOT, "g").unwrap();

    let then = world.view().at(snapshot.id).unwrap();
    assert_eq!(world.names(&then, Lin::ROOT), ["d"]);
    assert_eq!(world.names(&then, d), ["f"]);
    assert_eq!(then.attributes(f).unwrap(), before);
    assert_eq!(then.xattr(f, &xattr).unwrap(), "old");
    assert_eq!(then.links(f).unwrap(), [(d, name("f"))]);
    let extents = then.extents(f, 0, 10).unwrap();
    assert_eq!(extents.len(), 1);
    assert_eq!((extents[0].extent.length, extents[0].extent.block.sequence), (100, 1));
    assert_eq!(world.names(&world.view(), Lin::ROOT), ["h"]);
    let freed = world.view().freed(NodeId(1), None, 10).unwrap();
    assert_eq!(freed.into_iter().map(|block| block.sequence).collect::<Vec<_>>(), [2], "the snapshot needs block 1");
    world.check();
}

#[test]
fn nothing_goes_to_the_history_that_no_snapshot_sees() {
    let mut world = World::new();
    world.snapshot("s");
    let f = world.file(Lin::ROOT, "f");
    let before = world.view().check().unwrap();
    world.write(f, Content::Inline(Bytes::from_static(b"1"))).unwrap();
    world.write(f, Content::Inline(Bytes::from_static(b"2"))).unwrap();
    world.remove(Lin::ROOT, "f").unwrap();
    assert_eq!(before, []);
    // Only the root has an old version: the file came and went after the snapshot.
    let rows = world.view().row_counts().unwrap();
    let old: u64 = rows.iter().filter(|(family, _)| family.name().ends_with("_history")).map(|(_, rows)| rows).sum();
    assert_eq!(old, 1, "{rows:?}");
    world.check();
}

#[test]
fn dropping_a_snapshot_leaves_to_the_older_one_what_that_one_sees() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    world.write(f, Content::Extents(vec![extent(session, 1, 0, 100)])).unwrap();
    let first = world.snapshot("first");
    world.write(f, Content::Extents(vec![extent(session, 2, 100, 100)])).unwrap();
    let second = world.snapshot("second");
    world.write(f, Content::Empty).unwrap();
    let freed = |world: &World| {
        let blocks = world.view().freed(NodeId(1), None, 10).unwrap();
        blocks.into_iter().map(|block| block.sequence).collect::<Vec<_>>()
    };
    assert!(freed(&world).is_empty());
    assert!(world.drop_snapshot(second.id, 1) > 2, "in steps of one row");
    assert_eq!(freed(&world), [2]);
    let then = world.view().at(first.id).unwrap();
    assert_eq!(then.extents(f, 0, 10).unwrap().len(), 1);
    assert_eq!(then.attributes(f).unwrap().size, 100);
    world.check();
    world.drop_snapshot(first.id, 10_000);
    assert_eq!(freed(&world), [1, 2]);
    world.check();
}

#[test]
fn dropping_the_older_snapshot_first_keeps_what_the_newer_one_sees() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let first = world.snapshot("first");
    world.write(f, Content::Inline(Bytes::from_static(b"one"))).unwrap();
    let second = world.snapshot("second");
    world.remove(Lin::ROOT, "f").unwrap();
    world.drop_snapshot(first.id, 10_000);
    let then = world.view().at(second.id).unwrap();
    assert_eq!(then.content(f).unwrap(), StoredContent::Inline(Bytes::from_static(b"one")));
    world.check();
    world.drop_snapshot(second.id, 10_000);
    let rows = world.view().row_counts().unwrap();
    let left = |family: &str| rows.iter().find(|(of, _)| of.name() == family).map_or(0, |(_, rows)| *rows);
    assert_eq!((left("inode_history"), left("deadlist"), left("snapshot"), left("changed")), (0, 0, 0, 1));
}

#[test]
fn a_dying_snapshot_cannot_be_read_and_its_name_is_free() {
    let mut world = World::new();
    let snapshot = world.snapshot("s");
    let taken = world.change(Change::CreateSnapshot { name: "s".into() });
    assert_eq!(taken, Err(OperationError::RecordExists { what: "snapshot".into(), name: "s".into() }));
    let step = Change::DropStep { snapshot: snapshot.id, rows_max: 1 };
    assert!(matches!(world.change(step.clone()), Err(OperationError::InUse { .. })), "it is live");
    world.file(Lin::ROOT, "f");
    world.change(Change::DeleteSnapshot { snapshot: snapshot.id }).unwrap();
    assert!(matches!(world.view().at(snapshot.id), Err(Failure::Refused(OperationError::NoRecord { .. }))));
    assert_eq!(world.view().snapshot(snapshot.id).unwrap().state, SnapshotState::Dying);
    let again = world.snapshot("s");
    assert_ne!(again.id, snapshot.id);
    assert_eq!(world.view().snapshot_by_name("s").unwrap().id, again.id);
    while world.change(step.clone()) != Ok(types::Outcome::Remaining(0)) {}
    assert_eq!(world.view().snapshots().unwrap().len(), 1);
    assert_eq!(world.change(step), Ok(types::Outcome::Remaining(0)), "it is gone already");
    world.check();
}

#[test]
fn a_directory_is_read_page_by_page_at_a_snapshot() {
    let mut world = World::new();
    for text in ["a", "b", "c", "d"] {
        world.file(Lin::ROOT, text);
    }
    let snapshot = world.snapshot("s");
    world.remove(Lin::ROOT, "b").unwrap();
    world.remove(Lin::ROOT, "d").unwrap();
    world.file(Lin::ROOT, "bb");
    world.file(Lin::ROOT, "d");
    let then = world.view().at(snapshot.id).unwrap();
    let page = |after: Option<&str>| {
        let entries = then.read_directory(Lin::ROOT, after.map(name).as_ref(), 3).unwrap();
        entries.into_iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None), ["a", "b", "c"]);
    assert_eq!(page(Some("a")), ["b", "c", "d"]);
    assert_eq!(page(Some("b")), ["c", "d"]);
    assert_eq!(then.lookup(Lin::ROOT, &name("bb")).map_err(|error| error.kind()), Err(types::ErrorKind::NotFound));
    assert_eq!(attributes(world.change(crate::world::create(Lin::ROOT, "b", FileKind::File))).nlink, 1);
    world.check();
}
