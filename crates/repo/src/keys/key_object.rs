//! Objects of the series `keys/`: who can open the repository.
//!
//! JSON, so that a person who has only the bucket sees what it is. What it says is authenticated by a MAC under a key
//! that is derived from the private key: whoever opens it, by passphrase or by the private key, knows that the metadata
//! key in it was put there by somebody who held the private key, and not by somebody who can only write to the bucket.

use bytes::Bytes;
use runtime::Seed;
use serde::{Deserialize, Serialize};
use types::RepositoryId;
use zeroize::Zeroizing;

use super::aead::NONCE_LENGTH;
use super::hpke::{open_with, public_of, seal_to};
use super::{PassphraseCost, PrivateKey, ReaderKeys, Sealer, Secret, WriterKeys};
use crate::RepoError;
use crate::hex::Hex;

/// The version of key objects.
pub(crate) const VERSION: u32 = 1;
/// The least length of a passphrase, in characters: short enough to be typed, long enough that Argon2id protects it.
pub const PASSPHRASE_LENGTH_MIN: usize = 8;

const WRITER_KEYS: &str = "holdfast repository metadata and digest keys v1";
const PRIVATE_KEY: &str = "holdfast repository private key v1";
const MAC: &str = "holdfast repository key object mac v1";

/// A key object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyObject {
    format_version: u32,
    repository: RepositoryId,
    data_public_key: Hex<32>,
    passphrase: WrappedByPassphrase,
    /// Metadata key and digest key, sealed to the public data key.
    writer_keys: Hex<112>,
    mac: Hex<32>,
}

/// The private key under a passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrappedByPassphrase {
    argon2id: PassphraseCost,
    salt: Hex<16>,
    nonce: Hex<NONCE_LENGTH>,
    private_key: Hex<48>,
}

/// The keys of a new repository, and the object that keeps them.
#[derive(Clone, Debug)]
pub struct NewKeys {
    /// All keys.
    pub keys: ReaderKeys,
    /// What goes to `keys/`.
    pub object: KeyObject,
}

impl KeyObject {
    /// Makes the keys of a new repository. Without the passphrase and the recovery kit nobody reads it again.
    ///
    /// # Errors
    /// [`RepoError::ShortPassphrase`], or [`RepoError::Limit`] if the cost is out of bounds.
    pub fn create(
        repository: RepositoryId,
        passphrase: &str,
        cost: PassphraseCost,
        seed: &Seed,
    ) -> Result<NewKeys, RepoError> {
        if passphrase.chars().count() < PASSPHRASE_LENGTH_MIN {
            return Err(RepoError::ShortPassphrase { least: PASSPHRASE_LENGTH_MIN });
        }
        let private = PrivateKey::new(Secret::random(seed));
        let writer = WriterKeys {
            data_public: public_of(&private),
            metadata: Secret::random(seed),
            digest: Secret::random(seed),
        };
        let limit = || RepoError::Limit { name: "the passphrase".into(), limit: "4 GiB, 64 passes, 64 lanes" };
        let passphrase = WrappedByPassphrase::wrap(&private, repository, passphrase, cost, seed).ok_or_else(limit)?;
        let plain = Zeroizing::new([*writer.metadata.expose(), *writer.digest.expose()].concat());
        let context = context(repository, &writer.data_public);
        let sealed = seal_to(&writer.data_public, WRITER_KEYS, &context, &plain, seed);
        let sealed = sealed.ok().and_then(|sealed| Hex::from_slice(&sealed));
        let mut object = Self {
            format_version: VERSION,
            repository,
            data_public_key: Hex(writer.data_public),
            passphrase,
            writer_keys: sealed.expect("64 bytes are sealed to 112 under a public key that was just made"),
            mac: Hex([0; 32]),
        };
        object.mac = Hex(object.authenticate(&private));
        Ok(NewKeys { keys: ReaderKeys { writer, private }, object })
    }

    /// The public half of the data key. It is not authenticated until the object is opened.
    #[must_use]
    pub const fn data_public_key(&self) -> &[u8; 32] {
        &self.data_public_key.0
    }

    /// Opens the object with the passphrase. It takes the time and the memory that Argon2id was told to take.
    ///
    /// # Errors
    /// [`RepoError::WrongPassphrase`], or [`RepoError::Damaged`].
    pub fn open_with_passphrase(&self, name: &str, passphrase: &str) -> Result<ReaderKeys, RepoError> {
        let wrapped = &self.passphrase;
        let key = wrapped.argon2id.derive(passphrase, &wrapped.salt.0);
        let key = key.ok_or_else(|| RepoError::damaged(name, "its passphrase cost is out of bounds"))?;
        let mut private = Zeroizing::new(wrapped.private_key.0.to_vec());
        let context = context(self.repository, &self.data_public_key.0);
        let opened = Sealer::new(&key).open(wrapped.nonce.0, &context, &mut private);
        let private: Option<[u8; 32]> = opened.ok().and_then(|()| private.as_slice().try_into().ok());
        let private = private.ok_or_else(|| RepoError::WrongPassphrase { name: name.to_owned() })?;
        self.open(name, &PrivateKey::new(Secret::new(private)))
    }

    /// Opens the object with the private key.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], or [`RepoError::Damaged`].
    pub fn open(&self, name: &str, private: &PrivateKey) -> Result<ReaderKeys, RepoError> {
        if public_of(private) != self.data_public_key.0 {
            return Err(RepoError::WrongKey { name: name.to_owned() });
        }
        if self.authenticate(private) != self.mac.0 {
            return Err(RepoError::damaged(name, "its MAC is wrong: it was changed by somebody without the key"));
        }
        let context = context(self.repository, &self.data_public_key.0);
        let plain = open_with(private, WRITER_KEYS, &context, &self.writer_keys.0).ok();
        let halves = plain.as_ref().and_then(|plain| plain.split_first_chunk::<32>());
        let halves = halves.and_then(|(metadata, digest)| Some((*metadata, <[u8; 32]>::try_from(digest).ok()?)));
        let (metadata, digest) = halves.ok_or_else(|| RepoError::damaged(name, "its keys do not open"))?;
        let writer = WriterKeys {
            data_public: self.data_public_key.0,
            metadata: Secret::new(metadata),
            digest: Secret::new(digest),
        };
        Ok(ReaderKeys { writer, private: private.clone() })
    }

    /// The bytes that go to the site.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec_pretty(self).expect("plain values of ours become JSON").into()
    }

    /// The inverse of [`KeyObject::encode`].
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Version`] or [`RepoError::Foreign`].
    pub fn decode(name: &str, bytes: &[u8], repository: RepositoryId) -> Result<Self, RepoError> {
        crate::json::version(name, bytes, VERSION)?;
        let object: Self =
            serde_json::from_slice(bytes).map_err(|_| RepoError::damaged(name, "it is not a key object"))?;
        let found = object.repository;
        if found == repository {
            Ok(object)
        } else {
            Err(RepoError::Foreign { name: name.to_owned(), found, expected: repository })
        }
    }

    /// The MAC over every field but itself.
    fn authenticate(&self, private: &PrivateKey) -> [u8; 32] {
        let key = blake3::derive_key(MAC, private.expose());
        let text = serde_json::to_vec(&Self { mac: Hex([0; 32]), ..self.clone() });
        *blake3::keyed_hash(&key, &text.expect("plain values of ours become JSON")).as_bytes()
    }
}

impl WrappedByPassphrase {
    fn wrap(
        private: &PrivateKey,
        repository: RepositoryId,
        passphrase: &str,
        cost: PassphraseCost,
        seed: &Seed,
    ) -> Option<Self> {
        let (salt, nonce) = (seed.bytes(), seed.bytes());
        let key = cost.derive(passphrase, &salt)?;
        let mut sealed = private.expose().to_vec();
        Sealer::new(&key).seal(nonce, &context(repository, &public_of(private)), &mut sealed);
        let private_key = Hex::from_slice(&sealed).expect("32 bytes are sealed to 48");
        Some(Self { argon2id: cost, salt: Hex(salt), nonce: Hex(nonce), private_key })
    }
}

/// What keys are bound to: this repository and its public key.
fn context(repository: RepositoryId, public: &[u8; 32]) -> Vec<u8> {
    [PRIVATE_KEY.as_bytes(), repository.0.as_bytes(), public].concat()
}

#[cfg(test)]
mod tests {
    use types::ErrorKind;
    use uuid::Uuid;

    use super::*;

    const REPOSITORY: RepositoryId = RepositoryId(Uuid::from_u128(7));

    fn new_keys() -> NewKeys {
        KeyObject::create(REPOSITORY, "correct horse", PassphraseCost::LEAST, &Seed::fixed(1)).unwrap()
    }

    #[test]
    fn the_passphrase_alone_and_the_private_key_alone_open_everything() {
        let NewKeys { keys, object } = new_keys();
        let object = KeyObject::decode("keys/1", &object.encode(), REPOSITORY).unwrap();
        for opened in [
            object.open_with_passphrase("keys/1", "correct horse").unwrap(),
            object.open("keys/1", &keys.private).unwrap(),
        ] {
            assert_eq!(opened.private.expose(), keys.private.expose());
            assert_eq!(opened.writer.fingerprint(), keys.writer.fingerprint());
            assert!(opened.match_each_other());
        }
    }

    #[test]
    fn wrong_secrets_are_refused() {
        let object = new_keys().object;
        let error = object.open_with_passphrase("keys/1", "wrong horse").unwrap_err();
        assert!(matches!(error, RepoError::WrongPassphrase { .. }), "{error}");
        let error = object.open("keys/1", &PrivateKey::new(Secret::new([9; 32]))).unwrap_err();
        assert!(matches!(error, RepoError::WrongKey { .. }), "{error}");
        let short = KeyObject::create(REPOSITORY, "short", PassphraseCost::LEAST, &Seed::fixed(1)).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::InvalidRequest);
    }

    #[test]
    fn metadata_keys_that_were_put_in_by_another_are_refused() {
        let NewKeys { keys, mut object } = new_keys();
        let public = *object.data_public_key();
        let forged = seal_to(&public, WRITER_KEYS, &context(REPOSITORY, &public), &[1; 64], &Seed::fixed(2)).unwrap();
        object.writer_keys = Hex::from_slice(&forged).unwrap();
        assert_eq!(object.open("keys/1", &keys.private).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(object.open_with_passphrase("keys/1", "correct horse").unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn a_repository_cannot_ask_for_any_amount_of_memory() {
        let mut object = new_keys().object;
        object.passphrase.argon2id.memory_kib = u32::MAX;
        let error = object.open_with_passphrase("keys/1", "correct horse").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn every_changed_bit_is_found_or_changes_nothing() {
        let NewKeys { keys, object } = new_keys();
        let bytes = object.encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = KeyObject::decode("keys/1", &changed, REPOSITORY)
                .and_then(|object| object.open("keys/1", &keys.private));
            if let Ok(opened) = opened {
                assert_eq!(opened.writer.fingerprint(), keys.writer.fingerprint(), "bit {bit}");
            }
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let NewKeys { keys, .. } = new_keys();
        let text = format!("{keys:?}");
        for secret in [keys.private.expose(), keys.writer.metadata.expose(), keys.writer.digest.expose()] {
            assert!(!text.contains(&format!("{secret:?}")) && !text.contains(&format!("{:?}", &secret[..4])), "{text}");
        }
    }
}
