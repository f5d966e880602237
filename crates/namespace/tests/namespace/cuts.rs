//! Files with more extents than one operation may handle: cut, grown, written again and read, now and in snapshots.

use std::collections::BTreeMap;

use runtime::Seed;
use types::{
    AttributeChanges, Change, Clearing, Content, Lin, NewExtent, NodeId, Operation, OperationError, Outcome, SessionId,
    Snapshot, SnapshotId,
};

use crate::world::{World, extent, part};

/// Bytes of a slot of the file: each extent fills one.
const SLOT: u32 = 10;
/// Slots of the longest file.
const SLOTS: u64 = 3000;
/// Extents that one operation may drop at once, and those that any other operation drops of what is left.
const AT_ONCE: usize = 1024 + 256;

/// The block of each slot of the file.
type Slots = Vec<Option<u64>>;

fn resize(world: &mut World, lin: Lin, size: u64) {
    let changes = AttributeChanges { size: Some(size), ..AttributeChanges::default() };
    world.change(Change::SetAttributes { lin, changes }).unwrap();
}

fn count_freed(world: &World) -> usize {
    world.view().freed(NodeId(1), None, usize::MAX).unwrap().len()
}

fn rows_in(world: &World, family: &str) -> u64 {
    let counts = world.view().row_counts().unwrap();
    counts.iter().find(|(found, _)| found.name() == family).unwrap().1
}

/// A file of whole slots over blocks 0 to `slots`.
fn long_file(world: &mut World, session: SessionId, slots: u64) -> Lin {
    let lin = world.file(Lin::ROOT, "long");
    let extents = (0..slots).map(|slot| extent(session, slot, slot * u64::from(SLOT), SLOT)).collect();
    world.write(lin, Content::Extents(extents)).unwrap();
    lin
}

#[test]
fn a_cut_of_a_long_file_is_seen_at_once_and_done_in_bounded_steps() {
    let (mut world, session) = World::with_pool();
    let lin = long_file(&mut world, session, SLOTS);
    resize(&mut world, lin, 25);
    let freed = count_freed(&world);
    assert!(freed <= AT_ONCE, "{freed} blocks in one operation");
    resize(&mut world, lin, SLOTS * u64::from(SLOT));
    let left = world.view().extents(lin, 0, usize::MAX).unwrap();
    assert_eq!(left.iter().map(|found| found.extent.length).collect::<Vec<_>>(), [10, 10, 5], "a hole behind the cut");
    world.check();
    let (mut steps, mut before) = (0, count_freed(&world));
    while rows_in(&world, "orphan") > 0 {
        // Even an operation that is refused does its share.
        world.remove(Lin::ROOT, "nothing").unwrap_err();
        world.check();
        let freed = count_freed(&world);
        assert!(freed <= before + 256, "{before}, then {freed}");
        (steps, before) = (steps + 1, freed);
    }
    assert_eq!(before as u64, SLOTS - 3);
    assert_eq!(rows_in(&world, "extent"), 3);
}

#[test]
fn what_is_written_behind_a_cut_is_not_taken_for_what_was_cut() {
    let (mut world, session) = World::with_pool();
    let lin = long_file(&mut world, session, SLOTS);
    let before = world.snapshot("before");
    resize(&mut world, lin, 10);
    let between = world.snapshot("between");
    // In the middle of old extents that are not dropped yet, and over parts of them.
    let offset = 2500 * u64::from(SLOT) + 3;
    world.write(lin, Content::Extents(vec![extent(session, SLOTS, offset, 17)])).unwrap();
    let later = world.snapshot("later");
    let layout = |world: &World| {
        let found = world.view().extents(lin, 5, usize::MAX).unwrap();
        found.iter().map(|found| (found.extent.offset, found.extent.block.sequence)).collect::<Vec<_>>()
    };
    assert_eq!(layout(&world), [(0, 0), (offset, SLOTS)]);
    assert_eq!(world.view().extents(lin, offset - 1, 1).unwrap()[0].extent.offset, offset);
    // Another cut while the first one is not done, behind what was written and so with nothing alive to take.
    resize(&mut world, lin, offset + 7);
    world.check();
    let seen = |world: &World, snapshot: &Snapshot| {
        world.view().at(snapshot.id).unwrap().extents(lin, 0, usize::MAX).unwrap().len() as u64
    };
    assert_eq!([&before, &between, &later].map(|snapshot| seen(&world, snapshot)), [SLOTS, 1, 2]);
    for step in 0..20 {
        world.file(Lin::ROOT, &format!("step{step}"));
    }
    assert_eq!(layout(&world), [(0, 0), (offset, SLOTS)]);
    assert_eq!((rows_in(&world, "orphan"), rows_in(&world, "extent")), (0, 2));
    assert_eq!([&before, &between, &later].map(|snapshot| seen(&world, snapshot)), [SLOTS, 1, 2]);
    assert_eq!(count_freed(&world), 0);
    world.drop_snapshot(before.id, 10_000);
    assert_eq!(count_freed(&world) as u64, SLOTS - 1, "no snapshot sees what was cut before it was taken");
    world.check();
}

#[test]
fn a_write_over_more_extents_than_one_operation_may_handle_is_refused() {
    let (mut world, session) = World::with_pool();
    let lin = world.file(Lin::ROOT, "dust");
    let dust = |block: u64, from: u32, count: u32| -> Vec<NewExtent> {
        let whole = 1 << 22;
        (from..from + count).map(|place| part(session, block, u64::from(place * 2), (place * 2, 1, whole))).collect()
    };
    world.write(lin, Content::Extents(dust(0, 0, 65_536))).unwrap();
    world.write(lin, Content::Extents(dust(1, 65_536, 10))).unwrap();
    let over = |sequence, length| Content::Extents(vec![extent(session, sequence, 0, length)]);
    let refused = world.write(lin, over(2, 1 << 18));
    assert!(matches!(refused, Err(OperationError::OutOfRange { limit: 65_536, .. })), "{refused:?}");
    assert_eq!(rows_in(&world, "extent"), 65_546, "nothing of it was done");
    world.write(lin, over(3, 1 << 16)).unwrap();
    world.write(lin, over(4, 1 << 18)).unwrap();
    assert_eq!(rows_in(&world, "extent"), 1);
}

/// A file and its snapshots, in the store and as plain lists.
struct Histories {
    world: World,
    session: SessionId,
    lin: Lin,
    seed: Seed,
    block: u64,
    head: Slots,
    snapshots: BTreeMap<SnapshotId, Slots>,
}

impl Histories {
    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }

    /// A run of slots, each a block of its own.
    fn write(&mut self) {
        let (start, length) = (self.below(SLOTS), 1 + self.below(SLOTS / 2));
        let run = start..SLOTS.min(start + length);
        let mut extents = Vec::new();
        for slot in run.clone() {
            extents.push(extent(self.session, self.block + slot - start, slot * u64::from(SLOT), SLOT));
        }
        let extents_written = extents.len() as u64;
        self.world.write(self.lin, Content::Extents(extents)).unwrap();
        let end = self.head.len().max(run.end as usize);
        self.head.resize(end, None);
        for slot in run {
            self.head[slot as usize] = Some(self.block + slot - start);
        }
        self.block += extents_written;
    }

    fn resize(&mut self, slots: u64) {
        resize(&mut self.world, self.lin, slots * u64::from(SLOT));
        self.head.resize(slots as usize, None);
    }

    /// Makes a run of slots a hole, in as many steps as it takes.
    fn clear(&mut self) {
        let (start, length) = (self.below(SLOTS), 1 + self.below(SLOTS));
        let run = start as usize..(start + length).min(self.head.len() as u64) as usize;
        let (mut offset, end) = (start * u64::from(SLOT), (start + length) * u64::from(SLOT));
        while offset < end {
            let (lin, length, clearing) = (self.lin, end - offset, Clearing::KeepLength);
            match self.world.change(Change::ClearRange { lin, offset, length, clearing, mtime: None }) {
                Ok(Outcome::Remaining(left)) => offset = end - left,
                other => panic!("{other:?}"),
            }
        }
        if let Some(cleared) = self.head.get_mut(run) {
            cleared.fill(None);
        }
    }

    fn snapshot(&mut self) {
        let taken = self.world.snapshot(&format!("s{}", self.world.view().revision()));
        self.snapshots.insert(taken.id, self.head.clone());
    }

    fn drop_snapshot(&mut self) {
        let place = self.below(self.snapshots.len().max(1) as u64) as usize;
        if let Some(id) = self.snapshots.keys().nth(place).copied() {
            self.snapshots.remove(&id);
            self.world.drop_snapshot(id, 700);
        }
    }

    fn step(&mut self) {
        match self.below(12) {
            0..=2 => self.write(),
            3..=5 => self.resize(self.below(SLOTS)),
            6 => self.resize(SLOTS),
            7 => self.snapshot(),
            8 => self.drop_snapshot(),
            9 | 10 => self.clear(),
            _ => drop(self.world.run(Operation::OpenSession { label: "other".into() }).unwrap()),
        }
    }

    fn read(&self, snapshot: Option<SnapshotId>) -> Slots {
        let view = self.world.view();
        let view = snapshot.map_or_else(|| view.clone(), |snapshot| view.at(snapshot).unwrap());
        let size = view.attributes(self.lin).unwrap().size;
        let mut slots = vec![None; (size / u64::from(SLOT)) as usize];
        for found in view.extents(self.lin, 0, usize::MAX).unwrap() {
            slots[(found.extent.offset / u64::from(SLOT)) as usize] = Some(found.extent.block.sequence);
        }
        slots
    }

    fn compare(&self) {
        assert!(self.read(None) == self.head, "the head differs");
        for (id, slots) in &self.snapshots {
            assert!(self.read(Some(*id)) == *slots, "snapshot {id} differs");
        }
    }

    /// Removes everything; every block has to be freed in the end.
    fn end(mut self) {
        self.world.remove(Lin::ROOT, "long").unwrap();
        for id in std::mem::take(&mut self.snapshots).into_keys() {
            self.world.drop_snapshot(id, 10_000);
        }
        for step in 0.. {
            if rows_in(&self.world, "orphan") == 0 {
                break;
            }
            self.world.file(Lin::ROOT, &format!("end{step}"));
        }
        self.world.check();
        assert_eq!((rows_in(&self.world, "extent"), rows_in(&self.world, "extent_history")), (0, 0));
        assert_eq!(count_freed(&self.world) as u64, self.block, "every block is freed once");
    }
}

#[test]
fn a_long_file_that_is_cut_and_grown_reads_as_a_list_does_now_and_in_every_snapshot() {
    let number = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let seed = number("HOLDFAST_SEED", Seed::from_os().u64());
    println!("replay with HOLDFAST_SEED={seed}");
    let (mut world, session) = World::with_pool();
    let lin = long_file(&mut world, session, SLOTS);
    let head = (0..SLOTS).map(Some).collect();
    let seed = Seed::fixed(seed);
    let mut histories = Histories { world, session, lin, seed, block: SLOTS, head, snapshots: BTreeMap::new() };
    for step in 0..number("HOLDFAST_STEPS", 40) {
        histories.step();
        if step % 4 == 0 {
            histories.compare();
        }
        if step % 16 == 0 {
            histories.world.check();
        }
    }
    histories.compare();
    histories.end();
}
