//! Locks: they bear one another, and their sessions know of them.

use types::TakenLock;

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::history::{Moment, version};
use crate::keys::{Key as _, KeyRange, LockKey};
use crate::locks::{LOCKS_OF_SESSION_MAX, has_locks, taken};
use crate::meta;
use crate::read::Read as _;
use crate::tables::{Inodes, Locked, Locks, Sessions};

impl<R: Rows> Checker<'_, R> {
    /// Every lock is of a file that is there, on the list of its session, and bears all others that count.
    pub(super) fn locks(&mut self) -> Result<(), StoreError> {
        let ticks = meta::progress(self.rows)?.ticks;
        // The locks of one kind on one file, which are beside each other and not many.
        let mut together: Vec<(LockKey, TakenLock)> = Vec::new();
        for row in self.rows.rows::<Locks>(KeyRange::all()) {
            let (key, row) = row?;
            let (bytes, owner, lock) = (key.encode(), key.owner, taken(&key, &row));
            let there = version::<Inodes>(self.rows, Moment::Head, &owner.lin)?.is_some();
            self.expect(there, Family::Lock, &bytes, "its inode is not there");
            let listed = self.rows.row::<Locked>(&owner.locked())?.is_some();
            self.expect(listed, Family::Lock, &bytes, "its session does not know of it");
            self.expect(key.start < row.end, Family::Lock, &bytes, "it has no byte");
            together.retain(|(other, _)| (other.owner.lin, other.owner.kind) == (owner.lin, owner.kind));
            if has_locks(self.rows, ticks, owner.session)? {
                let bears = together.iter().all(|other| bear(other, &(key, lock)));
                self.expect(bears, Family::Lock, &bytes, "another lock excludes it");
                together.push((key, lock));
            }
        }
        self.locked()
    }

    /// What the list of a session names is there, and each session has counted its locks.
    fn locked(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Locked>(KeyRange::all()) {
            let (key, _) = row?;
            let any = self.rows.rows::<Locks>(KeyRange::prefix(key.locks())).next().is_some();
            self.expect(any, Family::Locked, &key.encode(), "it has no lock there");
        }
        for row in self.rows.rows::<Sessions>(KeyRange::all()) {
            let (id, session) = row?;
            let mut locks = 0;
            for row in self.rows.rows::<Locked>(KeyRange::prefix(id.encode())) {
                locks += self.rows.rows::<Locks>(KeyRange::prefix(row?.0.locks())).count() as u64;
            }
            let counted = locks == session.locks && locks <= LOCKS_OF_SESSION_MAX;
            self.expect(counted, Family::Session, &id.encode(), format!("it has {locks} locks"));
        }
        Ok(())
    }
}

/// Whether two locks may be there together: those of one owner are apart, and neighbours of one mode are one; those of
/// two owners are both shared where they meet.
fn bear((key, one): &(LockKey, TakenLock), (other_key, other): &(LockKey, TakenLock)) -> bool {
    let (range, other_range) = (one.lock.range, other.lock.range);
    if key.owner == other_key.owner {
        let joined = range.end == other_range.start && one.lock.mode == other.lock.mode;
        return range.end <= other_range.start && !joined;
    }
    !range.meets(other_range) || one.lock.mode.bears(other.lock.mode)
}
