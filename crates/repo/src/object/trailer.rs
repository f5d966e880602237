//! The check trailer: what anyone may know of an object, and enough to check its bytes without a key (rule P30).
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 × n | CRC-32 of each stripe of 1 MiB of what is before the trailer |
//! | 80 | wrapped key |
//! | 16 | salt |
//! | 16 | repository id |
//! | 8 | length of the whole object |
//! | 8 | offset of the footer's pages |
//! | 8 | offset of the footer's directory |
//! | 4 | length of the directory |
//! | 4 | n |
//! | 4 | CRC-32 of the trailer so far |
//! | 1 | version |
//! | 7 | magic `HFtrail` |

use types::RepositoryId;
use uuid::Uuid;

use super::OBJECT_VERSION;
use super::parts::Parts;
use crate::RepoError;
use crate::keys::WrappedKey;

/// Bytes under one CRC-32, whatever the borders of blocks.
pub const STRIPE_LENGTH: usize = 1 << 20;

const MAGIC: &[u8; 7] = b"HFtrail";
/// What comes after the trailer's own CRC.
const END_LENGTH: usize = 1 + MAGIC.len();
/// The trailer without its stripes.
const FIXED_LENGTH: usize = WrappedKey::LENGTH + 16 + 16 + 8 + 8 + 8 + 4 + 4 + 4 + END_LENGTH;

/// The clear trailer of an upload object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The object's key, wrapped.
    pub wrapped_key: WrappedKey,
    /// The salt of the object's keys.
    pub salt: [u8; 16],
    /// The repository.
    pub repository: RepositoryId,
    /// The length of the whole object, in bytes.
    pub length: u64,
    /// Where the footer's pages begin.
    pub footer_offset: u64,
    /// Where the footer's directory begins.
    pub directory_offset: u64,
    /// The length of the directory.
    pub directory_length: u32,
    /// CRC-32 of each stripe, up to the trailer.
    pub stripes: Vec<u32>,
}

impl Trailer {
    /// The length of the trailer of an object of that size: the stripes cover what is before the trailer, and each adds
    /// four bytes to it.
    pub(super) fn length_for(object_size: u64) -> u64 {
        let fixed = FIXED_LENGTH as u64;
        fixed + 4 * object_size.saturating_sub(fixed).div_ceil(STRIPE_LENGTH as u64 + 4)
    }

    /// The length of the trailer after that many bytes.
    pub(super) const fn length_after(body: usize) -> usize {
        FIXED_LENGTH + 4 * body.div_ceil(STRIPE_LENGTH)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.stripes.iter().flat_map(|crc| crc.to_be_bytes()).collect();
        bytes.extend_from_slice(self.wrapped_key.as_bytes());
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(self.repository.0.as_bytes());
        bytes.extend_from_slice(&self.length.to_be_bytes());
        bytes.extend_from_slice(&self.footer_offset.to_be_bytes());
        bytes.extend_from_slice(&self.directory_offset.to_be_bytes());
        bytes.extend_from_slice(&self.directory_length.to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(self.stripes.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.push(OBJECT_VERSION);
        bytes.extend_from_slice(MAGIC);
        bytes
    }

    /// Takes the last bytes of an object of that size as its trailer.
    pub(super) fn parse(name: &str, object_size: u64, tail: &[u8]) -> Result<Self, RepoError> {
        let damaged = |what| RepoError::damaged(name, what);
        let (checked, end) = tail.split_last_chunk::<END_LENGTH>().ok_or_else(|| damaged("its trailer is cut"))?;
        let [version, magic @ ..] = end;
        if magic != MAGIC {
            return Err(damaged("it does not end in a trailer"));
        }
        if *version != OBJECT_VERSION {
            let (found, supported) = (u32::from(*version), u32::from(OBJECT_VERSION));
            return Err(RepoError::Version { name: name.to_owned(), found, supported });
        }
        let (checked, crc) = checked.split_last_chunk().ok_or_else(|| damaged("its trailer is cut"))?;
        if crc32fast::hash(checked) != u32::from_be_bytes(*crc) {
            return Err(damaged("its trailer has a wrong CRC"));
        }
        let trailer = Self::parse_checked(checked).ok_or_else(|| damaged("its trailer is malformed"))?;
        if trailer.fits(object_size) { Ok(trailer) } else { Err(damaged("its trailer does not fit its length")) }
    }

    fn parse_checked(checked: &[u8]) -> Option<Self> {
        let stripes_length = checked.len().checked_sub(FIXED_LENGTH - END_LENGTH - 4)?;
        let (stripes, fixed) = checked.split_at_checked(stripes_length)?;
        let (stripes, rest) = stripes.as_chunks::<4>();
        let mut parts = Parts(fixed);
        let trailer = Self {
            wrapped_key: WrappedKey::from_bytes(parts.array::<{ WrappedKey::LENGTH }>()?)?,
            salt: *parts.array()?,
            repository: RepositoryId(Uuid::from_bytes(*parts.array()?)),
            length: parts.u64()?,
            footer_offset: parts.u64()?,
            directory_offset: parts.u64()?,
            directory_length: parts.u32()?,
            stripes: stripes.iter().map(|crc| u32::from_be_bytes(*crc)).collect(),
        };
        (rest.is_empty() && usize::try_from(parts.u32()?) == Ok(trailer.stripes.len())).then_some(trailer)
    }

    fn fits(&self, object_size: u64) -> bool {
        let body = self.body_length();
        self.length == object_size
            && self.stripes.len() as u64 == body.div_ceil(STRIPE_LENGTH as u64)
            && self.footer_offset <= self.directory_offset
            && self.directory_offset.checked_add(u64::from(self.directory_length)) == Some(body)
    }

    /// The length of what is before the trailer.
    #[must_use]
    pub fn body_length(&self) -> u64 {
        self.length.saturating_sub(FIXED_LENGTH as u64 + 4 * self.stripes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_trailer_follows_from_the_size_of_its_object() {
        for body in [0, 1, 100, STRIPE_LENGTH - 1, STRIPE_LENGTH, STRIPE_LENGTH + 1, 64 * STRIPE_LENGTH, 64_123_457] {
            let trailer = Trailer::length_after(body);
            assert_eq!(Trailer::length_for((body + trailer) as u64), trailer as u64, "{body}");
        }
    }
}
