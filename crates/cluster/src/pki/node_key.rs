//! A key pair and the request to have it certified.

use std::fmt;

use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use super::{PkiError, hex, sha256};
use crate::SecretText;

/// SHA-256 of a public key (its `SubjectPublicKeyInfo`), in hex: who may speak as a node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    /// Takes the fingerprint of a `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn of_public_key(subject_public_key_info: &[u8]) -> Self {
        Self(hex(&sha256(subject_public_key_info)))
    }

    /// The hex digits, as Raft's node record holds them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node's private key. It never leaves the node; only its public half travels, in a signing request.
pub struct NodeKey(KeyPair);

impl NodeKey {
    /// Makes a new key pair.
    pub fn generate() -> Result<Self, PkiError> {
        KeyPair::generate().map(Self).map_err(|source| PkiError::Make { what: "a key pair", source })
    }

    /// Reads a private key in PKCS#8 PEM.
    pub fn from_pem(pem: &SecretText) -> Result<Self, PkiError> {
        KeyPair::from_pem(pem.expose())
            .map(Self)
            .map_err(|source| PkiError::Malformed { what: "private key", reason: source.to_string() })
    }

    /// The private key in PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> SecretText {
        SecretText::new(self.0.serialize_pem())
    }

    /// The fingerprint of its public half.
    #[must_use]
    pub fn fingerprint(&self) -> KeyFingerprint {
        KeyFingerprint::of_public_key(&self.0.subject_public_key_info())
    }

    /// A signing request (PKCS#10, PEM): the public key, with proof that its sender holds the private one. It asks for
    /// no names, because the authority gives them.
    pub fn signing_request(&self) -> Result<String, PkiError> {
        CertificateParams::default()
            .serialize_request(&self.0)
            .and_then(|request| request.pem())
            .map_err(|source| PkiError::Make { what: "a signing request", source })
    }

    /// The pair itself, for the authority.
    pub(super) const fn pair(&self) -> &KeyPair {
        &self.0
    }

    /// Gives up the pair, for the authority.
    pub(super) fn into_pair(self) -> KeyPair {
        self.0
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.fingerprint())
    }
}
