//! The difference between snapshots.

use bytes::Bytes;
use namespace::{ChangeFlags, ChangePage, View};
use types::{AttributeChanges, Change, Content, Lin, RenameMode, Snapshot, SnapshotId};

use crate::world::World;

fn all(view: &View, base: Option<SnapshotId>, to: &Snapshot, limit: usize) -> (Vec<(Lin, ChangeFlags)>, u64) {
    let (mut changes, mut rows, mut after) = (Vec::new(), 0, None);
    loop {
        let page: ChangePage = view.changed_since(base, to.id, after, limit).unwrap();
        changes.extend(page.changes.iter().map(|change| (change.lin, change.flags)));
        rows += page.rows_read;
        after = page.next;
        if after.is_none() {
            changes.sort_by_key(|change| change.0);
            return (changes, rows);
        }
    }
}

#[test]
fn without_a_base_everything_that_the_snapshot_sees_is_new() {
    let mut world = World::new();
    let a = world.file(Lin::ROOT, "a");
    let b = world.file(Lin::ROOT, "b");
    let to = world.snapshot("to");
    world.remove(Lin::ROOT, "a").unwrap();
    world.file(Lin::ROOT, "c");
    for limit in [1, 2, 3, 100] {
        let (changes, _) = all(&world.view(), None, &to, limit);
        assert_eq!(changes.iter().map(|(lin, _)| *lin).collect::<Vec<_>>(), [Lin::ROOT, a, b]);
        assert!(changes.iter().all(|(_, flags)| flags.contains(ChangeFlags::CREATED)));
    }
}

#[test]
fn the_difference_has_what_changed_between_and_nothing_else() {
    let mut world = World::new();
    let d = world.directory(Lin::ROOT, "d");
    let [kept, written, moved, removed, later] =
        ["kept", "written", "moved", "removed", "later"].map(|text| world.file(d, text));
    let base = world.snapshot("base");
    world.write(written, Content::Inline(Bytes::from_static(b"x"))).unwrap();
    world.rename((d, "moved"), (d, "elsewhere"), RenameMode::NoReplace).unwrap();
    world.remove(d, "removed").unwrap();
    let made = world.file(d, "made");
    world.file(d, "short-lived");
    world.remove(d, "short-lived").unwrap();
    let to = world.snapshot("to");
    world.write(later, Content::Inline(Bytes::from_static(b"x"))).unwrap();
    world.write(written, Content::Inline(Bytes::from_static(b"y"))).unwrap();
    world.file(d, "after");
    world.remove(d, "kept").unwrap();
    let _ = kept;
    for limit in [1, 3, 100] {
        let (changes, _) = all(&world.view(), Some(base.id), &to, limit);
        let lins: Vec<Lin> = changes.iter().map(|(lin, _)| *lin).collect();
        assert_eq!(lins, [d, written, moved, removed, made], "pages of {limit}");
        let flags = |lin| changes.iter().find(|(of, _)| *of == lin).unwrap().1;
        assert!(flags(written).contains(ChangeFlags::CONTENT));
        assert!(flags(moved).contains(ChangeFlags::LINKS));
        assert!(flags(removed).contains(ChangeFlags::REMOVED));
        assert!(flags(made).contains(ChangeFlags::CREATED));
        assert!(!flags(written).contains(ChangeFlags::CREATED));
        assert_eq!(flags(d), ChangeFlags::ATTRIBUTES);
    }
    world.check();
}

#[test]
fn the_flags_of_a_change_cover_every_live_base() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    let first = world.snapshot("first");
    world.write(f, Content::Inline(Bytes::from_static(b"x"))).unwrap();
    let second = world.snapshot("second");
    let changes = AttributeChanges { mode: Some(0o600), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin: f, changes: changes.clone() }).unwrap();
    let third = world.snapshot("third");
    let flags = |world: &World, base: &Snapshot| all(&world.view(), Some(base.id), &third, 10).0[0].1;
    assert!(flags(&world, &first).contains(ChangeFlags::CONTENT));
    // Once no live snapshot is older, a move forgets the old bits.
    world.drop_snapshot(first.id, 100);
    world.drop_snapshot(second.id, 100);
    world.change(Change::SetAttributes { lin: f, changes }).unwrap();
    let fourth = world.snapshot("fourth");
    let (changes, _) = all(&world.view(), Some(third.id), &fourth, 10);
    assert_eq!(changes, [(f, ChangeFlags::ATTRIBUTES)]);
    world.check();
}

#[test]
fn the_cost_of_a_difference_follows_the_changes_not_the_tree() {
    let mut world = World::new();
    let d = world.directory(Lin::ROOT, "d");
    let files: Vec<Lin> = (0..1000).map(|number| world.file(d, &number.to_string())).collect();
    let base = world.snapshot("base");
    for _ in 0..3 {
        for lin in &files[..10] {
            world.write(*lin, Content::Inline(Bytes::from_static(b"x"))).unwrap();
        }
    }
    let to = world.snapshot("to");
    let (changes, rows) = all(&world.view(), Some(base.id), &to, 4);
    assert_eq!((changes.len(), rows), (10, 10));
    let (changes, rows) = all(&world.view(), Some(to.id), &to, 4);
    assert_eq!((changes.len(), rows), (0, 0));
}

#[test]
fn a_base_that_is_younger_or_gone_is_refused() {
    let mut world = World::new();
    let first = world.snapshot("first");
    let second = world.snapshot("second");
    assert!(world.view().changed_since(Some(second.id), first.id, None, 10).is_err());
    world.drop_snapshot(first.id, 10);
    assert!(world.view().changed_since(Some(first.id), second.id, None, 10).is_err());
}
