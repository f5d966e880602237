//! Holes in files: made in bounded steps, found again, and their blocks freed when nothing uses them.

use bytes::Bytes;
use namespace::{Sought, StoredContent};
use types::{
    Change, Clearing, Content, FileKind, Lin, NewExtent, NodeId, OperationError, Outcome, Seek, SessionId, Timestamp,
};

use crate::world::{World, attributes, extent, part};

fn clear(world: &mut World, lin: Lin, offset: u64, length: u64) -> Result<Outcome, OperationError> {
    world.change(Change::ClearRange { lin, offset, length, clearing: Clearing::KeepLength, mtime: None })
}

fn write(world: &mut World, lin: Lin, extents: Vec<NewExtent>) {
    attributes(world.write(lin, Content::Extents(extents)));
}

/// Offset, length and number of the block of every extent.
fn layout(world: &World, lin: Lin) -> Vec<(u64, u32, u64)> {
    let extents = world.view().extents(lin, 0, 100_000).unwrap();
    extents.into_iter().map(|row| (row.extent.offset, row.extent.length, row.extent.block.sequence)).collect()
}

fn freed(world: &World) -> Vec<u64> {
    let blocks = world.view().freed(NodeId(1), None, 100_000).unwrap();
    blocks.into_iter().map(|block| block.sequence).collect()
}

fn many(session: SessionId, count: u64) -> Vec<NewExtent> {
    (0..count).map(|number| extent(session, number + 1, number * 10, 10)).collect()
}

#[test]
fn a_hole_frees_the_blocks_that_lie_in_it_and_splits_those_at_its_ends() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, vec![extent(session, 1, 0, 100), extent(session, 2, 100, 100), extent(session, 3, 200, 100)]);
    assert_eq!(clear(&mut world, f, 50, 200), Ok(Outcome::Remaining(0)));
    assert_eq!(layout(&world, f), [(0, 50, 1), (250, 50, 3)]);
    assert_eq!(freed(&world), [2]);
    assert_eq!(world.view().attributes(f).unwrap().size, 300);
    // In the middle of an extent: both ends of the block are in use.
    assert_eq!(clear(&mut world, f, 10, 30), Ok(Outcome::Remaining(0)));
    assert_eq!(layout(&world, f), [(0, 10, 1), (40, 10, 1), (250, 50, 3)]);
    clear(&mut world, f, 0, 10).unwrap();
    assert_eq!(freed(&world), [2], "one end of the block is left");
    clear(&mut world, f, 40, 1000).unwrap();
    assert_eq!(freed(&world), [1, 2, 3]);
    assert_eq!((layout(&world, f).len(), world.view().attributes(f).unwrap().size), (0, 300));
    world.check();
}

#[test]
fn a_snapshot_keeps_what_was_where_a_hole_is_now() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, vec![extent(session, 1, 0, 100)]);
    let snapshot = world.snapshot("s");
    clear(&mut world, f, 20, 60).unwrap();
    let then = world.view().at(snapshot.id).unwrap();
    assert_eq!(then.extents(f, 0, 10).unwrap()[0].extent.length, 100);
    clear(&mut world, f, 0, 100).unwrap();
    assert!(freed(&world).is_empty());
    world.drop_snapshot(snapshot.id, 1);
    assert_eq!(freed(&world), [1], "with the last row of it, wherever in its range that lay");
    world.check();
}

#[test]
fn a_range_of_many_extents_is_cleared_in_steps() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, many(session, 10_000));
    let (mut offset, end) = (5, 99_995);
    let mut steps = Vec::new();
    while offset < end {
        match clear(&mut world, f, offset, end - offset).unwrap() {
            Outcome::Remaining(left) => offset = end - left,
            other => panic!("{other:?}"),
        }
        world.check();
        steps.push(offset);
    }
    assert_eq!(steps, [40_960, 81_920, 99_995]);
    assert_eq!(layout(&world, f), [(0, 5, 1), (99_995, 5, 10_000)]);
    assert_eq!(freed(&world).len(), 9_998);
}

#[test]
fn inline_bytes_take_a_hole_as_zeros() {
    let mut world = World::new();
    let f = world.file(Lin::ROOT, "f");
    attributes(world.write(f, Content::Inline(Bytes::from_static(b"hello"))));
    clear(&mut world, f, 1, 2).unwrap();
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Inline(Bytes::from_static(b"h\0\0lo")));
    clear(&mut world, f, 3, 100).unwrap();
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Inline(Bytes::from_static(b"h\0\0")));
    assert_eq!(world.view().attributes(f).unwrap().size, 5);
    clear(&mut world, f, 0, 5).unwrap();
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Extents);
    world.check();
}

#[test]
fn a_range_beyond_the_end_lengthens_the_file_only_if_asked_to() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, vec![extent(session, 1, 0, 100)]);
    let mtime = Some(Timestamp { seconds: 5, nanoseconds: 0 });
    let zero = |clearing, mtime| Change::ClearRange { lin: f, offset: 90, length: 1000, clearing, mtime };
    world.change(zero(Clearing::KeepLength, None)).unwrap();
    assert_eq!(world.view().attributes(f).unwrap().size, 100);
    world.change(zero(Clearing::Extend, mtime)).unwrap();
    let attributes = world.view().attributes(f).unwrap();
    assert_eq!((attributes.size, Some(attributes.mtime)), (1090, mtime));
    assert_eq!(world.view().usage().bytes, 1090);
    assert_eq!(clear(&mut world, f, 5000, 10), Ok(Outcome::Remaining(0)), "behind the end there is nothing to clear");
    assert_eq!(clear(&mut world, f, 5, 0), Ok(Outcome::Remaining(0)));
    assert_eq!(layout(&world, f), [(0, 90, 1)]);
    world.check();
}

#[test]
fn only_files_have_holes_and_none_is_longer_than_the_longest_file() {
    let mut world = World::new();
    let d = world.directory(Lin::ROOT, "d");
    assert_eq!(clear(&mut world, d, 0, 1), Err(OperationError::IsDirectory { lin: d }));
    let kind = FileKind::Symlink;
    let link = world.make(Lin::ROOT, "l", kind);
    assert_eq!(clear(&mut world, link, 0, 1), Err(OperationError::WrongKind { lin: link, kind }));
    assert!(world.view().seek(link, 0, Seek::Data, 1).is_err());
    let f = world.file(Lin::ROOT, "f");
    let longest = i64::MAX.unsigned_abs();
    assert_eq!(clear(&mut world, f, 0, longest), Ok(Outcome::Remaining(0)));
    for (offset, length) in [(1, longest), (longest + 1, 0), (u64::MAX, u64::MAX)] {
        assert!(matches!(clear(&mut world, f, offset, length), Err(OperationError::OutOfRange { .. })));
    }
}

#[test]
fn data_and_holes_are_found_as_lseek_finds_them() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    // A hole, two extents side by side, a hole, one extent, a hole at the end.
    write(
        &mut world,
        f,
        vec![part(session, 1, 10, (5, 10, 20)), extent(session, 2, 20, 10), extent(session, 3, 50, 10)],
    );
    world
        .change(Change::ClearRange { lin: f, offset: 60, length: 5, clearing: Clearing::Extend, mtime: None })
        .unwrap();
    let view = world.view();
    let seek = |offset, what| view.seek(f, offset, what, 100).unwrap();
    for (offset, data, hole) in [(0, 10, 0), (10, 10, 30), (25, 25, 30), (30, 50, 30), (59, 59, 60)] {
        assert_eq!(seek(offset, Seek::Data), Sought::At(data), "data from {offset}");
        assert_eq!(seek(offset, Seek::Hole), Sought::At(hole), "a hole from {offset}");
    }
    assert_eq!((seek(60, Seek::Data), seek(60, Seek::Hole)), (Sought::Nothing, Sought::At(60)));
    assert_eq!((seek(65, Seek::Data), seek(65, Seek::Hole)), (Sought::Nothing, Sought::Nothing));
    assert_eq!(view.seek(f, 12, Seek::Hole, 1).unwrap(), Sought::ReadOn(20), "it looks at one extent alone");
}

#[test]
fn a_file_that_is_full_to_its_end_has_its_hole_there() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, many(session, 3));
    assert_eq!(world.view().seek(f, 0, Seek::Hole, 100).unwrap(), Sought::At(30));
    assert_eq!(world.view().seek(f, 0, Seek::Hole, 3).unwrap(), Sought::At(30), "the search ends with the file");
    let g = world.file(Lin::ROOT, "g");
    attributes(world.write(g, Content::Inline(Bytes::from_static(b"abc"))));
    assert_eq!(world.view().seek(g, 1, Seek::Data, 1).unwrap(), Sought::At(1));
    assert_eq!(world.view().seek(g, 1, Seek::Hole, 1).unwrap(), Sought::At(3));
}
