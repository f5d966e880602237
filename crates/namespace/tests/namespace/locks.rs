//! Locks: who gets one, who is in the way, and when they go.

use std::collections::BTreeMap;

use namespace::LEASE_TICKS;
use runtime::Seed;
use types::{
    Change, ErrorKind, FileKind, Lin, Lock, LockKind, LockMode, LockRange, Operation, OperationError, Outcome,
    SessionId, TakenLock,
};

use crate::callers::Callers;
use crate::world::Answer;

impl Callers {
    fn lock(&mut self, session: SessionId, lin: Lin, lock: Lock) -> Answer {
        self.call(session, Change::Lock { lin, lock })
    }

    fn unlock(&mut self, session: SessionId, lin: Lin, owner: u64, range: LockRange) {
        let unlock = Change::Unlock { lin, kind: LockKind::Range, owner, range };
        assert_eq!(self.call(session, unlock), Ok(Outcome::Done));
    }

    fn locks(&self, lin: Lin) -> Vec<TakenLock> {
        self.world.view().locks(lin).unwrap().into_iter().map(|named| named.taken).collect()
    }

    /// Rows in the families of locks.
    fn lock_rows(&self) -> Vec<(&'static str, u64)> {
        let rows = self.world.view().row_counts().unwrap().into_iter().map(|(family, rows)| (family.name(), rows));
        rows.filter(|(family, _)| ["lock", "locked"].contains(family)).collect()
    }
}

const fn range(start: u64, end: u64) -> LockRange {
    LockRange { start, end }
}

const fn exclusive(owner: u64, range: LockRange) -> Lock {
    Lock { kind: LockKind::Range, owner, range, mode: LockMode::Exclusive }
}

const fn shared(owner: u64, range: LockRange) -> Lock {
    Lock { kind: LockKind::Range, owner, range, mode: LockMode::Shared }
}

const fn whole(owner: u64, mode: LockMode) -> Lock {
    Lock { kind: LockKind::Whole, owner, range: LockRange::ALL, mode }
}

fn in_the_way(answer: Answer) -> TakenLock {
    match answer {
        Err(OperationError::Locked { taken, .. }) => taken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shared_locks_bear_each_other_and_an_exclusive_one_bears_none() {
    let (mut callers, session) = Callers::new();
    let (other, lin) = (callers.world.open_session(), callers.world.file(Lin::ROOT, "a"));
    callers.lock(session, lin, shared(1, range(0, 10))).unwrap();
    callers.lock(other, lin, shared(1, range(5, 15))).unwrap();
    let refused = callers.lock(other, lin, exclusive(2, range(7, 8)));
    assert_eq!(refused.as_ref().map_err(OperationError::kind), Err(ErrorKind::Conflict));
    assert_eq!(in_the_way(refused), TakenLock { session, lock: shared(1, range(0, 10)) }, "the first of the two");
    callers.lock(other, lin, exclusive(2, range(15, u64::MAX))).unwrap();
    let wanted = shared(3, range(14, 16));
    let told = callers.world.view().conflicting_lock(lin, session, &wanted).unwrap();
    assert_eq!(told, Some(TakenLock { session: other, lock: exclusive(2, range(15, u64::MAX)) }));
    callers.unlock(other, lin, 2, range(15, 16));
    assert_eq!(callers.world.view().conflicting_lock(lin, session, &wanted).unwrap(), None);
    callers.world.check();
}

#[test]
fn an_owner_changes_its_mode_where_nobody_is_in_the_way() {
    let (mut callers, session) = Callers::new();
    let (other, lin) = (callers.world.open_session(), callers.world.file(Lin::ROOT, "a"));
    callers.lock(session, lin, shared(1, range(0, 10))).unwrap();
    callers.lock(other, lin, shared(1, range(8, 12))).unwrap();
    in_the_way(callers.lock(session, lin, exclusive(1, range(0, 9))));
    callers.lock(session, lin, exclusive(1, range(0, 8))).unwrap();
    callers.lock(session, lin, shared(1, range(2, 4))).unwrap();
    callers.unlock(session, lin, 1, range(5, 6));
    let own: Vec<Lock> = callers.locks(lin).iter().filter(|taken| taken.session == session).map(|t| t.lock).collect();
    let parts = [
        exclusive(1, range(0, 2)),
        shared(1, range(2, 4)),
        exclusive(1, range(4, 5)),
        exclusive(1, range(6, 8)),
        shared(1, range(8, 10)),
    ];
    assert_eq!(own, parts);
    callers.world.check();
}

#[test]
fn locks_of_ranges_and_of_whole_files_do_not_meet() {
    let (mut callers, session) = Callers::new();
    let lin = callers.world.file(Lin::ROOT, "a");
    callers.lock(session, lin, exclusive(1, LockRange::ALL)).unwrap();
    callers.lock(session, lin, whole(2, LockMode::Exclusive)).unwrap();
    in_the_way(callers.lock(session, lin, whole(3, LockMode::Shared)));
    callers.lock(session, lin, whole(2, LockMode::Shared)).unwrap();
    callers.lock(session, lin, whole(3, LockMode::Shared)).unwrap();
    in_the_way(callers.lock(session, lin, whole(2, LockMode::Exclusive)));
    let part = Lock { range: range(0, 1), ..whole(4, LockMode::Shared) };
    assert_eq!(callers.lock(session, lin, part).map_err(|refused| refused.kind()), Err(ErrorKind::InvalidRequest));
    callers.world.check();
}

#[test]
fn the_end_of_a_session_and_of_its_lease_ends_its_locks_at_once() {
    let (mut callers, session) = Callers::new();
    let (other, lin) = (callers.world.open_session(), callers.world.file(Lin::ROOT, "a"));
    callers.lock(session, lin, exclusive(1, range(0, 10))).unwrap();
    callers.lock(session, lin, whole(1, LockMode::Exclusive)).unwrap();
    callers.world.run(Operation::CloseSession { session }).unwrap();
    callers.world.check();
    callers.lock(other, lin, exclusive(1, range(0, 10))).unwrap();

    callers.world.tick(LEASE_TICKS);
    let next = callers.world.open_session();
    in_the_way(callers.lock(next, lin, exclusive(7, range(5, 6))));
    callers.world.tick(1);
    callers.lock(next, lin, exclusive(7, range(5, 6))).unwrap();
    assert_eq!(callers.locks(lin), [TakenLock { session: next, lock: exclusive(7, range(5, 6)) }]);
    assert_eq!(callers.lock_rows(), [("lock", 2), ("locked", 2)], "the other one is over, and not cleared away");
    callers.world.check();
    callers.world.run(Operation::CloseSession { session: other }).unwrap();
    assert_eq!(callers.lock_rows(), [("lock", 1), ("locked", 1)]);
    callers.world.check();
}

#[test]
fn a_file_takes_its_locks_along_when_it_goes_and_not_when_its_name_does() {
    let (mut callers, session) = Callers::new();
    let (other, lin) = (callers.world.open_session(), callers.world.file(Lin::ROOT, "a"));
    callers.lock(session, lin, shared(1, range(0, 10))).unwrap();
    callers.lock(other, lin, shared(1, range(3, 4))).unwrap();
    callers.call(session, Change::Hold { lin }).unwrap();
    callers.world.remove(Lin::ROOT, "a").unwrap();
    assert_eq!(callers.locks(lin).len(), 2);
    callers.call(session, Change::Release { lin }).unwrap();
    assert_eq!(callers.lock_rows(), [("lock", 0), ("locked", 0)]);
    callers.world.check();
    let refused = callers.lock(other, lin, shared(1, range(3, 4)));
    assert_eq!(refused, Err(OperationError::NoInode { lin }));
    let directory = callers.world.make(Lin::ROOT, "d", FileKind::Directory);
    callers.lock(other, directory, whole(1, LockMode::Shared)).unwrap();
    callers.world.check();
    callers.world.remove_directory(Lin::ROOT, "d").unwrap();
    callers.world.check();
}

const BYTES: u64 = 16;

/// Who has which byte of which file, and how.
type Bytes = BTreeMap<(Lin, SessionId, u64), Vec<Option<LockMode>>>;

/// A store and a map of bytes that are given the same requests.
struct History {
    seed: Seed,
    callers: Callers,
    sessions: [SessionId; 2],
    files: [Lin; 2],
    model: Bytes,
}

#[test]
fn random_locks_agree_with_a_map_of_bytes() {
    let seeds = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..4).chain([Seed::from_os().u64()]).collect(),
    };
    for seed in seeds {
        println!("HOLDFAST_SEED={seed}");
        let mut history = History::new(seed);
        for step in 0..300 {
            history.step();
            if step % 10 == 9 {
                history.compare();
            }
        }
        history.end();
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let (mut callers, first) = Callers::new();
        let sessions = [first, callers.world.open_session()];
        let files = ["a", "b"].map(|name| callers.world.file(Lin::ROOT, name));
        Self { seed: Seed::fixed(seed), callers, sessions, files, model: Bytes::new() }
    }

    fn step(&mut self) {
        let (session, lin) = (self.sessions[self.below(2) as usize], self.files[self.below(2) as usize]);
        let start = self.below(BYTES);
        let (owner, range) = (self.below(2), range(start, start + 1 + self.below(BYTES - start)));
        match self.below(60) {
            0 => self.end_session(),
            1 => self.run_out(),
            2 => self.replace_file(),
            3..=22 => {
                self.callers.unlock(session, lin, owner, range);
                self.fill((lin, session, owner), range, None);
            }
            place => {
                let mode = if place % 2 == 0 { LockMode::Shared } else { LockMode::Exclusive };
                self.lock((lin, session, owner), range, mode);
            }
        }
    }

    fn lock(&mut self, whose: (Lin, SessionId, u64), range: LockRange, mode: LockMode) {
        let (lin, session, owner) = whose;
        let lock = Lock { kind: LockKind::Range, owner, range, mode };
        let told = self.callers.world.view().conflicting_lock(lin, session, &lock).unwrap();
        let answer = self.callers.lock(session, lin, lock);
        let others = self.model.iter().filter(|(other, _)| other.0 == lin && **other != whose);
        let bears = |held: &Option<LockMode>| held.is_none_or(|held| held.bears(mode));
        let is_free = |(_, bytes): (_, &Vec<Option<LockMode>>)| bytes[span(range)].iter().all(bears);
        if others.into_iter().all(is_free) {
            assert_eq!((answer, told), (Ok(Outcome::Done), None), "{lock:?}");
            self.fill(whose, range, Some(mode));
            return;
        }
        let taken = in_the_way(answer);
        assert_eq!(told, Some(taken));
        let theirs = &self.model[&(lin, taken.session, taken.lock.owner)];
        assert!(taken.lock.range.meets(range) && !taken.lock.mode.bears(mode), "{lock:?}: {taken:?}");
        assert!(theirs[span(taken.lock.range)].iter().all(|held| *held == Some(taken.lock.mode)), "{taken:?}");
    }

    fn fill(&mut self, whose: (Lin, SessionId, u64), range: LockRange, mode: Option<LockMode>) {
        bytes_of(&mut self.model, whose)[span(range)].fill(mode);
    }

    fn end_session(&mut self) {
        let place = self.below(2) as usize;
        let session = self.sessions[place];
        self.callers.world.run(Operation::CloseSession { session }).unwrap();
        self.model.retain(|(_, of, _), _| *of != session);
        self.sessions[place] = self.callers.world.open_session();
    }

    /// Lets the leases of all sessions run out; their rows stay.
    fn run_out(&mut self) {
        self.callers.world.tick(LEASE_TICKS + 1);
        self.model.clear();
        self.sessions = [(); 2].map(|()| self.callers.world.open_session());
    }

    fn replace_file(&mut self) {
        let place = self.below(2) as usize;
        let (lin, name) = (self.files[place], ["a", "b"][place]);
        self.callers.world.remove(Lin::ROOT, name).unwrap();
        self.model.retain(|(of, _, _), _| *of != lin);
        self.files[place] = self.callers.world.file(Lin::ROOT, name);
    }

    fn compare(&mut self) {
        let mut stored = Bytes::new();
        for lin in self.files {
            for TakenLock { session, lock } in self.callers.locks(lin) {
                bytes_of(&mut stored, (lin, session, lock.owner))[span(lock.range)].fill(Some(lock.mode));
            }
        }
        self.model.retain(|_, bytes| bytes.iter().any(Option::is_some));
        assert_eq!(stored, self.model);
        self.callers.world.check();
    }

    /// Ends every session; nothing is left of their locks.
    fn end(&mut self) {
        self.compare();
        for session in self.callers.world.view().sessions(None, usize::MAX).unwrap() {
            self.callers.world.run(Operation::CloseSession { session: session.id }).unwrap();
        }
        assert_eq!(self.callers.lock_rows(), [("lock", 0), ("locked", 0)]);
        assert_eq!(self.callers.world.view().ended_holder().unwrap(), None);
        self.callers.world.check();
    }

    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }
}

fn span(range: LockRange) -> std::ops::Range<usize> {
    range.start as usize..range.end as usize
}

fn bytes_of(model: &mut Bytes, whose: (Lin, SessionId, u64)) -> &mut Vec<Option<LockMode>> {
    model.entry(whose).or_insert_with(|| vec![None; BYTES as usize])
}
