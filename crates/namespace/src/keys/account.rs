//! The key of an account.

use types::{Account, Lin};

use super::{Key, KeyReader};

/// A letter, and the LIN of a directory or the number of a user.
impl Key for Account {
    fn encode(&self) -> Vec<u8> {
        let (letter, number) = match self {
            Self::Directory(lin) => (b'd', lin.0),
            Self::User(uid) => (b'u', u64::from(*uid)),
        };
        let mut key = vec![letter];
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = KeyReader(bytes);
        let key = match (reader.bytes()?, reader.number()?) {
            ([b'd'], lin) => Self::Directory(Lin(lin)),
            ([b'u'], uid) => Self::User(u32::try_from(uid).ok()?),
            _ => return None,
        };
        reader.end(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_comes_back_from_its_key_and_a_user_has_no_larger_number() {
        for account in [Account::Directory(Lin(u64::MAX)), Account::User(u32::MAX)] {
            assert_eq!(Account::decode(&account.encode()), Some(account));
        }
        assert_eq!(Account::decode(&[b'u', 0, 0, 0, 1, 0, 0, 0, 0]), None);
        assert_eq!(Account::decode(&[b'x', 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
