//! Small objects that are sealed as a whole under the metadata key: commits and states.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version |
//! | 7 | magic |
//! | 16 | repository id |
//! | 16 | salt |
//! | 4 | plain length |
//! | … | zstd frame, sealed with AES-256-GCM under HKDF(metadata key, salt, purpose, name) |
//!
//! The key is used once, so the nonce is zero; everything before the sealed text is authenticated with it.

use bytes::Bytes;
use runtime::Seed;
use types::RepositoryId;
use uuid::Uuid;

use crate::RepoError;
use crate::keys::{Sealer, WriterKeys, derive};

const HEAD_LENGTH: usize = 1 + 7 + 16 + 16 + 4;
const NONCE: [u8; 12] = [0; 12];
/// The most plain bytes: a commit names at most some ten thousand runs.
const LENGTH_MAX: usize = 64 << 20;

/// What kind of object it is.
pub(crate) struct Kind {
    pub(crate) magic: &'static [u8; 7],
    pub(crate) version: u8,
    pub(crate) purpose: &'static str,
}

impl Kind {
    /// Seals a text as the object of that name.
    pub(crate) fn seal(
        &self,
        name: &str,
        repository: RepositoryId,
        keys: &WriterKeys,
        seed: &Seed,
        plain: &[u8],
    ) -> Result<Bytes, RepoError> {
        let length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= LENGTH_MAX);
        let length = length.ok_or_else(|| RepoError::Limit { name: name.to_owned(), limit: "64 MiB" })?;
        let salt: [u8; 16] = seed.bytes();
        let mut head = vec![self.version];
        head.extend_from_slice(self.magic);
        head.extend_from_slice(repository.0.as_bytes());
        head.extend_from_slice(&salt);
        head.extend_from_slice(&length.to_be_bytes());
        let mut text = zstd::bulk::compress(plain, 3).expect("zstd compresses whatever fits in memory");
        Sealer::new(&derive(&keys.metadata, &salt, self.purpose, name)).seal(NONCE, &head, &mut text);
        head.extend_from_slice(&text);
        Ok(head.into())
    }

    /// Opens the object of that name.
    pub(crate) fn open(
        &self,
        name: &str,
        repository: RepositoryId,
        keys: &WriterKeys,
        bytes: &[u8],
    ) -> Result<Vec<u8>, RepoError> {
        let damaged = |what| RepoError::damaged(name, what);
        let (head, text) = bytes.split_first_chunk::<HEAD_LENGTH>().ok_or_else(|| damaged("it is cut"))?;
        let [version, rest @ ..] = head;
        let (magic, rest) = rest.split_first_chunk::<7>().ok_or_else(|| damaged("it is cut"))?;
        if magic != self.magic {
            return Err(damaged("it does not begin as its kind does"));
        }
        if *version != self.version {
            let (found, supported) = (u32::from(*version), u32::from(self.version));
            return Err(RepoError::Version { name: name.to_owned(), found, supported });
        }
        let (found, salt, length) = parse_head(rest).ok_or_else(|| damaged("it is cut"))?;
        if found != repository {
            return Err(RepoError::Foreign { name: name.to_owned(), found, expected: repository });
        }
        let mut text = text.to_vec();
        let opened = Sealer::new(&derive(&keys.metadata, &salt, self.purpose, name)).open(NONCE, head, &mut text);
        opened.map_err(|_| damaged("it does not open: it was changed, or the metadata key is another one"))?;
        let plain = zstd::bulk::decompress(&text, length.min(LENGTH_MAX));
        let plain = plain.map_err(|_| damaged("it does not decompress"))?;
        if plain.len() == length { Ok(plain) } else { Err(damaged("it has a wrong length")) }
    }
}

fn parse_head(rest: &[u8]) -> Option<(RepositoryId, [u8; 16], usize)> {
    let (repository, rest) = rest.split_first_chunk()?;
    let (salt, rest) = rest.split_first_chunk()?;
    let length = u32::from_be_bytes(*rest.first_chunk()?);
    Some((RepositoryId(Uuid::from_bytes(*repository)), *salt, usize::try_from(length).ok()?))
}
