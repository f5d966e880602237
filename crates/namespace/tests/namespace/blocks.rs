//! Publishing, overwriting and freeing of blocks.

use bytes::Bytes;
use namespace::StoredContent;
use types::{
    AttributeChanges, BlockId, Change, Content, FileKind, Lin, NewExtent, NodeId, Operation, OperationError, PgId,
    PgVersion, SeatSet, SessionId, ShortCopy,
};

use crate::world::{World, attributes, extent, part};

fn write(world: &mut World, lin: Lin, extents: &[NewExtent]) -> Result<u64, OperationError> {
    world.write(lin, Content::Extents(extents.to_vec())).map(|outcome| attributes(Ok(outcome)).size)
}

/// Offset, length, number of the block and offset in it of every extent.
fn layout(world: &World, lin: Lin) -> Vec<(u64, u32, u64, u32)> {
    let extents = world.view().extents(lin, 0, 1000).unwrap();
    let fields = |extent: types::Extent| (extent.offset, extent.length, extent.block.sequence, extent.block_offset);
    extents.into_iter().map(|published| fields(published.extent)).collect()
}

fn freed(world: &World) -> Vec<u64> {
    let blocks = world.view().freed(NodeId(1), None, 1000).unwrap();
    for node in world.view().nodes().unwrap() {
        assert_eq!(world.view().freed(node.id, None, 1000).unwrap(), blocks, "every holder frees the same blocks");
    }
    blocks.into_iter().map(|block| block.sequence).collect()
}

#[test]
fn an_extent_takes_the_place_of_what_it_covers_and_splits_what_it_does_not() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    assert_eq!(write(&mut world, f, &[extent(session, 1, 0, 100), extent(session, 2, 100, 100)]), Ok(200));
    assert_eq!(write(&mut world, f, &[extent(session, 3, 40, 20)]), Ok(200));
    assert_eq!(layout(&world, f), [(0, 40, 1, 0), (40, 20, 3, 0), (60, 40, 1, 60), (100, 100, 2, 0)]);
    assert_eq!(write(&mut world, f, &[extent(session, 4, 50, 100)]), Ok(200));
    assert_eq!(layout(&world, f), [(0, 40, 1, 0), (40, 10, 3, 0), (50, 100, 4, 0), (150, 50, 2, 50)]);
    assert!(freed(&world).is_empty(), "every block has a piece left");
    let born = |sequence| {
        let extents = world.view().extents(f, 0, 1000).unwrap();
        extents.into_iter().find(|extent| extent.extent.block.sequence == sequence).unwrap().block_born
    };
    assert!(born(2) < born(3) && born(3) < born(4), "a piece inherits the birth of its block");
    world.check();
}

#[test]
fn a_block_is_freed_with_its_last_piece() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, &[extent(session, 1, 0, 300)]).unwrap();
    write(&mut world, f, &[extent(session, 2, 100, 100)]).unwrap();
    write(&mut world, f, &[extent(session, 3, 0, 100)]).unwrap();
    assert!(freed(&world).is_empty());
    write(&mut world, f, &[extent(session, 4, 200, 100)]).unwrap();
    assert_eq!(freed(&world), [1]);
    let resize = AttributeChanges { size: Some(150), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin: f, changes: resize }).unwrap();
    assert_eq!(freed(&world), [1, 4]);
    assert_eq!(layout(&world, f), [(0, 100, 3, 0), (100, 50, 2, 0)]);
    world.remove(Lin::ROOT, "f").unwrap();
    assert_eq!(freed(&world), [1, 2, 3, 4]);
    world.check();
}

#[test]
fn an_acknowledged_holder_has_nothing_left_to_free() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    write(&mut world, f, &[extent(session, 1, 0, 300)]).unwrap();
    world.remove(Lin::ROOT, "f").unwrap();
    let node = world.view().nodes().unwrap().remove(1).id;
    let blocks = world.view().freed(node, None, 10).unwrap();
    world.change(Change::AcknowledgeFreed { node, blocks: blocks.clone() }).unwrap();
    assert!(world.view().freed(node, None, 10).unwrap().is_empty());
    assert_eq!(world.view().freed(NodeId(1), None, 10).unwrap(), blocks);
}

#[test]
fn a_write_needs_a_quorum_of_full_seats_of_the_present_membership() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    let block = BlockId { session, sequence: 1 };
    let mut new = extent(session, 1, 0, 10);
    new.acknowledged = SeatSet(0b100);
    let refused = OperationError::TooFewCopies { block, acknowledged: 1, needed: 2 };
    assert_eq!(write(&mut world, f, &[new.clone()]), Err(refused));
    new.acknowledged = SeatSet(0b11_1000);
    let refused = OperationError::TooFewCopies { block, acknowledged: 0, needed: 2 };
    assert_eq!(write(&mut world, f, &[new.clone()]), Err(refused), "seats that do not exist");
    new.acknowledged = SeatSet(0b101);
    new.pg_version = PgVersion(2);
    let refused = OperationError::StalePlacement { pg: PgId(2), given: PgVersion(2), current: PgVersion(1) };
    assert_eq!(write(&mut world, f, &[new.clone()]), Err(refused));
    new.pg_version = PgVersion(1);
    write(&mut world, f, &[new]).unwrap();
    let holder = world.view().placement_group(PgId(2)).unwrap().seats[1].node;
    let short = ShortCopy { pg: PgId(2), block, holder };
    assert_eq!(world.view().short(PgId(2), None, 10).unwrap(), [short]);
    world.remove(Lin::ROOT, "f").unwrap();
    assert!(world.view().short(PgId(2), None, 10).unwrap().is_empty(), "a freed block lacks nothing");
    world.check();
}

#[test]
fn a_block_is_published_once_and_only_by_a_live_session_above_its_mark() {
    let (mut world, session) = World::with_pool();
    let (f, g) = (world.file(Lin::ROOT, "f"), world.file(Lin::ROOT, "g"));
    let stale = |session: SessionId, sequence| OperationError::StaleBlock { block: BlockId { session, sequence } };
    write(&mut world, f, &[extent(session, 3, 0, 10)]).unwrap();
    assert_eq!(write(&mut world, g, &[extent(session, 3, 0, 10)]), Err(stale(session, 3)));
    assert_eq!(write(&mut world, f, &[extent(session, 3, 10, 10)]), Err(stale(session, 3)));
    let twice = [extent(session, 4, 0, 10), extent(session, 5, 10, 10), extent(session, 4, 20, 10)];
    assert_eq!(write(&mut world, f, &twice), Err(stale(session, 4)));
    world.run(Operation::RaiseBlockMark { session, mark: 6 }).unwrap();
    assert_eq!(write(&mut world, f, &[extent(session, 5, 0, 10)]), Err(stale(session, 5)));
    write(&mut world, f, &[extent(session, 6, 0, 10)]).unwrap();
    world.run(Operation::CloseSession { session }).unwrap();
    assert_eq!(write(&mut world, f, &[extent(session, 7, 0, 10)]), Err(stale(session, 7)));
    let unknown = SessionId(99);
    assert_eq!(write(&mut world, f, &[extent(unknown, 1, 0, 10)]), Err(stale(unknown, 1)));
    world.check();
}

#[test]
fn one_block_may_lie_around_a_hole_of_its_file() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    let extents = [part(session, 1, 1000, (0, 10, 100)), part(session, 1, 1050, (50, 50, 100))];
    assert_eq!(write(&mut world, f, &extents), Ok(1100));
    let resize = AttributeChanges { size: Some(1040), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin: f, changes: resize }).unwrap();
    assert_eq!(layout(&world, f), [(1000, 10, 1, 0)]);
    assert!(freed(&world).is_empty());
    world.write(f, Content::Empty).unwrap();
    assert_eq!(freed(&world), [1]);
    assert_eq!(world.view().attributes(f).unwrap().size, 1040, "a hole over the whole length");
    world.check();
}

#[test]
fn a_file_has_inline_bytes_or_extents_and_never_loses_one_to_the_other() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    let inline = Content::Inline(Bytes::from(vec![7; 100]));
    world.write(f, inline.clone()).unwrap();
    for gap in [vec![extent(session, 1, 50, 100)], vec![extent(session, 1, 0, 40), extent(session, 2, 41, 100)]] {
        let refused = write(&mut world, f, &gap);
        assert!(matches!(refused, Err(OperationError::MalformedExtents { .. })), "{refused:?}");
    }
    assert!(matches!(world.view().content(f).unwrap(), StoredContent::Inline(_)));
    write(&mut world, f, &[extent(session, 1, 0, 40), extent(session, 2, 40, 60)]).unwrap();
    assert_eq!(world.view().content(f).unwrap(), StoredContent::Extents);
    world.write(f, inline).unwrap();
    assert_eq!(freed(&world), [1, 2]);
    assert!(layout(&world, f).is_empty());
    let d = world.make(Lin::ROOT, "l", FileKind::Symlink);
    assert_eq!(
        write(&mut world, d, &[extent(session, 3, 0, 40)]),
        Err(OperationError::WrongKind { lin: d, kind: FileKind::Symlink })
    );
    world.check();
}

#[test]
fn extents_are_found_page_by_page_from_any_offset() {
    let (mut world, session) = World::with_pool();
    let f = world.file(Lin::ROOT, "f");
    let extents: Vec<_> = (0..10).map(|place| extent(session, place, place * 100, 50)).collect();
    write(&mut world, f, &extents).unwrap();
    let from = |offset, limit| {
        let page = world.view().extents(f, offset, limit).unwrap();
        page.into_iter().map(|extent| extent.extent.offset).collect::<Vec<_>>()
    };
    assert_eq!(from(0, 2), [0, 100]);
    assert_eq!(from(149, 2), [100, 200]);
    assert_eq!(from(150, 2), [200, 300]);
    assert_eq!(from(950, 2), [0; 0]);
}

/// A file of 100-byte extents over blocks 0 to `count`.
fn long_file(world: &mut World, session: SessionId, name: &str, count: u64) -> Lin {
    let f = world.file(Lin::ROOT, name);
    let extents: Vec<_> = (0..count).map(|place| extent(session, place, place * 100, 100)).collect();
    write(world, f, &extents).unwrap();
    f
}

fn count_freed(world: &World) -> usize {
    world.view().freed(NodeId(1), None, usize::MAX).unwrap().len()
}

#[test]
fn a_long_file_goes_at_once_and_its_blocks_follow_in_bounded_steps() {
    let (mut world, session) = World::with_pool();
    let f = long_file(&mut world, session, "f", 2000);
    world.remove(Lin::ROOT, "f").unwrap();
    assert!(world.view().attributes(f).is_err());
    world.check();
    let (mut steps, mut before) = (0, count_freed(&world));
    assert!(before < 1500, "not all at once");
    while before < 2000 {
        world.file(Lin::ROOT, &format!("other{steps}"));
        world.check();
        let freed = count_freed(&world);
        assert!(freed > before && freed <= before + 256, "{before}, then {freed}");
        (steps, before) = (steps + 1, freed);
    }
    world.file(Lin::ROOT, "last");
    let rows = world.view().row_counts().unwrap();
    assert!(rows.iter().all(|(family, rows)| !["orphan", "extent"].contains(&family.name()) || *rows == 0));
}

#[test]
fn a_snapshot_keeps_the_blocks_of_a_long_file_that_it_sees_and_a_later_one_does_not() {
    let (mut world, session) = World::with_pool();
    let f = long_file(&mut world, session, "f", 2000);
    let seeing = world.snapshot("seeing");
    let resize = |size| AttributeChanges { size: Some(size), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin: f, changes: resize(0) }).unwrap();
    world.change(Change::SetAttributes { lin: f, changes: resize(1000) }).unwrap();
    assert!(layout(&world, f).is_empty(), "a hole, though the old extents are not all dropped");
    let late = world.snapshot("late");
    let then = world.view().at(seeing.id).unwrap();
    assert_eq!(then.extents(f, 0, usize::MAX).unwrap().len(), 2000, "some in the head and some in the history");
    for step in 0..8 {
        world.file(Lin::ROOT, &format!("step{step}"));
    }
    world.check();
    assert_eq!(count_freed(&world), 0);
    let then = world.view().at(seeing.id).unwrap();
    assert_eq!(then.extents(f, 0, usize::MAX).unwrap().len(), 2000);
    assert!(world.view().at(late.id).unwrap().extents(f, 0, usize::MAX).unwrap().is_empty());
    world.drop_snapshot(seeing.id, 10_000);
    assert_eq!(count_freed(&world), 2000);
    world.check();
}
