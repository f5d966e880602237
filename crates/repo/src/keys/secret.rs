//! Secrets that wipe themselves and are never printed.

use std::fmt;

use runtime::Seed;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A secret of 32 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Takes the bytes as a secret; the caller wipes its own copy.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Draws a secret.
    #[must_use]
    pub fn random(seed: &Seed) -> Self {
        let mut secret = Self([0; 32]);
        seed.fill(&mut secret.0);
        secret
    }

    /// The bytes, for a keystore or a derivation: never for a log, a message or the Raft log (rule P32).
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The private half of a repository's data key. It opens everything in the repository.
#[derive(Clone, Debug)]
pub struct PrivateKey(pub(super) Secret);

impl PrivateKey {
    /// Takes 32 bytes as a private key; every 32 bytes are one.
    #[must_use]
    pub const fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The bytes, for the recovery kit.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}
