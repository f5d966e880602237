//! Keys from keys.

use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

use super::Secret;
use super::aead::NONCE_LENGTH;

struct SecretLength;

impl KeyType for SecretLength {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA256 of a key, for one purpose and one named thing. The parts of `info` are separated by their lengths, so
/// that no two lists of parts give the same text.
pub(crate) fn derive(key: &Secret, salt: &[u8; 16], purpose: &str, name: &str) -> Secret {
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(key.expose());
    let length = u64::try_from(purpose.len()).expect("a length has 64 bits at most").to_be_bytes();
    let info = [&length[..], purpose.as_bytes(), name.as_bytes()];
    let mut derived = [0; 32];
    let expanded = pseudorandom.expand(&info, SecretLength).and_then(|okm| okm.fill(&mut derived));
    expanded.expect("HKDF-SHA256 gives up to 8160 bytes");
    Secret::new(derived)
}

/// The nonce of a slot: a keyed hash of slot and digest under the object's key (rule P29), so that a slot that is sealed
/// again with other bytes gets another nonce even if a random generator fails.
pub(crate) fn slot_nonce(object_key: &Secret, slot: u32, digest: &[u8; 32]) -> [u8; NONCE_LENGTH] {
    let key = blake3::derive_key("holdfast repository slot nonce v1", object_key.expose());
    let mut hasher = blake3::Hasher::new_keyed(&key);
    hasher.update(&slot.to_be_bytes()).update(digest);
    let mut nonce = [0; NONCE_LENGTH];
    hasher.finalize_xof().fill(&mut nonce);
    nonce
}
