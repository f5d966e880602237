//! The two halves of a repository's keys.

use types::Digest;
use zeroize::Zeroizing;

use super::hpke::public_of;
use super::{PrivateKey, Secret};
use crate::KeyedDigest;

/// What a node holds: enough to write, list and merge, and not to read a file.
#[derive(Clone, Debug)]
pub struct WriterKeys {
    /// The public half of the data key.
    pub data_public: [u8; 32],
    /// The metadata key.
    pub metadata: Secret,
    /// The digest key.
    pub digest: Secret,
}

impl WriterKeys {
    /// A block's digest as tables have it.
    #[must_use]
    pub fn keyed(&self, digest: &Digest) -> KeyedDigest {
        KeyedDigest(*blake3::keyed_hash(self.digest.expose(), &digest.0).as_bytes())
    }

    /// BLAKE3 of the keys: what Raft holds, so that a node can tell whether its keystore has the right ones.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast repository keys fingerprint v1");
        hasher.update(&self.data_public).update(self.metadata.expose()).update(self.digest.expose());
        *hasher.finalize().as_bytes()
    }

    /// The keys as a keystore file holds them: public key, metadata key, digest key.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&self.data_public[..], self.metadata.expose(), self.digest.expose()].concat())
    }

    /// The inverse of [`WriterKeys::to_bytes`]; `None` if the length is wrong.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (data_public, rest) = bytes.split_first_chunk::<32>()?;
        let (metadata, rest) = rest.split_first_chunk::<32>()?;
        let digest = <[u8; 32]>::try_from(rest).ok()?;
        Some(Self { data_public: *data_public, metadata: Secret::new(*metadata), digest: Secret::new(digest) })
    }
}

/// What a restore or a deep verification is given for its time.
#[derive(Clone, Debug)]
pub struct ReaderKeys {
    /// What nodes hold too.
    pub writer: WriterKeys,
    /// The private half of the data key.
    pub private: PrivateKey,
}

impl ReaderKeys {
    /// Whether the private key is that of the public one.
    #[must_use]
    pub fn match_each_other(&self) -> bool {
        public_of(&self.private) == self.writer.data_public
    }
}
