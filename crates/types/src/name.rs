//! File names: bytes, as POSIX has them, not text.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name of a directory entry, in bytes (`NAME_MAX` of Linux).
pub const NAME_LENGTH_MAX: usize = 255;
/// The longest target of a symbolic link, in bytes (`PATH_MAX` of Linux less its final zero).
pub const SYMLINK_LENGTH_MAX: usize = 4095;
/// The longest name of an extended attribute, in bytes (`XATTR_NAME_MAX` of Linux).
pub const XATTR_NAME_LENGTH_MAX: usize = 255;
/// The longest value of an extended attribute, in bytes (`XATTR_SIZE_MAX` of Linux).
pub const XATTR_VALUE_LENGTH_MAX: usize = 65_536;
/// The most extended attributes of one inode: they are read together, and lie in one row of a backup.
pub const XATTRS_MAX: usize = 1024;

/// The name of a directory entry: 1 to 255 bytes, without `/` and zero bytes, and neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Bytes", into = "Bytes")]
pub struct Name(Bytes);

/// Why some bytes are not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum NameError {
    /// The name is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The name is longer than [`NAME_LENGTH_MAX`].
    #[error("a name has at most {NAME_LENGTH_MAX} bytes; this one has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The name has a byte that no name has, or is `.` or `..`.
    #[error("{name:?} is not a name: it is `.`, `..` or contains `/` or a zero byte")]
    Reserved {
        /// The bytes, printable ones as they are.
        name: String,
    },
}

impl Name {
    /// Takes bytes as a name.
    ///
    /// # Errors
    /// [`NameError`] tells what is wrong with them.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes.len() > NAME_LENGTH_MAX {
            return Err(NameError::TooLong { length: bytes.len() });
        }
        let reserved = matches!(&bytes[..], b"." | b"..");
        if reserved || bytes.iter().any(|&byte| byte == b'/' || byte == 0) {
            return Err(NameError::Reserved { name: bytes.escape_ascii().to_string() });
        }
        Ok(Self(bytes))
    }

    /// The bytes of the name.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the name, shared.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl TryFrom<Bytes> for Name {
    type Error = NameError;

    fn try_from(bytes: Bytes) -> Result<Self, NameError> {
        Self::new(bytes)
    }
}

impl From<Name> for Bytes {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_bytes_but_the_reserved_ones() {
        assert!(Name::new(&b"\xff\xfe caf\xc3\xa9"[..]).is_ok());
        assert!(Name::new(vec![b'a'; NAME_LENGTH_MAX]).is_ok());
        assert_eq!(Name::new(vec![b'a'; 256]), Err(NameError::TooLong { length: 256 }));
        assert_eq!(Name::new(""), Err(NameError::Empty));
        for reserved in [&b"."[..], b"..", b"a/b", b"a\0b"] {
            assert!(matches!(Name::new(reserved), Err(NameError::Reserved { .. })), "{reserved:?}");
        }
    }
}
