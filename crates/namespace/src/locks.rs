//! Advisory locks: ranges of bytes as `fcntl` has them, whole files as `flock` has them.
//!
//! A lock is taken at once or refused with the one that is in its way. Nobody waits in here, so nothing can wait in a
//! circle either: to look for circles (`EDEADLK`) is left to whoever lets clients wait. The owner is a number that the
//! client gives, within its session. The locks of one owner never overlap: one that is taken replaces what the owner has
//! there, and neighbours of one mode become one.
//!
//! Locks go with the session: from the operation on that ends it, and from the tick on with which its lease runs out, they
//! stand in nobody's way. Their rows are cleared away later, in steps.

use std::collections::BTreeMap;

use types::{Lin, Lock, LockKind, LockMode, LockRange, OperationError, Outcome, SessionId, TakenLock};

use crate::database::Rows;
use crate::error::{Failure, StoreError};
use crate::keys::{Key as _, KeyRange, LockKey, LockOwner, LockedKey, locks_of_file};
use crate::read::Read as _;
use crate::rows::{LockRow, Present};
use crate::tables::{Locked, Locks, Sessions};
use crate::transaction::Transaction;

/// Locks of one kind on one file: a lock that is taken is compared with all of them.
const LOCKS_OF_FILE_MAX: u64 = 4096;
/// Locks of one session: a bound on what its end leaves to do.
pub const LOCKS_OF_SESSION_MAX: u64 = 65_536;
/// Locks that one operation clears away after the end of a session, and those of one kind on one file more.
const FORGOTTEN_AT_ONCE_MAX: usize = 4096;

/// The locks of one owner by their first bytes: apart from each other, neighbours of different modes.
type Stretches = BTreeMap<u64, LockRow>;

impl Transaction<'_> {
    /// Takes a lock for an owner of the calling session, in the place of what the owner has there.
    pub fn lock(&mut self, lin: Lin, lock: &Lock) -> Result<Outcome, Failure> {
        let &Lock { kind, owner, range, mode } = lock;
        check_range(kind, range)?;
        let owner = LockOwner { lin, kind, session: self.calling_session()?, owner };
        self.inode(lin)?;
        let all = locks_on(self, lin, kind)?;
        if let Some(taken) = conflict(&all, owner, range, mode, |id| has_locks(self, self.progress.ticks, id))? {
            return Err(OperationError::Locked { lin, taken }.into());
        }
        self.replace_locks(&all, owner, range, Some(mode))
    }

    /// Gives up what an owner of the calling session has locked of a range.
    pub fn unlock(&mut self, lin: Lin, kind: LockKind, owner: u64, range: LockRange) -> Result<Outcome, Failure> {
        check_range(kind, range)?;
        let owner = LockOwner { lin, kind, session: self.calling_session()?, owner };
        let all = locks_on(self, lin, kind)?;
        self.replace_locks(&all, owner, range, None)
    }

    /// Gives a range of an owner another mode, or none.
    fn replace_locks(
        &mut self,
        all: &[(LockKey, LockRow)],
        owner: LockOwner,
        range: LockRange,
        mode: Option<LockMode>,
    ) -> Result<Outcome, Failure> {
        let own = all.iter().filter(|(key, _)| key.owner == owner);
        let before: Stretches = own.map(|(key, row)| (key.start, *row)).collect();
        let now = replaced(&before, range, mode);
        if now.len() != before.len() {
            let mut session = self.session(owner.session)?;
            session.locks = session.locks.saturating_sub(before.len() as u64).saturating_add(now.len() as u64);
            if now.len() > before.len() {
                let of_file = all.len().saturating_sub(before.len()).saturating_add(now.len());
                expect_room(owner, of_file as u64, session.locks)?;
            }
            self.put::<Sessions>(&owner.session, &session);
        }
        for &start in before.keys().filter(|start| !now.contains_key(start)) {
            self.delete::<Locks>(&LockKey { owner, start });
        }
        for (&start, row) in now.iter().filter(|(start, row)| before.get(start) != Some(row)) {
            self.put::<Locks>(&LockKey { owner, start }, row);
        }
        self.note_locked(owner.locked())?;
        Ok(Outcome::Done)
    }

    /// Keeps the list of where a session has locks.
    fn note_locked(&mut self, key: LockedKey) -> Result<(), Failure> {
        let any = self.rows::<Locks>(KeyRange::prefix(key.locks())).next().transpose()?.is_some();
        match (any, self.row::<Locked>(&key)?.is_some()) {
            (true, false) => self.put::<Locked>(&key, &Present),
            (false, true) => self.delete::<Locked>(&key),
            _ => {}
        }
        Ok(())
    }

    /// Clears some locks away of a session that has ended.
    pub fn forget_some_locks(&mut self, session: SessionId) -> Result<(), StoreError> {
        // One walk: each that began anew would step over what those before it have deleted.
        let locked = self.rows::<Locked>(KeyRange::prefix(session.encode())).take(FORGOTTEN_AT_ONCE_MAX);
        let locked: Vec<LockedKey> = locked.map(|row| row.map(|(key, _)| key)).collect::<Result<_, _>>()?;
        let mut forgotten = 0;
        for key in locked {
            if forgotten >= FORGOTTEN_AT_ONCE_MAX {
                break;
            }
            let locks = self.lock_keys(key.locks())?;
            locks.iter().for_each(|lock| self.delete::<Locks>(lock));
            self.delete::<Locked>(&key);
            forgotten += locks.len();
        }
        Ok(())
    }

    /// Forgets all locks on what is removed.
    pub fn forget_locks_on(&mut self, lin: Lin) -> Result<(), StoreError> {
        let mut fewer: BTreeMap<SessionId, u64> = BTreeMap::new();
        for key in self.lock_keys(lin.encode())? {
            self.delete::<Locks>(&key);
            self.delete::<Locked>(&key.owner.locked());
            *fewer.entry(key.owner.session).or_default() += 1;
        }
        for (id, fewer) in fewer {
            if let Some(mut session) = self.row::<Sessions>(&id)? {
                session.locks = session.locks.saturating_sub(fewer);
                self.put::<Sessions>(&id, &session);
            }
        }
        Ok(())
    }

    fn lock_keys(&self, prefix: Vec<u8>) -> Result<Vec<LockKey>, StoreError> {
        self.rows::<Locks>(KeyRange::prefix(prefix)).map(|row| row.map(|(key, _)| key)).collect()
    }
}

/// All locks of a kind on a file, also those that count no more.
pub fn locks_on(rows: &impl Rows, lin: Lin, kind: LockKind) -> Result<Vec<(LockKey, LockRow)>, StoreError> {
    rows.rows::<Locks>(KeyRange::prefix(locks_of_file(lin, kind))).collect()
}

/// The lock that stands in the way of one that an owner wants: of several, the one that begins first.
pub fn conflict(
    all: &[(LockKey, LockRow)],
    wants: LockOwner,
    range: LockRange,
    mode: LockMode,
    counts: impl Fn(SessionId) -> Result<bool, StoreError>,
) -> Result<Option<TakenLock>, StoreError> {
    let mut first: Option<TakenLock> = None;
    for (key, row) in all {
        let taken = taken(key, row);
        let earlier = first.is_none_or(|first| taken.lock.range.start < first.lock.range.start);
        let in_the_way = key.owner != wants && !row.mode.bears(mode) && taken.lock.range.meets(range);
        if in_the_way && earlier && counts(key.owner.session)? {
            first = Some(taken);
        }
    }
    Ok(first)
}

/// Refuses a lock if its file or its session would have too many with it.
const fn expect_room(owner: LockOwner, of_file: u64, of_session: u64) -> Result<(), OperationError> {
    if of_file > LOCKS_OF_FILE_MAX {
        return Err(OperationError::TooManyLocks { lin: owner.lin, limit: LOCKS_OF_FILE_MAX });
    }
    if of_session > LOCKS_OF_SESSION_MAX {
        let (session, limit) = (owner.session, LOCKS_OF_SESSION_MAX);
        return Err(OperationError::TooManyLocksOfSession { session, limit });
    }
    Ok(())
}

/// Whether the locks of a session count: it is there, and its lease has not run out.
pub fn has_locks(rows: &impl Rows, ticks: u64, session: SessionId) -> Result<bool, StoreError> {
    Ok(rows.row::<Sessions>(&session)?.is_some_and(|session| !session.has_expired(ticks)))
}

/// A lock in the words of the protocol.
pub const fn taken(key: &LockKey, row: &LockRow) -> TakenLock {
    let LockOwner { kind, session, owner, .. } = key.owner;
    let range = LockRange { start: key.start, end: row.end };
    TakenLock { session, lock: Lock { kind, owner, range, mode: row.mode } }
}

/// What an owner has after a range got another mode, or none.
fn replaced(before: &Stretches, range: LockRange, mode: Option<LockMode>) -> Stretches {
    let mut parts = Stretches::new();
    for (&start, &LockRow { end, mode }) in before {
        if start < range.start {
            parts.insert(start, LockRow { end: end.min(range.start), mode });
        }
        if end > range.end {
            parts.insert(start.max(range.end), LockRow { end, mode });
        }
    }
    parts.extend(mode.map(|mode| (range.start, LockRow { end: range.end, mode })));
    let mut joined = Stretches::new();
    for (start, row) in parts {
        match joined.values_mut().next_back() {
            Some(last) if last.end == start && last.mode == row.mode => last.end = row.end,
            _ => drop(joined.insert(start, row)),
        }
    }
    joined
}

/// A lock of no byte is none, and one of the whole file is about all of it (`EINVAL`).
fn check_range(kind: LockKind, range: LockRange) -> Result<(), OperationError> {
    let out_of_range = |what: &str, value, limit| OperationError::OutOfRange { what: what.to_owned(), value, limit };
    match kind {
        LockKind::Whole if range != LockRange::ALL => {
            Err(out_of_range("the first byte of a lock of the whole file", range.start.max(1), 0))
        }
        _ if range.start >= range.end => {
            Err(out_of_range("the first byte of the lock", range.start, range.end.saturating_sub(1)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use runtime::Seed;
    use types::ErrorKind;

    use super::*;

    const BYTES: u64 = 12;
    const MODES: [Option<LockMode>; 3] = [None, Some(LockMode::Shared), Some(LockMode::Exclusive)];

    fn bytes(stretches: &Stretches) -> Vec<Option<LockMode>> {
        let has = |byte| stretches.iter().find(|&(&start, row)| start <= byte && byte < row.end);
        (0..BYTES).map(|byte| has(byte).map(|(_, row)| row.mode)).collect()
    }

    #[test]
    fn replacing_a_range_is_what_it_is_byte_by_byte() {
        let seed = Seed::fixed(7);
        let mut stretches = Stretches::new();
        let mut expected = vec![None; BYTES as usize];
        for _ in 0..2000 {
            let start = seed.below(BYTES);
            let range = LockRange { start, end: start + 1 + seed.below(BYTES - start) };
            let mode = MODES[seed.below(3) as usize];
            stretches = replaced(&stretches, range, mode);
            expected[range.start as usize..range.end as usize].fill(mode);
            assert_eq!(bytes(&stretches), expected, "{range:?} {mode:?}");
            let pairs = stretches.iter().zip(stretches.iter().skip(1));
            let mut apart = pairs
                .map(|((_, one), (start, other))| one.end < *start || (one.end == *start && one.mode != other.mode));
            assert!(apart.all(|apart| apart), "{stretches:?}");
        }
    }

    #[test]
    fn a_file_and_a_session_have_so_many_locks_and_no_more() {
        let owner = LockOwner { lin: Lin(2), kind: LockKind::Range, session: SessionId(3), owner: 1 };
        assert_eq!(expect_room(owner, LOCKS_OF_FILE_MAX, LOCKS_OF_SESSION_MAX), Ok(()));
        for (of_file, of_session) in [(LOCKS_OF_FILE_MAX + 1, 5000), (1, LOCKS_OF_SESSION_MAX + 1)] {
            let refused = expect_room(owner, of_file, of_session).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
        }
    }

    #[test]
    fn a_range_has_a_byte_and_that_of_a_whole_file_has_all() {
        let range = |start, end| LockRange { start, end };
        assert!(check_range(LockKind::Range, range(4, 5)).is_ok());
        assert!(check_range(LockKind::Range, range(4, 4)).is_err());
        assert!(check_range(LockKind::Range, range(5, 4)).is_err());
        assert!(check_range(LockKind::Whole, range(0, 5)).is_err());
        assert!(check_range(LockKind::Whole, LockRange::ALL).is_ok());
    }
}
