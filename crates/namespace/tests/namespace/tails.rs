//! Tails: small appends that lie in the state until they are cut into a block (rule P16).

use bytes::Bytes;
use namespace::{Sought, StoredContent};
use types::{
    AttributeChanges, CLONE_ALIGNMENT, Change, Clearing, CloneRange, Content, Lin, NewExtent, OperationError, Outcome,
    Revision, Rewrite, Run, Seek, SessionId, TAIL_LENGTH_MAX, Tail,
};

use crate::world::{Answer, World, attributes, extent};

impl World {
    /// Appends bytes; gives where they went.
    fn append_bytes(&mut self, lin: Lin, bytes: &[u8]) -> u64 {
        let appended = attributes(self.append(lin, Content::Inline(Bytes::copy_from_slice(bytes))));
        appended.size - bytes.len() as u64
    }

    fn tails(&self, lin: Lin) -> Vec<Tail> {
        let runs = self.view().runs(lin, 0, usize::MAX).unwrap().runs;
        let tail = |run| if let Run::Tail(tail) = run { Some(tail) } else { None };
        runs.into_iter().filter_map(tail).collect()
    }

    fn lengths(&self, lin: Lin) -> Vec<(u64, usize)> {
        self.tails(lin).iter().map(|tail| (tail.offset, tail.bytes.len())).collect()
    }

    /// What a file is as of its last change.
    fn changed(&self, lin: Lin) -> Revision {
        self.view().runs(lin, 0, 1).unwrap().changed
    }

    fn rewrite(&mut self, lin: Lin, as_of: Revision, extents: Vec<NewExtent>) -> Answer {
        let offset = extents[0].extent.offset;
        let length = extents.iter().map(|new| u64::from(new.extent.length)).sum();
        self.change(Change::Rewrite(Rewrite { lin, offset, length, as_of, extents }))
    }
}

/// A file that holds so many bytes in tails.
fn tailed(name: &str, length: usize) -> (World, SessionId, Lin) {
    let (mut world, session) = World::with_pool();
    let lin = world.file(Lin::ROOT, name);
    let bytes: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
    for part in bytes.chunks(5000) {
        world.append_bytes(lin, part);
    }
    (world, session, lin)
}

#[test]
fn appends_go_to_the_end_wherever_that_is_and_tell_where() {
    let (mut world, session) = World::with_pool();
    let lin = world.file(Lin::ROOT, "log");
    assert_eq!(world.append_bytes(lin, b"one,"), 0);
    assert_eq!(world.append_bytes(lin, b"two,"), 4);
    assert_eq!(world.view().content(lin).unwrap(), StoredContent::Inline(Bytes::from_static(b"one,two,")));
    assert_eq!(world.append_bytes(lin, &[7; 5000]), 8, "too long for the inode");
    assert_eq!(world.lengths(lin), [(0, 5008)]);
    let blocks = vec![extent(session, 1, 0, 100), extent(session, 2, 100, 50)];
    assert_eq!(attributes(world.append(lin, Content::Extents(blocks))).size, 5158);
    assert_eq!(world.append_bytes(lin, b"three"), 5158);
    let runs = world.view().runs(lin, 0, 10).unwrap().runs;
    let places: Vec<_> = runs.iter().map(|run| (run.offset(), run.end())).collect();
    assert_eq!(places, [(0, 5008), (5008, 5108), (5108, 5158), (5158, 5163)]);
    world.check();
}

#[test]
fn many_appends_make_few_rows() {
    let (mut world, _) = World::with_pool();
    let lin = world.file(Lin::ROOT, "log");
    for line in 0..650 {
        assert_eq!(world.append_bytes(lin, &[b'x'; 100]), line * 100);
    }
    let lengths = world.lengths(lin);
    assert!(lengths.len() <= 16, "{lengths:?}");
    assert!(lengths.iter().all(|(_, length)| *length < 4200), "none is written again and again: {lengths:?}");
    world.check();
}

#[test]
fn a_full_tail_takes_no_more_until_it_is_cut() {
    let (mut world, session, lin) = tailed("log", TAIL_LENGTH_MAX - 10);
    let bytes = |length| Content::Inline(vec![1; length].into());
    let full = OperationError::TailFull { lin, from: 0 };
    assert_eq!(world.append(lin, bytes(11)), Err(full));
    assert_eq!(attributes(world.append(lin, bytes(10))).size, TAIL_LENGTH_MAX as u64);
    let (as_of, length) = (world.changed(lin), u32::try_from(TAIL_LENGTH_MAX).unwrap());
    let before = world.view().attributes(lin).unwrap();
    world.rewrite(lin, as_of, vec![extent(session, 1, 0, length)]).unwrap();
    assert_eq!(world.tails(lin), []);
    assert_eq!(world.view().attributes(lin).unwrap(), before, "nobody sees a difference, not even in ctime");
    assert_eq!(world.append_bytes(lin, b"more"), TAIL_LENGTH_MAX as u64);
    let long = world.append(lin, bytes(TAIL_LENGTH_MAX + 1));
    assert!(matches!(long, Err(OperationError::OutOfRange { .. })), "{long:?}");
    world.check();
}

#[test]
fn an_append_to_a_file_in_its_inode_finds_no_full_tail_that_nobody_could_cut() {
    let (mut world, session) = World::with_pool();
    let lin = world.file(Lin::ROOT, "log");
    world.append_bytes(lin, &[1; 4000]);
    assert_eq!(world.append_bytes(lin, &[2; 65_000]), 4000);
    assert_eq!(world.lengths(lin), [(0, 4000), (4000, 65_000)]);
    let refused = world.append(lin, Content::Inline(Bytes::from_static(&[3; 100])));
    assert_eq!(refused, Err(OperationError::TailFull { lin, from: 0 }));
    let as_of = world.changed(lin);
    world.rewrite(lin, as_of, vec![extent(session, 1, 0, 69_000)]).unwrap();
    assert_eq!(world.append_bytes(lin, &[3; 100]), 69_000);
}

#[test]
fn nobody_rewrites_what_is_to_come() {
    let (mut world, session, lin) = tailed("log", 9000);
    let rewritten = world.rewrite(lin, Revision(u64::MAX), vec![extent(session, 1, 0, 9000)]);
    assert_eq!(rewritten, Err(OperationError::RangeChanged { lin, offset: 0 }));
}

#[test]
fn tails_between_other_extents_are_bounded_as_well() {
    let (mut world, _, lin) = tailed("sparse", 40_000);
    let changes = AttributeChanges { size: Some(1 << 20), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin, changes }).unwrap();
    let refused = world.append(lin, Content::Inline(vec![1; 30_000].into()));
    assert_eq!(refused, Err(OperationError::TailFull { lin, from: 0 }), "the hole between does not hide them");
    assert_eq!(world.append_bytes(lin, b"end"), 1 << 20);
}

#[test]
fn a_range_that_has_changed_since_it_was_read_is_not_rewritten() {
    let (mut world, session, lin) = tailed("log", 9000);
    let whole = |sequence| vec![extent(session, sequence, 0, 9000)];
    let changed = Err(OperationError::RangeChanged { lin, offset: 0 });
    let as_of = world.changed(lin);
    world.append_bytes(lin, b"more");
    assert_eq!(world.rewrite(lin, as_of, whole(1)), changed, "the last tail has become longer");
    let as_of = world.changed(lin);
    let clear = Change::ClearRange { lin, offset: 10, length: 1, clearing: Clearing::KeepLength, mtime: None };
    world.change(clear).unwrap();
    assert_eq!(world.rewrite(lin, as_of, whole(2)), changed, "a hole is a change as well");
    let as_of = world.changed(lin);
    assert_eq!(world.rewrite(lin, as_of, whole(3)), changed, "and is not filled, whoever saw it");
    world.rewrite(lin, as_of, vec![extent(session, 4, 11, 8989)]).unwrap();
    for malformed in [vec![extent(session, 5, 11, 10), extent(session, 6, 22, 10)], Vec::new()] {
        let rewrite = Rewrite { lin, offset: 11, length: 20, as_of: Revision(u64::MAX), extents: malformed };
        let refused = world.change(Change::Rewrite(rewrite));
        assert!(matches!(refused, Err(OperationError::MalformedExtents { .. })), "{refused:?}");
    }
    world.check();
}

#[test]
fn an_append_elsewhere_does_not_hinder_a_rewrite() {
    let (mut world, session, lin) = tailed("log", 9000);
    let as_of = world.changed(lin);
    world.append_bytes(lin, &[9; 5000]);
    world.rewrite(lin, as_of, vec![extent(session, 1, 0, 5000)]).unwrap();
    assert_eq!(world.lengths(lin), [(5000, 9000)]);
}

#[test]
fn a_snapshot_sees_the_tail_as_it_was() {
    let (mut world, session) = World::with_pool();
    let lin = world.file(Lin::ROOT, "log");
    world.append_bytes(lin, &[1; 5000]);
    world.append_bytes(lin, b"abc");
    let snapshot = world.snapshot("s");
    world.append_bytes(lin, b"def");
    let as_of = world.changed(lin);
    world.rewrite(lin, as_of, vec![extent(session, 1, 0, 5006)]).unwrap();
    let then = world.view().at(snapshot.id).unwrap();
    let runs = then.runs(lin, 4999, 10).unwrap().runs;
    let (first, second) = (Bytes::from(vec![1; 5000]), Bytes::from_static(b"abc"));
    assert_eq!(runs, [Run::Tail(Tail { offset: 0, bytes: first }), Run::Tail(Tail { offset: 5000, bytes: second })]);
    assert_eq!(then.seek(lin, 0, Seek::Hole, 10).unwrap(), Sought::At(5003));
    world.check();
    world.drop_snapshot(snapshot.id, 1);
    world.check();
    let history = world.view().row_counts().unwrap().into_iter().find(|(family, _)| family.name() == "extent_history");
    assert_eq!(history.unwrap().1, 0, "the old tails have gone with the snapshot");
}

#[test]
fn cuts_holes_and_overwrites_leave_the_rest_of_a_tail() {
    let (mut world, session, lin) = tailed("log", 5000);
    let byte = |place: usize| u8::try_from(place % 251).unwrap();
    world.write(lin, Content::Extents(vec![extent(session, 1, 100, 50)])).unwrap();
    let clear = Change::ClearRange { lin, offset: 1000, length: 500, clearing: Clearing::KeepLength, mtime: None };
    world.change(clear).unwrap();
    let changes = AttributeChanges { size: Some(3000), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin, changes }).unwrap();
    assert_eq!(world.lengths(lin), [(0, 100), (150, 850), (1500, 1500)]);
    for tail in world.tails(lin) {
        let start = usize::try_from(tail.offset).unwrap();
        assert!(tail.bytes.iter().zip(start..).all(|(found, place)| *found == byte(place)), "{start}");
    }
    assert_eq!(world.view().seek(lin, 150, Seek::Hole, 10).unwrap(), Sought::At(1000));
    assert_eq!(world.view().seek(lin, 1000, Seek::Data, 10).unwrap(), Sought::At(1500));
    world.check();
}

#[test]
fn a_clone_copies_the_bytes_of_tails_and_shares_the_blocks() {
    let (mut world, session, lin) = tailed("log", 5000);
    let blocks = vec![extent(session, 1, 0, 5000)];
    world.append(lin, Content::Extents(blocks)).unwrap();
    world.append_bytes(lin, b"end");
    let to = world.file(Lin::ROOT, "copy");
    let range = CloneRange {
        from: lin,
        snapshot: None,
        from_offset: CLONE_ALIGNMENT,
        to,
        to_offset: 0,
        length: 10_003 - CLONE_ALIGNMENT,
        mtime: None,
    };
    assert_eq!(world.change(Change::Clone(range)), Ok(Outcome::Remaining(0)));
    let tails = world.tails(to);
    assert_eq!(tails[0].bytes, world.tails(lin)[0].bytes.slice(4096..));
    assert_eq!((tails[1].offset, &tails[1].bytes[..]), (10_000 - CLONE_ALIGNMENT, &b"end"[..]));
    world.check();
    world.remove(Lin::ROOT, "log").unwrap();
    assert_eq!(world.tails(to), tails, "the copy is its own");
    world.check();
}

#[test]
fn a_clone_of_many_bytes_in_tails_takes_several_steps() {
    let (mut world, _) = World::with_pool();
    let (from, to) = (world.file(Lin::ROOT, "from"), world.file(Lin::ROOT, "to"));
    world.append_bytes(from, &[5; 60_000]);
    let unit = 16 * CLONE_ALIGNMENT;
    let changes = AttributeChanges { size: Some(unit), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin: from, changes }).unwrap();
    let range = |from, to, to_offset, length| {
        Change::Clone(CloneRange { from, snapshot: None, from_offset: 0, to, to_offset, length, mtime: None })
    };
    for copy in 0..20 {
        assert_eq!(world.change(range(from, to, copy * unit, unit)), Ok(Outcome::Remaining(0)));
    }
    let copy = world.file(Lin::ROOT, "copy");
    let Ok(Outcome::Remaining(left)) = world.change(range(to, copy, 0, 20 * unit)) else { panic!() };
    assert!((1..20 * unit).contains(&left), "{left}");
    let page = world.view().runs(to, 0, 1000).unwrap();
    assert!(page.runs.len() < 20 && page.next.is_some(), "and so does a read");
    world.check();
}
