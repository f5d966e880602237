//! Clones: files that share blocks, and blocks that die with the last file that uses them.

use bytes::Bytes;
use namespace::StoredContent;
use types::{
    AttributeChanges, CLONE_ALIGNMENT as UNIT, Change, CloneRange, Content, FileKind, Lin, NewExtent, NodeId,
    OperationError, Outcome, SessionId, SnapshotId, Timestamp,
};

use crate::world::{World, attributes, extent, part};

/// The whole of a file to the beginning of another.
fn whole(world: &World, from: Lin, to: Lin) -> CloneRange {
    let length = world.view().attributes(from).unwrap().size;
    CloneRange { from, snapshot: None, from_offset: 0, to, to_offset: 0, length, mtime: None }
}

fn clone(world: &mut World, clone: CloneRange) -> Result<Outcome, OperationError> {
    world.change(Change::Clone(clone))
}

fn clone_whole(world: &mut World, from: Lin, to: Lin) {
    let range = whole(world, from, to);
    assert_eq!(clone(world, range), Ok(Outcome::Remaining(0)));
}

fn write(world: &mut World, lin: Lin, extents: Vec<NewExtent>) {
    attributes(world.write(lin, Content::Extents(extents)));
}

/// Offset, length, number of the block and offset in it of every extent.
fn layout(world: &World, lin: Lin) -> Vec<(u64, u32, u64, u32)> {
    let extents = world.view().extents(lin, 0, 100_000).unwrap();
    let fields = |extent: types::Extent| (extent.offset, extent.length, extent.block.sequence, extent.block_offset);
    extents.into_iter().map(|row| fields(row.extent)).collect()
}

fn freed(world: &World) -> Vec<u64> {
    let blocks = world.view().freed(NodeId(1), None, 100_000).unwrap();
    blocks.into_iter().map(|block| block.sequence).collect()
}

/// How many places of blocks are named.
fn references(world: &World) -> u64 {
    let counts = world.view().row_counts().unwrap();
    counts.iter().find(|(family, _)| family.name() == "reference").unwrap().1
}

fn size(world: &World, lin: Lin) -> u64 {
    world.view().attributes(lin).unwrap().size
}

/// A file of two blocks with a hole between them, and an empty one.
fn two_files() -> (World, SessionId, Lin, Lin) {
    let (mut world, session) = World::with_pool();
    let (f, g) = (world.file(Lin::ROOT, "f"), world.file(Lin::ROOT, "g"));
    write(&mut world, f, vec![extent(session, 1, 0, 6000), extent(session, 2, 8000, 2000)]);
    (world, session, f, g)
}

#[test]
fn a_clone_has_the_blocks_and_the_holes_of_its_source_and_outlives_it() {
    let (mut world, _, f, g) = two_files();
    clone_whole(&mut world, f, g);
    assert_eq!(layout(&world, g), [(0, 6000, 1, 0), (8000, 2000, 2, 0)]);
    let births = |lin| world.view().extents(lin, 0, 10).unwrap().iter().map(|row| row.block_born).collect::<Vec<_>>();
    assert_eq!(births(g), births(f), "rule P7: a clone inherits the birth of a block");
    assert_eq!((size(&world, g), references(&world)), (10_000, 4));
    world.check();
    world.remove(Lin::ROOT, "f").unwrap();
    assert_eq!((freed(&world), references(&world)), (Vec::new(), 2), "one place is left of each");
    world.check();
    world.remove(Lin::ROOT, "g").unwrap();
    assert_eq!((freed(&world), references(&world)), (vec![1, 2], 0));
    world.check();
}

#[test]
fn a_write_to_a_clone_leaves_its_source_as_it_is() {
    let (mut world, session, f, g) = two_files();
    clone_whole(&mut world, f, g);
    write(&mut world, g, vec![extent(session, 3, 20, 30)]);
    assert_eq!(layout(&world, f), [(0, 6000, 1, 0), (8000, 2000, 2, 0)]);
    assert_eq!(layout(&world, g), [(0, 20, 1, 0), (20, 30, 3, 0), (50, 5950, 1, 50), (8000, 2000, 2, 0)]);
    world.remove(Lin::ROOT, "f").unwrap();
    assert!(freed(&world).is_empty());
    write(&mut world, g, vec![extent(session, 4, 0, 10_000)]);
    assert_eq!(freed(&world), [1, 2, 3]);
    world.check();
}

#[test]
fn a_block_that_is_in_a_file_twice_dies_with_the_last_of_both() {
    let (mut world, session, f, _) = two_files();
    let further = CloneRange { length: UNIT, to_offset: 4 * UNIT, ..whole(&world, f, f) };
    clone(&mut world, further.clone()).unwrap();
    assert_eq!(layout(&world, f), [(0, 6000, 1, 0), (8000, 2000, 2, 0), (4 * UNIT, 4096, 1, 0)]);
    // Again, in the same place: it is named once.
    clone(&mut world, further).unwrap();
    assert_eq!(references(&world), 2);
    world.check();
    write(&mut world, f, vec![extent(session, 3, 0, 6000)]);
    assert!(freed(&world).is_empty());
    write(&mut world, f, vec![extent(session, 4, 4 * UNIT, 4096)]);
    assert_eq!((freed(&world), references(&world)), (vec![1], 0));
    world.check();
}

#[test]
fn a_clone_of_a_snapshot_brings_back_what_was_and_outlives_the_snapshot() {
    let (mut world, session, f, g) = two_files();
    let snapshot = world.snapshot("s").id;
    write(&mut world, f, vec![extent(session, 3, 0, 10_000)]);
    assert!(freed(&world).is_empty());
    for to in [g, f] {
        let back = CloneRange { snapshot: Some(snapshot), ..whole(&world, f, to) };
        clone(&mut world, back).unwrap();
        assert_eq!(layout(&world, to), [(0, 6000, 1, 0), (8000, 2000, 2, 0)]);
        world.check();
    }
    assert_eq!(freed(&world), [3], "what came after the snapshot is gone");
    world.drop_snapshot(snapshot, 1);
    world.check();
    world.remove(Lin::ROOT, "f").unwrap();
    assert_eq!(freed(&world), [3], "rule P8: a drop leaves alone what is used again");
    let gone = CloneRange { snapshot: Some(snapshot), ..whole(&world, g, g) };
    let missing = clone(&mut world, gone);
    assert!(matches!(missing, Err(OperationError::NoRecord { .. })), "{missing:?}");
    world.remove(Lin::ROOT, "g").unwrap();
    assert_eq!((freed(&world), references(&world)), (vec![1, 2, 3], 0));
    world.check();
}

#[test]
fn a_snapshot_keeps_a_block_that_only_its_clone_has_by_now() {
    let (mut world, _, f, g) = two_files();
    clone_whole(&mut world, f, g);
    let snapshot = world.snapshot("s").id;
    world.remove(Lin::ROOT, "f").unwrap();
    world.remove(Lin::ROOT, "g").unwrap();
    assert!(freed(&world).is_empty());
    let then = world.view().at(snapshot).unwrap();
    assert_eq!(then.extents(f, 0, 10).unwrap(), then.extents(g, 0, 10).unwrap());
    world.check();
    world.drop_snapshot(snapshot, 1);
    assert_eq!((freed(&world), references(&world)), (vec![1, 2], 0));
    world.check();
}

#[test]
fn the_clone_of_a_part_takes_parts_of_blocks_and_replaces_what_was_there() {
    let (mut world, session, f, g) = two_files();
    write(&mut world, g, vec![part(session, 3, 0, (7, 9000, 9100))]);
    let middle = CloneRange { from_offset: UNIT, to_offset: 0, length: UNIT, ..whole(&world, f, g) };
    assert_eq!(clone(&mut world, middle), Ok(Outcome::Remaining(0)));
    let hole_and_rest = [(0, 1904, 1, 4096), (3904, 192, 2, 0), (4096, 4904, 3, 4103)];
    assert_eq!(layout(&world, g), hole_and_rest, "a hole between, and the end as it was");
    assert_eq!(size(&world, g), 9000);
    let time = Timestamp { seconds: 5, nanoseconds: 6 };
    let (from_offset, to_offset, length) = (2 * UNIT, 5 * UNIT, 10_000 - 2 * UNIT);
    let end = CloneRange { from_offset, to_offset, length, mtime: Some(time), ..whole(&world, f, g) };
    assert_eq!(clone(&mut world, end), Ok(Outcome::Remaining(0)));
    assert_eq!(layout(&world, g)[3], (5 * UNIT, 1808, 2, 192), "the source ends where it likes");
    let now = world.view().attributes(g).unwrap();
    assert_eq!((now.size, now.mtime), (5 * UNIT + 1808, time));
    assert_eq!(world.view().usage().bytes, 10_000 + now.size);
    world.check();
}

#[test]
fn a_file_of_many_extents_is_cloned_in_steps() {
    let (mut world, session) = World::with_pool();
    let (f, g) = (world.file(Lin::ROOT, "f"), world.file(Lin::ROOT, "g"));
    write(&mut world, f, (0..5000).map(|number| extent(session, number + 1, number * 10, 10)).collect());
    write(&mut world, g, (0..5000).map(|number| extent(session, number + 9000, number * 5, 5)).collect());
    let mut step = whole(&world, f, g);
    let mut done = Vec::new();
    while step.length > 0 {
        let Ok(Outcome::Remaining(left)) = clone(&mut world, step.clone()) else { panic!("{step:?}") };
        let cloned = step.length - left;
        (step.from_offset, step.to_offset, step.length) = (step.from_offset + cloned, step.to_offset + cloned, left);
        done.push(step.to_offset);
        world.check();
    }
    assert_eq!(done, [20_480, 50_000], "by what is replaced, then by what is shared");
    assert!(layout(&world, f) == layout(&world, g));
    assert_eq!((freed(&world).len(), references(&world)), (5000, 10_000));
    world.remove(Lin::ROOT, "f").unwrap();
    world.remove(Lin::ROOT, "g").unwrap();
    for step in 0..40 {
        world.file(Lin::ROOT, &format!("step{step}"));
    }
    assert_eq!((freed(&world).len(), references(&world)), (10_000, 0));
    world.check();
}

#[test]
fn a_clone_takes_the_place_of_extents_that_were_cut_off_and_not_dropped_yet() {
    let (mut world, session, f, g) = two_files();
    write(&mut world, g, (0..3000).map(|number| extent(session, number + 100, number * 10, 10)).collect());
    resize(&mut world, g, 5);
    assert!(freed(&world).len() < 1500, "many are not dropped yet");
    let behind = CloneRange { to_offset: 4 * UNIT, ..whole(&world, f, g) };
    clone(&mut world, behind).unwrap();
    world.check();
    for step in 0..20 {
        world.file(Lin::ROOT, &format!("step{step}"));
    }
    assert_eq!(layout(&world, g), [(0, 5, 100, 0), (16_384, 6000, 1, 0), (24_384, 2000, 2, 0)]);
    assert_eq!(freed(&world).len(), 2999);
    world.check();
}

#[test]
fn short_files_are_copied() {
    let (mut world, _, f, g) = two_files();
    let short = world.file(Lin::ROOT, "short");
    attributes(world.write(short, Content::Inline(Bytes::from_static(b"hello"))));
    let inline = |world: &World, lin| match world.view().content(lin).unwrap() {
        StoredContent::Inline(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    clone_whole(&mut world, short, g);
    assert_eq!((inline(&world, g), size(&world, g)), (Bytes::from_static(b"hello"), 5));
    attributes(world.write(g, Content::Inline(Bytes::from_static(b"longer than that"))));
    clone_whole(&mut world, short, g);
    assert_eq!((inline(&world, g), size(&world, g)), (Bytes::from_static(b"hellor than that"), 16));
    // What neither fits into an inode nor has a block is the client's to copy.
    let refused = |answer| assert!(matches!(answer, Err(OperationError::NotCloneable { .. })), "{answer:?}");
    for range in [whole(&world, short, f), CloneRange { to_offset: UNIT, ..whole(&world, short, g) }] {
        refused(clone(&mut world, range));
    }
    let behind = CloneRange { to_offset: UNIT, ..whole(&world, f, g) };
    refused(clone(&mut world, behind));
    clone_whole(&mut world, f, g);
    assert_eq!(layout(&world, g), layout(&world, f), "all of its bytes are covered");
    let cut = short_of(&mut world, f);
    clone_whole(&mut world, short, cut);
    assert_eq!(inline(&world, cut), Bytes::from_static(b"hello"));
    world.check();
}

fn resize(world: &mut World, lin: Lin, size: u64) {
    let changes = AttributeChanges { size: Some(size), ..AttributeChanges::default() };
    attributes(world.change(Change::SetAttributes { lin, changes }));
}

/// A file that has blocks and is no longer than five bytes.
fn short_of(world: &mut World, like: Lin) -> Lin {
    let lin = world.file(Lin::ROOT, "cut");
    let first = CloneRange { length: UNIT, ..whole(world, like, lin) };
    clone(world, first).unwrap();
    resize(world, lin, 5);
    lin
}

#[test]
fn holes_are_cloned_as_holes() {
    let (mut world, session, f, g) = two_files();
    write(&mut world, g, vec![extent(session, 3, 0, 4 * 4096)]);
    resize(&mut world, f, 8 * UNIT);
    let hole = CloneRange { from_offset: 4 * UNIT, to_offset: UNIT, length: UNIT, ..whole(&world, f, g) };
    clone(&mut world, hole).unwrap();
    assert_eq!(layout(&world, g), [(0, 4096, 3, 0), (2 * UNIT, 8192, 3, 8192)]);
    // Behind inline bytes there is a hole, too.
    let short = world.file(Lin::ROOT, "short");
    attributes(world.write(short, Content::Inline(Bytes::from_static(b"hello"))));
    resize(&mut world, short, 8 * UNIT);
    let behind = CloneRange { from_offset: UNIT, to_offset: 0, length: UNIT, ..whole(&world, short, g) };
    clone(&mut world, behind).unwrap();
    assert_eq!(layout(&world, g), [(2 * UNIT, 8192, 3, 8192)]);
    assert_eq!((references(&world), freed(&world)), (0, Vec::new()));
    world.check();
}

#[test]
fn only_whole_units_of_files_are_cloned_and_not_over_themselves() {
    let (mut world, _, f, g) = two_files();
    let kind = FileKind::Pipe;
    let pipe = world.make(Lin::ROOT, "p", kind);
    let range = whole(&world, f, g);
    let refusals = [
        (CloneRange { from: pipe, ..range.clone() }, OperationError::WrongKind { lin: pipe, kind }),
        (CloneRange { to: Lin::ROOT, ..range.clone() }, OperationError::IsDirectory { lin: Lin::ROOT }),
    ];
    for (range, error) in refusals {
        assert_eq!(clone(&mut world, range), Err(error));
    }
    for wrong in [
        CloneRange { length: 10_001, ..range.clone() },
        CloneRange { length: u64::MAX, ..range.clone() },
        CloneRange { length: 9999, ..range.clone() },
        CloneRange { from_offset: 1, length: UNIT, ..range.clone() },
        CloneRange { to_offset: 100, ..range.clone() },
        CloneRange { to: f, ..range.clone() },
        CloneRange { to: f, to_offset: 2 * UNIT, ..range.clone() },
        CloneRange { to: f, from_offset: UNIT, length: 10_000 - UNIT, ..range.clone() },
    ] {
        let refused = clone(&mut world, wrong.clone());
        let expected = matches!(refused, Err(OperationError::NotCloneable { .. } | OperationError::OutOfRange { .. }));
        assert!(expected, "{wrong:?}: {refused:?}");
    }
    assert_eq!(references(&world), 0);
    let beside = CloneRange { to: f, to_offset: 3 * UNIT, ..range.clone() };
    assert_eq!(clone(&mut world, beside), Ok(Outcome::Remaining(0)));
    let longest = i64::MAX.unsigned_abs() / UNIT * UNIT;
    let far = clone(&mut world, CloneRange { to_offset: longest, ..range.clone() });
    assert!(matches!(far, Err(OperationError::OutOfRange { .. })), "{far:?}");
    let gone = clone(&mut world, CloneRange { snapshot: Some(SnapshotId(9)), ..range.clone() });
    assert!(matches!(gone, Err(OperationError::NoRecord { .. })), "{gone:?}");
    assert_eq!(clone(&mut world, CloneRange { length: 0, ..range }), Ok(Outcome::Remaining(0)));
    world.check();
}
