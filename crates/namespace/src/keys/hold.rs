//! The keys of what sessions hold, from both sides.

use types::{Lin, SessionId};

use super::{Key, KeyReader, numbers};

/// The key that lists who holds a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenKey {
    /// The file.
    pub lin: Lin,
    /// Who holds it.
    pub session: SessionId,
}

impl OpenKey {
    /// The same from the other side.
    pub const fn reversed(self) -> HeldKey {
        HeldKey { session: self.session, lin: self.lin }
    }
}

impl Key for OpenKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.lin.0, self.session.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { lin: Lin(reader.number()?), session: SessionId(reader.number()?) };
        reader.end(key)
    }
}

/// The key that lists what a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldKey {
    /// Who holds it.
    pub session: SessionId,
    /// The file.
    pub lin: Lin,
}

impl HeldKey {
    /// The same from the other side.
    pub const fn reversed(self) -> OpenKey {
        OpenKey { lin: self.lin, session: self.session }
    }
}

impl Key for HeldKey {
    fn encode(&self) -> Vec<u8> {
        numbers(&[self.session.0, self.lin.0])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = Self { session: SessionId(reader.number()?), lin: Lin(reader.number()?) };
        reader.end(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_comes_back_from_both_of_its_keys() {
        let open = OpenKey { lin: Lin(3), session: SessionId(u64::MAX) };
        assert_eq!(OpenKey::decode(&open.encode()), Some(open));
        assert_eq!(HeldKey::decode(&open.reversed().encode()).map(HeldKey::reversed), Some(open));
        assert_eq!(OpenKey::decode(&open.encode()[..15]), None);
    }
}
