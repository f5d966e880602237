//! HPKE (RFC 9180), base mode: X25519, HKDF-SHA256, AES-256-GCM.

use std::convert::Infallible;
use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use runtime::Seed;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::aead::Rejected;
use super::{PrivateKey, Secret};

/// An object's key, wrapped: the encapsulated X25519 key (32 bytes) and the sealed key (48 bytes).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct WrappedKey([u8; Self::LENGTH]);

impl WrappedKey {
    /// Its length in bytes.
    pub const LENGTH: usize = 80;

    /// Takes bytes as a wrapped key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for WrappedKey {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        Self::from_bytes(&bytes).ok_or("a wrapped key has 80 bytes")
    }
}

impl From<WrappedKey> for Vec<u8> {
    fn from(key: WrappedKey) -> Self {
        key.0.to_vec()
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedKey(…)")
    }
}

/// Lends a seed to code that wants a generator of `rand_core`.
struct SeedGenerator<'a>(&'a Seed);

impl TryRng for SeedGenerator<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.bytes()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.u64())
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl TryCryptoRng for SeedGenerator<'_> {}

/// The public half of a private key.
pub(super) fn public_of(private: &PrivateKey) -> [u8; 32] {
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private.expose());
    let private = private.expect("every 32 bytes are a private key of X25519");
    X25519HkdfSha256::sk_to_pk(&private).to_bytes().into()
}

/// Seals a text to a public key; only its private half opens it. The encapsulated key comes first in the result.
///
/// The public key of 32 zero bytes and its like, with which anyone could open the text, are rejected.
pub(super) fn seal_to(
    public: &[u8; 32],
    purpose: &str,
    context: &[u8],
    plain: &[u8],
    seed: &Seed,
) -> Result<Vec<u8>, Rejected> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| Rejected)?;
    let mut generator = SeedGenerator(seed);
    let sealed = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        purpose.as_bytes(),
        plain,
        context,
        &mut generator,
    );
    let (encapsulated, sealed) = sealed.map_err(|_| Rejected)?;
    Ok([&encapsulated.to_bytes()[..], &sealed].concat())
}

/// Opens what [`seal_to`] has sealed.
pub(super) fn open_with(
    private: &PrivateKey,
    purpose: &str,
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Rejected> {
    let (encapsulated, sealed) = sealed.split_at_checked(32).ok_or(Rejected)?;
    let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private.expose()).map_err(|_| Rejected)?;
    let encapsulated = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| Rejected)?;
    let plain = single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        purpose.as_bytes(),
        sealed,
        context,
    );
    plain.map(Zeroizing::new).map_err(|_| Rejected)
}

const OBJECT_KEY: &str = "holdfast repository object key v1";

/// Wraps an object's key, bound to repository, name and salt of the object by `context`.
pub(crate) fn wrap_object_key(
    public: &[u8; 32],
    context: &[u8],
    key: &Secret,
    seed: &Seed,
) -> Result<WrappedKey, Rejected> {
    let sealed = seal_to(public, OBJECT_KEY, context, key.expose(), seed)?;
    WrappedKey::from_bytes(&sealed).ok_or(Rejected)
}

/// Unwraps an object's key.
pub(crate) fn unwrap_object_key(private: &PrivateKey, context: &[u8], key: &WrappedKey) -> Result<Secret, Rejected> {
    let plain = open_with(private, OBJECT_KEY, context, key.as_bytes())?;
    plain.as_slice().try_into().map(Secret::new).map_err(|_| Rejected)
}
