//! Advisory locks on files.

use types::{Change, Lin, Lock, LockKind, LockRange, TakenLock};
use wire::{Connection, InvalidMessage, v1};

use crate::{Client, ClientError, Session};

/// A lock, and whose it is in words that people know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedLock {
    /// The lock.
    pub taken: TakenLock,
    /// The label of its session.
    pub label: String,
}

impl Session {
    /// Takes a lock, in the place of what its owner has there. It is there until it is given up or the session is over,
    /// whoever leads the cluster. Nobody waits here.
    ///
    /// POSIX lets a process lose its locks of ranges on a file when it closes any descriptor of that file: whoever knows
    /// processes gives up [`LockRange::ALL`] then.
    ///
    /// # Errors
    /// `Conflict`: with the code `locked` when another lock is in the way (which one, [`Session::lock_in_the_way`] tells),
    /// or when there are too many.
    pub async fn lock(&self, lin: Lin, lock: Lock) -> Result<(), ClientError> {
        self.execute_one("lock the file", Change::Lock { lin, lock }).await.map(drop)
    }

    /// Gives up what an owner has locked of a range.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn unlock(&self, lin: Lin, kind: LockKind, owner: u64, range: LockRange) -> Result<(), ClientError> {
        self.execute_one("unlock the file", Change::Unlock { lin, kind, owner, range }).await.map(drop)
    }

    /// The lock that is in the way of one that an owner of this session wants, if one is (`F_GETLK`).
    ///
    /// # Errors
    /// `NotFound` when the file is not there.
    pub async fn lock_in_the_way(&self, lin: Lin, wanted: Lock) -> Result<Option<TakenLock>, ClientError> {
        let action = "look for locks";
        let request = v1::TestLockRequest { lin: lin.0, session: self.id().0, lock: Some(wanted.into()) };
        let send = |to: Connection| async move { to.namespace().test_lock(request).await };
        let taken = self.client().router().call(action, send).await?.taken;
        let taken: Result<_, InvalidMessage> = taken.map(TakenLock::try_from).transpose();
        taken.map_err(|source| ClientError::BadAnswer { action, source })
    }
}

impl Client {
    /// The locks on a file or a directory: those of ranges by their first bytes, then those of the whole file.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub async fn locks(&self, lin: Lin) -> Result<Vec<NamedLock>, ClientError> {
        let action = "list the locks";
        let request = v1::ListLocksRequest { lin: lin.0 };
        let send = |to: Connection| async move { to.namespace().list_locks(request).await };
        let locks = self.router().call(action, send).await?.locks.into_iter().map(named);
        let locks: Result<_, InvalidMessage> = locks.collect();
        locks.map_err(|source| ClientError::BadAnswer { action, source })
    }
}

fn named(mut lock: v1::TakenLock) -> Result<NamedLock, InvalidMessage> {
    let label = std::mem::take(&mut lock.label);
    Ok(NamedLock { taken: lock.try_into()?, label })
}
