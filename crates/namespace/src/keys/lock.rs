//! The keys of locks.

use types::{Lin, LockKind, SessionId};

use super::{Key, KeyReader};

/// Whose locks, and where: all of them are beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockOwner {
    /// The file.
    pub lin: Lin,
    /// The kind of the locks.
    pub kind: LockKind,
    /// Whose session's they are.
    pub session: SessionId,
    /// Whose they are in the session.
    pub owner: u64,
}

impl LockOwner {
    /// What the keys of its locks begin with.
    pub fn prefix(self) -> Vec<u8> {
        let mut key = self.locked().locks();
        key.extend_from_slice(&self.owner.to_be_bytes());
        key
    }

    /// Where the session has these locks.
    pub const fn locked(self) -> LockedKey {
        LockedKey { session: self.session, lin: self.lin, kind: self.kind }
    }
}

/// The key of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockKey {
    /// Whose it is.
    pub owner: LockOwner,
    /// Its first byte.
    pub start: u64,
}

/// What the keys of all locks of a kind on a file begin with.
pub fn locks_of_file(lin: Lin, kind: LockKind) -> Vec<u8> {
    let mut key = lin.encode();
    key.push(letter(kind));
    key
}

const fn letter(kind: LockKind) -> u8 {
    match kind {
        LockKind::Range => b'r',
        LockKind::Whole => b'w',
    }
}

fn kind(reader: &mut KeyReader<'_>) -> Option<LockKind> {
    match reader.bytes()? {
        [b'r'] => Some(LockKind::Range),
        [b'w'] => Some(LockKind::Whole),
        _ => None,
    }
}

impl Key for LockKey {
    fn encode(&self) -> Vec<u8> {
        let mut key = self.owner.prefix();
        key.extend_from_slice(&self.start.to_be_bytes());
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let (lin, kind) = (Lin(reader.number()?), kind(&mut reader)?);
        let owner = LockOwner { lin, kind, session: SessionId(reader.number()?), owner: reader.number()? };
        let key = Self { owner, start: reader.number()? };
        reader.end(key)
    }
}

/// The key that lists where a session has locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedKey {
    /// The session.
    pub session: SessionId,
    /// The file.
    pub lin: Lin,
    /// The kind of the locks.
    pub kind: LockKind,
}

impl LockedKey {
    /// What the keys of those locks begin with.
    pub fn locks(self) -> Vec<u8> {
        let mut key = locks_of_file(self.lin, self.kind);
        key.extend_from_slice(&self.session.0.to_be_bytes());
        key
    }
}

impl Key for LockedKey {
    fn encode(&self) -> Vec<u8> {
        let mut key = self.session.encode();
        key.extend_from_slice(&locks_of_file(self.lin, self.kind));
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let (session, lin) = (SessionId(reader.number()?), Lin(reader.number()?));
        let key = Self { session, lin, kind: kind(&mut reader)? };
        reader.end(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_comes_back_from_its_keys_and_has_a_kind() {
        for kind in [LockKind::Range, LockKind::Whole] {
            let owner = LockOwner { lin: Lin(3), kind, session: SessionId(4), owner: 5 };
            let key = LockKey { owner, start: u64::MAX };
            assert_eq!(LockKey::decode(&key.encode()), Some(key));
            assert_eq!(LockedKey::decode(&owner.locked().encode()), Some(owner.locked()));
        }
        assert_eq!(LockedKey::decode(&[b'x'; 17]), None);
    }
}
