//! Reads of locks.

use types::{Lin, Lock, LockKind, SessionId, TakenLock};

use super::View;
use crate::error::{Failure, StoreError};
use crate::history::Moment;
use crate::keys::LockOwner;
use crate::locks::{conflict, has_locks, locks_on, taken};
use crate::read::Read as _;
use crate::tables::Sessions;
use crate::tree;

/// A lock, and whose it is in words that people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLock {
    /// The lock.
    pub taken: TakenLock,
    /// The label of its session.
    pub label: String,
}

/// Locks; they are those of the head, whatever the view's moment. All calls block.
impl View {
    /// The lock that stands in the way of one that an owner of a session wants (`F_GETLK`), if one does.
    ///
    /// # Errors
    /// The file is not there, or the store failed.
    pub fn conflicting_lock(&self, lin: Lin, session: SessionId, wanted: &Lock) -> Result<Option<TakenLock>, Failure> {
        tree::inode(&*self.rows, Moment::Head, lin)?;
        let owner = LockOwner { lin, kind: wanted.kind, session, owner: wanted.owner };
        let all = locks_on(&*self.rows, lin, wanted.kind)?;
        let counts = |id| has_locks(&*self.rows, self.progress.ticks, id);
        Ok(conflict(&all, owner, wanted.range, wanted.mode, counts)?)
    }

    /// All locks on a file, those of ranges first. Those of a session that is over are none.
    ///
    /// # Errors
    /// The file is not there, or the store failed.
    pub fn locks(&self, lin: Lin) -> Result<Vec<NamedLock>, Failure> {
        tree::inode(&*self.rows, Moment::Head, lin)?;
        let mut locks = Vec::new();
        for kind in [LockKind::Range, LockKind::Whole] {
            locks.extend(self.locks_of_kind(lin, kind)?);
        }
        Ok(locks)
    }

    fn locks_of_kind(&self, lin: Lin, kind: LockKind) -> Result<Vec<NamedLock>, StoreError> {
        let mut locks = Vec::new();
        for (key, row) in locks_on(&*self.rows, lin, kind)? {
            let session = key.owner.session;
            if has_locks(&*self.rows, self.progress.ticks, session)? {
                let label = self.rows.row::<Sessions>(&session)?.map(|session| session.label);
                locks.push(NamedLock { taken: taken(&key, &row), label: label.unwrap_or_default() });
            }
        }
        locks.sort_by_key(|named| (named.taken.lock.range.start, named.taken.session));
        Ok(locks)
    }
}
