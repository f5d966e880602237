//! State time through the store: rule P2.

use namespace::{Entry, Store, TIME_SLACK, TimeJump};
use runtime::Seed;
use types::{FileKind, Lin, Operation, OperationError, Outcome, Request, Timestamp};

use crate::world::{Answer, World, create};

const YEAR: i64 = 31_536_000;
const SLACK: i64 = TIME_SLACK.as_secs() as i64;

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 0 }
}

/// The next entry, with one operation that a leader proposes whose clock shows so many seconds.
fn entry(world: &mut World, shown: i64, operation: Operation) -> Entry {
    let mut entry = world.entry(vec![Request { key: None, operation }]);
    entry.batch.as_mut().unwrap().proposed_at = at(shown);
    entry
}

fn run(world: &mut World, shown: i64, operation: Operation) -> Answer {
    let entry = entry(world, shown, operation);
    world.store.apply(&[entry]).unwrap().remove(0).remove(0)
}

fn make(name: String) -> Operation {
    Operation::Change(create(Lin::ROOT, &name, FileKind::File))
}

#[test]
fn a_jump_refuses_nothing_is_shown_and_waits_for_an_admin() {
    let mut world = World::new();
    run(&mut world, YEAR, make("first".into())).unwrap();
    assert_eq!((world.view().state_time(), world.view().time_jump()), (at(YEAR), None), "the first batch founds it");
    let jumped = 3 * YEAR;
    for number in 0..10 {
        let Ok(Outcome::Inode(made)) = run(&mut world, jumped + number, make(format!("{number}"))) else { panic!() };
        assert_eq!(made.ctime, at(YEAR + SLACK));
    }
    let jump = Some(TimeJump { from: at(YEAR), shown: at(jumped + 9) });
    assert_eq!(world.view().time_jump(), jump);
    world.store.flush().unwrap();
    let reopened = world.folder.path().join("copy");
    world.store.checkpoint(&reopened).unwrap();
    assert_eq!(Store::open(reopened).unwrap().view().unwrap().time_jump(), jump, "it lies in the state");

    let early = run(&mut world, jumped + 10, Operation::AcceptTime { shown: at(2 * YEAR) });
    assert_eq!(early, Err(OperationError::TimeNotAccepted { seconds: jumped + 10 }));
    assert_eq!(world.view().state_time(), at(YEAR + SLACK));
    assert_eq!(run(&mut world, jumped + 20, Operation::AcceptTime { shown: at(jumped + 9) }), Ok(Outcome::Done));
    assert_eq!((world.view().state_time(), world.view().time_jump()), (at(jumped + 20), None));
}

#[test]
fn time_is_counted_once_and_by_no_other_operation() {
    let mut world = World::new();
    let count = |seconds, length_ms| Operation::CountTime { after: at(seconds), length_ms };
    run(&mut world, 1000, count(1000, 60_000)).unwrap();
    run(&mut world, 900, count(1000, 3_600_000)).unwrap();
    assert_eq!(world.view().counted_time(), at(1060));
    run(&mut world, 900, Operation::Tick { after: 0 }).unwrap();
    run(&mut world, 1061 + SLACK, make("a".into())).unwrap();
    assert_eq!(world.view().state_time(), at(1060 + SLACK));
}

/// Leaders with clocks that are right or wrong; every node ends with the same time, however it packs the log.
#[test]
fn every_node_has_the_same_time_however_the_clocks_jump() {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| Seed::from_os().u64());
    println!("replay with HOLDFAST_SEED={seed}");
    let random = Seed::fixed(seed);
    let mut world = World::new();
    let follower = Store::open(world.folder.path().join("follower")).unwrap();
    let (mut truth, mut offset, mut entries) = (YEAR, 0, Vec::new());
    for number in 0..400 {
        truth += random.below(30) as i64;
        if random.below(15) == 0 {
            offset = [0, YEAR, -YEAR, SLACK / 2, -SLACK][random.below(5) as usize];
        }
        let operation = match random.below(10) {
            0 => Operation::AcceptTime { shown: at(truth) },
            1..5 => Operation::CountTime { after: world.view().counted_time(), length_ms: 60_000 },
            _ => make(format!("{number}")),
        };
        let before = world.view().state_time();
        let entry = entry(&mut world, truth + offset, operation);
        let answer = world.store.apply(std::slice::from_ref(&entry)).unwrap().remove(0).remove(0);
        entries.push(entry);
        assert!(
            answer.is_ok() || matches!(answer, Err(OperationError::TimeNotAccepted { .. })),
            "no other operation is refused: {answer:?}"
        );
        let now = world.view().state_time();
        assert!(now >= before && now <= world.view().counted_time().plus(TIME_SLACK), "{before:?}, {now:?}");
    }
    let mut rest = &entries[..];
    while !rest.is_empty() {
        let (pack, after) = rest.split_at((1 + random.below(20) as usize).min(rest.len()));
        follower.apply(pack).unwrap();
        rest = after;
    }
    let (one, two) = (world.view(), follower.view().unwrap());
    assert_eq!((one.state_time(), one.time_jump()), (two.state_time(), two.time_jump()));
    assert_eq!(one.dump_digest().unwrap(), two.dump_digest().unwrap());
}
