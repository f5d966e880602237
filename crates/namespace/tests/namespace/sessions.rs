//! Requests that are tried again.

use namespace::LEASE_TICKS;
use types::{Change, Content, FileKind, Lin, Operation, OperationError, Outcome, RequestKey, SessionId};

use crate::world::{World, create, extent};

fn key(session: SessionId, sequence: u64, low_water: u64) -> RequestKey {
    RequestKey { session, sequence, low_water }
}

fn make(name: &str) -> Operation {
    Operation::Change(create(Lin::ROOT, name, FileKind::File))
}

#[test]
fn a_repeated_request_gives_the_first_result_errors_included() {
    let mut world = World::new();
    let session = world.open_session();
    let first = world.run_in(key(session, 1, 1), make("a"));
    assert!(first.is_ok());
    let taken = world.run_in(key(session, 2, 1), make("a"));
    assert!(matches!(taken, Err(OperationError::EntryExists { .. })));
    world.remove(Lin::ROOT, "a").unwrap();
    assert_eq!(world.run_in(key(session, 1, 1), make("a")), first);
    assert_eq!(world.run_in(key(session, 2, 1), make("a")), taken, "it would succeed now");
    assert_eq!(world.view().usage().inodes, 1);
}

#[test]
fn a_result_below_the_low_water_mark_is_forgotten_and_never_run_again() {
    let mut world = World::new();
    let session = world.open_session();
    world.run_in(key(session, 1, 1), make("a")).unwrap();
    world.run_in(key(session, 2, 2), make("b")).unwrap();
    let outside = |sequence| Err(OperationError::OutsideWindow { session, sequence });
    assert_eq!(world.run_in(key(session, 1, 1), make("c")), outside(1));
    assert_eq!(world.view().session(session).unwrap().unwrap().low_water, 2);
    assert_eq!(world.run_in(key(session, 2 + 1024, 2), make("d")), outside(1026));
    world.run_in(key(session, 1 + 1024, 2), make("d")).unwrap();
    assert_eq!(world.run_in(key(session, 3, 4), make("e")), outside(3), "a mark above the request itself");
    assert_eq!(world.view().session(session).unwrap().unwrap().low_water, 2);
}

#[test]
fn a_session_that_ended_or_never_was_is_refused() {
    let mut world = World::new();
    let session = world.open_session();
    world.run_in(key(session, 1, 1), make("a")).unwrap();
    let close = Operation::CloseSession { session };
    assert_eq!(world.run_in(key(session, 2, 1), close.clone()), Ok(Outcome::Done));
    for session in [session, SessionId(12345)] {
        let refused = world.run_in(key(session, 1, 1), make("a"));
        assert_eq!(refused, Err(OperationError::NoSession { session }));
    }
    assert_eq!(world.run(close), Ok(Outcome::Done), "it stays ended");
    assert_eq!(world.view().session(session).unwrap(), None);
    world.run(Operation::RaiseBlockMark { session, mark: 3 }).unwrap_err();
}

#[test]
fn a_batch_sees_its_own_operations_in_order() {
    let mut world = World::new();
    let session = world.open_session();
    let request = |sequence, operation| types::Request { key: Some(key(session, sequence, 1)), operation };
    let snapshot = Operation::Change(Change::CreateSnapshot { name: "between".into() });
    let results =
        world.apply(vec![request(1, make("a")), request(2, snapshot), request(3, make("b")), request(3, make("c"))]);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(results[2], results[3]);
    let Ok(Outcome::Snapshot(snapshot)) = &results[1] else { panic!("{results:?}") };
    let view = world.view();
    assert_eq!(world.names(&view.at(snapshot.id).unwrap(), Lin::ROOT), ["a"]);
    assert_eq!(world.names(&view, Lin::ROOT), ["a", "b"]);
    world.check();
}

#[test]
fn a_session_that_nobody_hears_of_for_a_lease_is_over_for_good() {
    let (mut world, session) = World::with_pool();
    let file = world.file(Lin::ROOT, "file");
    world.run_in(key(session, 1, 1), make("a")).unwrap();
    world.tick(LEASE_TICKS);
    assert!(!world.view().session(session).unwrap().unwrap().has_expired);
    world.tick(1);
    let over = Err(OperationError::NoSession { session });
    assert_eq!(world.run_in(key(session, 1, 1), make("a")), over, "not even what is remembered is given");
    assert_eq!(world.run_in(key(session, 2, 1), make("b")), over, "and nothing is run");
    assert_eq!(world.run(Operation::RaiseBlockMark { session, mark: 5 }), over, "nothing renews it");
    let stale = world.write(file, Content::Extents(vec![extent(session, 1, 0, 10)]));
    assert!(matches!(stale, Err(OperationError::StaleBlock { .. })), "{stale:?}");
    assert!(world.view().session(session).unwrap().unwrap().has_expired, "it is there until somebody ends it");
    world.run(Operation::CloseSession { session }).unwrap();
    assert_eq!(world.view().session(session).unwrap(), None);
    assert_eq!(world.view().usage().inodes, 3);
    world.check();
}

#[test]
fn every_request_renews_the_lease_even_one_that_is_tried_again() {
    let mut world = World::new();
    let session = world.open_session();
    let first = world.run_in(key(session, 1, 1), make("a"));
    for _ in 0..3 {
        world.tick(LEASE_TICKS);
        assert_eq!(world.run_in(key(session, 1, 1), make("a")), first);
        world.tick(LEASE_TICKS);
        world.run_in(key(session, 2, 1), make("a")).unwrap_err();
        world.tick(LEASE_TICKS);
        world.run(Operation::RaiseBlockMark { session, mark: 0 }).unwrap();
    }
    assert_eq!(world.run_in(key(session, 1, 1), make("a")), first);
}

#[test]
fn a_tick_that_two_propose_counts_once() {
    let mut world = World::new();
    for after in [0, 0, 1, 7, 0, 1] {
        assert_eq!(world.run(Operation::Tick { after }), Ok(Outcome::Done));
    }
    assert_eq!(world.view().ticks(), 2);
}
