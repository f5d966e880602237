//! The key of a pin.

use types::{SessionId, SnapshotId};

use super::{Key, KeyReader, numbers};

/// The key of a session's pin of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinKey {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Who pins it.
    pub session: SessionId,
}

impl Key for PinKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.snapshot.0, self.session.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { snapshot: SnapshotId(reader.number()?), session: SessionId(reader.number()?) };
        reader.end(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_comes_back_from_its_key() {
        let key = PinKey { snapshot: SnapshotId(3), session: SessionId(u64::MAX) };
        assert_eq!(PinKey::decode(&key.encode()), Some(key));
        assert_eq!(PinKey::decode(&key.encode()[1..]), None);
    }
}
