//! Files that sessions hold: one that loses its last name stays while a session holds it.
//!
//! A session holds a file or it does not; how many handles its client has given out is the client's to count. What has
//! neither a name nor a session that holds it is removed as every file is: at once, and of a large one the rest in steps.
//! A session that has ended holds nothing for long: its end takes so much from it at once, and is said again by the leader
//! until nothing is left. Till then a file without a name is kept that could go.

use types::{FileKind, Lin, OperationError, Outcome, SessionId};

use crate::database::Rows;
use crate::error::{Failure, StoreError};
use crate::keys::{Key as _, KeyRange, OpenKey};
use crate::read::Read as _;
use crate::rows::{Present, SessionRow};
use crate::tables::{Held, Opens, Sessions};
use crate::transaction::Transaction;

/// Files that one session may hold: a bound on what its end leaves to do.
pub const HOLDS_MAX: u64 = 65_536;
/// Files that one operation takes from a session that has ended.
const RELEASED_AT_ONCE_MAX: usize = 1024;
/// Files that are removed by that because nothing else keeps them; each may drop 1024 extents.
const REMOVED_AT_ONCE_MAX: usize = 16;

/// What became of a file that a session holds no longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Released {
    /// It has a name, or another session holds it.
    Kept,
    /// Nothing kept it.
    Removed,
}

/// Whether a session holds a file.
pub fn is_held(rows: &impl Rows, lin: Lin) -> Result<bool, StoreError> {
    Ok(rows.rows::<Opens>(KeyRange::prefix(lin.encode())).next().transpose()?.is_some())
}

impl Transaction<'_> {
    /// Lets the calling session hold a file. One that it holds already stays held.
    pub fn hold(&mut self, lin: Lin) -> Result<Outcome, Failure> {
        let id = self.calling_session()?;
        let inode = self.inode(lin)?;
        if inode.row.kind == FileKind::Directory {
            return Err(OperationError::IsDirectory { lin }.into());
        }
        let open = OpenKey { lin, session: id };
        if self.row::<Opens>(&open)?.is_none() {
            let mut session = self.session(id)?;
            session.count_hold(id)?;
            self.put::<Sessions>(&id, &session);
            self.put::<Opens>(&open, &Present);
            self.put::<Held>(&open.reversed(), &Present);
        }
        Ok(Outcome::Inode(inode.attributes()))
    }

    /// Lets the calling session hold a file no longer.
    pub fn release(&mut self, lin: Lin) -> Result<Outcome, Failure> {
        let id = self.calling_session()?;
        let open = OpenKey { lin, session: id };
        if self.row::<Opens>(&open)?.is_some() {
            let mut session = self.session(id)?;
            session.holds = session.holds.saturating_sub(1);
            self.put::<Sessions>(&id, &session);
            self.let_go(open)?;
        }
        Ok(Outcome::Done)
    }

    /// Takes some of what it holds from a session that has ended.
    pub fn release_some(&mut self, session: SessionId) -> Result<(), Failure> {
        let held = self.rows::<Held>(KeyRange::prefix(session.encode())).take(RELEASED_AT_ONCE_MAX);
        let held: Vec<_> = held.map(|row| row.map(|(key, _)| key)).collect::<Result<_, _>>()?;
        let mut removed = 0;
        for key in held {
            removed += usize::from(self.let_go(key.reversed())? == Released::Removed);
            if removed == REMOVED_AT_ONCE_MAX {
                break;
            }
        }
        Ok(())
    }

    /// Takes a file from a session, and removes it if nothing else kept it.
    fn let_go(&mut self, open: OpenKey) -> Result<Released, Failure> {
        self.delete::<Opens>(&open);
        self.delete::<Held>(&open.reversed());
        let inode = self.inode(open.lin)?;
        if inode.row.nlink > 0 || is_held(self, open.lin)? {
            return Ok(Released::Kept);
        }
        self.delete_inode(&inode)?;
        Ok(Released::Removed)
    }

    /// The session in whose name the operation is carried out.
    pub fn calling_session(&self) -> Result<SessionId, OperationError> {
        self.caller.ok_or(OperationError::NoSession { session: SessionId(0) })
    }
}

impl SessionRow {
    /// Counts one file more, unless it is one too many.
    const fn count_hold(&mut self, session: SessionId) -> Result<(), OperationError> {
        if self.holds >= HOLDS_MAX {
            return Err(OperationError::TooManyHolds { session, limit: HOLDS_MAX });
        }
        self.holds += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use types::ErrorKind;

    use super::*;
    use crate::session::tests::session;

    #[test]
    fn a_session_holds_so_many_files_and_no_more() {
        let mut row = SessionRow { holds: HOLDS_MAX - 1, ..session() };
        row.count_hold(SessionId(7)).unwrap();
        let refused = row.count_hold(SessionId(7)).unwrap_err();
        assert_eq!((refused.kind(), row.holds), (ErrorKind::Conflict, HOLDS_MAX), "{refused}");
    }
}
