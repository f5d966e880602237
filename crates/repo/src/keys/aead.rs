//! AES-256-GCM.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::Secret;

/// What sealing adds to the bytes.
pub(crate) const TAG_LENGTH: usize = 16;
/// The length of a nonce.
pub(crate) const NONCE_LENGTH: usize = 12;

/// The bytes do not open: they were changed, or the key or the context is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rejected;

/// Seals and opens under one key. Whoever calls it sees to it that no nonce seals two different texts.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    pub(crate) fn new(key: &Secret) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).expect("a secret has the length of an AES-256 key");
        Self(LessSafeKey::new(key))
    }

    /// Seals the bytes in place and appends the tag.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LENGTH], context: &[u8], bytes: &mut Vec<u8>) {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_append_tag(nonce, Aad::from(context), bytes);
        sealed.expect("nothing here is longer than the 64 GiB that AES-GCM seals");
    }

    /// Opens the bytes in place and removes the tag.
    pub(crate) fn open(&self, nonce: [u8; NONCE_LENGTH], context: &[u8], bytes: &mut Vec<u8>) -> Result<(), Rejected> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain_length = self.0.open_in_place(nonce, Aad::from(context), bytes).map_err(|_| Rejected)?.len();
        bytes.truncate(plain_length);
        Ok(())
    }
}
