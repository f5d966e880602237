//! Plans over a real store: what is nominated, and what is not.

use std::collections::BTreeSet;

use types::{
    Epoch, Fence, FileKind, Job, JobId, JobPhase, JobTotals, Lin, NodeId, Policy, PolicyId, Removal, Root, SetId,
    Shrinkage, SiteId, SnapshotId, Timestamp,
};

use super::Planner;
use crate::plan::{CutOptions, Item, PlanError, Unit};
use crate::world::World;

fn job(base: Option<SnapshotId>, snapshot: SnapshotId) -> Job {
    Job {
        id: JobId(1),
        policy: PolicyId(1),
        site: SiteId(1),
        set: SetId(1),
        epoch: Epoch(1),
        fence: Fence(1),
        coordinator: NodeId(1),
        snapshot,
        base: base.map(|_| Epoch(0)),
        base_snapshot: base,
        shrinkage: Shrinkage::Refuse,
        phase: JobPhase::Packing,
        totals: JobTotals::default(),
        started: Timestamp::default(),
        finished: None,
    }
}

fn policy(roots: &[Lin]) -> Policy {
    let roots = roots.iter().map(|&lin| Root { lin, path: format!("/root-{lin}") }).collect();
    Policy {
        id: PolicyId(1),
        name: "nightly".into(),
        set: SetId(1),
        roots,
        site: SiteId(1),
        base: None,
        base_snapshot: None,
        base_lins: 0,
    }
}

fn units(world: &World, roots: &[Lin], job: &Job, options: CutOptions) -> Result<Vec<Unit>, PlanError> {
    let mut units = Vec::new();
    let mut emit = |unit| {
        units.push(unit);
        Ok(())
    };
    Planner::new(&world.view(), job, &policy(roots), options, &mut emit)?.run()?;
    Ok(units)
}

fn nominated(world: &World, roots: &[Lin], base: Option<SnapshotId>, snapshot: SnapshotId) -> Vec<Lin> {
    let units = units(world, roots, &job(base, snapshot), CutOptions::default()).unwrap();
    units.into_iter().flat_map(|unit| unit.items).map(|item| item.lin).collect()
}

fn set(lins: &[Lin]) -> BTreeSet<Lin> {
    lins.iter().copied().collect()
}

#[test]
fn without_a_base_all_of_the_set_is_nominated_once_in_directory_order() {
    let mut world = World::new();
    let (inside, outside) = (world.mkdir(Lin::ROOT, "in"), world.mkdir(Lin::ROOT, "out"));
    let b = world.mkdir(inside, "b");
    let below = world.file(b, "x", b"1");
    let a = world.file(inside, "a", b"2");
    world.file(outside, "no", b"3");
    world.link(a, b, "also");
    world.link(a, outside, "half");
    let snapshot = world.snapshot("s");
    assert_eq!(nominated(&world, &[inside], None, snapshot), [inside, a, b, below]);
}

#[test]
fn a_set_of_several_roots_takes_what_they_share_once() {
    let mut world = World::new();
    let a = world.mkdir(Lin::ROOT, "a");
    let b = world.mkdir(a, "b");
    let file = world.file(b, "f", b"1");
    let alone = world.file(Lin::ROOT, "alone", b"2");
    let snapshot = world.snapshot("s");
    let all = nominated(&world, &[b, a, alone], None, snapshot);
    assert_eq!(set(&all), set(&[a, b, file, alone]));
    assert_eq!(all.len(), 4);
}

#[test]
fn with_a_base_only_what_changed_within_the_set_is_nominated() {
    let mut world = World::new();
    let (inside, outside) = (world.mkdir(Lin::ROOT, "in"), world.mkdir(Lin::ROOT, "out"));
    let kept = world.file(inside, "kept", b"1");
    let changed = world.file(inside, "changed", b"1");
    let gone = world.file(inside, "gone", b"1");
    let other = world.file(outside, "other", b"1");
    let base = world.snapshot("base");
    world.chmod(changed, 0o600);
    world.chmod(other, 0o600);
    world.remove(inside, "gone", Removal::NotDirectory);
    let new = world.create(inside, "new", FileKind::Symlink, types::Content::Empty, 0);
    let fleeting = world.file(inside, "fleeting", b"1");
    world.remove(inside, "fleeting", Removal::NotDirectory);
    let snapshot = world.snapshot("s");
    world.chmod(kept, 0o600);
    let lins = set(&nominated(&world, &[inside], Some(base), snapshot));
    assert_eq!(lins, set(&[inside, changed, gone, new]));
    assert!(!lins.contains(&fleeting));
}

#[test]
fn a_directory_that_enters_or_leaves_the_set_brings_all_below_it() {
    let mut world = World::new();
    let (inside, outside) = (world.mkdir(Lin::ROOT, "in"), world.mkdir(Lin::ROOT, "out"));
    let entering = world.mkdir(outside, "entering");
    let entering_below = world.mkdir(entering, "d");
    let entering_file = world.file(entering_below, "f", b"1");
    let leaving = world.mkdir(inside, "leaving");
    let leaving_file = world.file(leaving, "f", b"1");
    let staying = world.mkdir(inside, "staying");
    let staying_file = world.file(staying, "f", b"1");
    let base = world.snapshot("base");
    world.rename(outside, "entering", inside, "entered");
    world.rename(inside, "leaving", outside, "left");
    world.rename(inside, "staying", inside, "stayed");
    let snapshot = world.snapshot("s");
    let lins = set(&nominated(&world, &[inside], Some(base), snapshot));
    assert_eq!(lins, set(&[inside, entering, entering_below, entering_file, leaving, leaving_file, staying]));
    assert!(!lins.contains(&staying_file), "a rename within the set costs one LIN");
}

#[test]
fn no_lin_is_nominated_twice_whatever_moves_together() {
    let mut world = World::new();
    let (inside, outside) = (world.mkdir(Lin::ROOT, "in"), world.mkdir(Lin::ROOT, "out"));
    let a = world.mkdir(outside, "a");
    let b = world.mkdir(a, "b");
    let c = world.mkdir(b, "c");
    let file = world.file(c, "f", b"1");
    world.link(file, b, "f2");
    let leaving = world.mkdir(inside, "leaving");
    world.link(file, leaving, "f3");
    let base = world.snapshot("base");
    world.rename(outside, "a", inside, "a");
    world.rename(inside, "leaving", outside, "left");
    world.chmod(b, 0o700);
    let snapshot = world.snapshot("s");
    let lins = nominated(&world, &[inside], Some(base), snapshot);
    assert_eq!(set(&lins), set(&[inside, a, b, c, file, leaving]));
    assert_eq!(lins.len(), 6);
}

#[test]
fn a_file_with_a_name_outside_is_nominated_when_its_name_inside_goes() {
    let mut world = World::new();
    let (inside, outside) = (world.mkdir(Lin::ROOT, "in"), world.mkdir(Lin::ROOT, "out"));
    let half = world.file(inside, "half", b"1");
    world.link(half, outside, "half");
    let base = world.snapshot("base");
    world.remove(inside, "half", Removal::NotDirectory);
    let left = world.snapshot("left");
    world.link(half, inside, "again");
    let back = world.snapshot("back");
    assert_eq!(set(&nominated(&world, &[inside], Some(base), left)), set(&[inside, half]));
    assert_eq!(set(&nominated(&world, &[inside], Some(left), back)), set(&[inside, half]));
}

#[test]
fn a_file_that_is_held_without_a_name_is_in_no_set() {
    let mut world = World::new();
    let inside = world.mkdir(Lin::ROOT, "in");
    let (held, root) = (world.file(inside, "held", b"1"), world.file(Lin::ROOT, "root", b"1"));
    let base = world.snapshot("base");
    let fleeting = world.file(inside, "fleeting", b"1");
    for (parent, name, lin) in [(inside, "held", held), (inside, "fleeting", fleeting), (Lin::ROOT, "root", root)] {
        world.hold(lin);
        world.remove(parent, name, Removal::NotDirectory);
        world.chmod(lin, 0o600);
    }
    let snapshot = world.snapshot("s");
    assert_eq!(nominated(&world, &[inside], None, snapshot), [inside]);
    let changed = set(&nominated(&world, &[inside], Some(base), snapshot));
    assert_eq!(changed, set(&[inside, held]), "that the base has a file is told, as of one that is gone");
    let refused = units(&world, &[inside, root], &job(Some(base), snapshot), CutOptions::default());
    assert!(matches!(refused, Err(PlanError::MissingRoot { lin, .. }) if lin == root), "{refused:?}");
}

#[test]
fn a_missing_root_fails_the_plan_and_is_named() {
    let mut world = World::new();
    let root = world.mkdir(Lin::ROOT, "in");
    world.remove(Lin::ROOT, "in", Removal::Directory);
    let snapshot = world.snapshot("s");
    let refused = units(&world, &[root], &job(None, snapshot), CutOptions::default());
    assert!(matches!(refused, Err(PlanError::MissingRoot { lin, .. }) if lin == root));
}

#[test]
fn changes_after_the_snapshot_do_not_change_the_plan() {
    let mut world = World::new();
    let root = world.mkdir(Lin::ROOT, "in");
    let files: Vec<_> = (0..50).map(|number| world.file(root, &format!("f{number}"), b"1")).collect();
    let base = world.snapshot("base");
    files.iter().step_by(2).for_each(|&lin| world.chmod(lin, 0o600));
    let snapshot = world.snapshot("s");
    let options = CutOptions { items_max: 7, ..CutOptions::default() };
    let first = units(&world, &[root], &job(Some(base), snapshot), options).unwrap();
    files.iter().for_each(|&lin| world.chmod(lin, 0o644));
    let again = units(&world, &[root], &job(Some(base), snapshot), options).unwrap();
    assert_eq!(first, again);
    assert_eq!(first.iter().map(|unit| unit.items.len()).sum::<usize>(), 25);
}

#[test]
fn a_large_file_becomes_several_units() {
    let mut world = World::new();
    let root = world.mkdir(Lin::ROOT, "in");
    let large = world.create(root, "large", FileKind::File, types::Content::Empty, 600 << 20);
    let snapshot = world.snapshot("s");
    let units = units(&world, &[root], &job(None, snapshot), CutOptions::default()).unwrap();
    let items: Vec<_> = units.iter().flat_map(|unit| &unit.items).filter(|item| item.lin == large).collect();
    assert_eq!(items.len(), 3);
    assert!(units.len() >= 3);
    assert_eq!(items[2], &Item { lin: large, from: 512 << 20, until: None });
}
