use types::{Lock, LockKind, LockMode, LockRange, SessionId, TakenLock};

use super::enumeration::Numbered;
use crate::invalid::required;
use crate::{InvalidMessage, v1};

impl From<LockRange> for v1::LockRange {
    fn from(range: LockRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<v1::LockRange> for LockRange {
    fn from(range: v1::LockRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<Lock> for v1::Lock {
    fn from(lock: Lock) -> Self {
        Self { kind: lock.kind.number(), owner: lock.owner, range: Some(lock.range.into()), mode: lock.mode.number() }
    }
}

impl TryFrom<v1::Lock> for Lock {
    type Error = InvalidMessage;

    fn try_from(lock: v1::Lock) -> Result<Self, InvalidMessage> {
        Ok(Self {
            kind: LockKind::from_number("lock.kind", lock.kind)?,
            owner: lock.owner,
            range: required("lock.range", lock.range)?.into(),
            mode: LockMode::from_number("lock.mode", lock.mode)?,
        })
    }
}

impl From<TakenLock> for v1::TakenLock {
    fn from(taken: TakenLock) -> Self {
        Self { session: taken.session.0, lock: Some(taken.lock.into()), label: String::new() }
    }
}

impl TryFrom<v1::TakenLock> for TakenLock {
    type Error = InvalidMessage;

    fn try_from(taken: v1::TakenLock) -> Result<Self, InvalidMessage> {
        Ok(Self { session: SessionId(taken.session), lock: required("taken.lock", taken.lock)?.try_into()? })
    }
}
