//! The one-time token that lets a node join.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use types::{ClusterId, ErrorKind};
use uuid::Uuid;

use crate::Secret;
use crate::pki::sha256;

/// Version, cluster id, pin, secret; the address follows, then the check bytes.
pub(crate) const VERSION: u8 = 1;
const CHECK_LENGTH: usize = 4;
/// A longest DNS name with its port is 259 bytes.
const ADDRESS_LENGTH_MAX: usize = 300;

/// Everything that a node needs to join, in one line of text: where to go, whom to trust, and a secret that is good for
/// one node. The bytes are described in `FORMAT.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The cluster.
    pub cluster: ClusterId,
    /// `host:port` of the node that issued it and redeems it.
    pub address: String,
    /// SHA-256 of the authority's certificate.
    pub authority_pin: [u8; 32],
    /// The proof that an admin of the cluster wants this node.
    pub secret: Secret<32>,
}

/// Why a text is not a token.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// It is cut, mistyped, or something else.
    #[error("this is not a join token: {reason}; copy the whole line that `cluster init` or `cluster token` printed")]
    Malformed {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It was made by a newer version.
    #[error("the join token has version {found}; this program knows version {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
}

impl TokenError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed { .. } => ErrorKind::InvalidRequest,
            Self::Version { .. } => ErrorKind::Unsupported,
        }
    }
}

impl Token {
    /// Writes the token as text. It holds the secret, so it has a name and no `Display`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.cluster.0.as_bytes());
        bytes.extend_from_slice(&self.authority_pin);
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend_from_slice(self.address.as_bytes());
        bytes.extend_from_slice(&check_of(&bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let malformed = |reason| TokenError::Malformed { reason };
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| malformed("it is not base64url"))?;
        let (body, check) = bytes.split_last_chunk::<CHECK_LENGTH>().ok_or(malformed("it is too short"))?;
        if check_of(body) != *check {
            return Err(malformed("its check bytes do not fit"));
        }
        let (version, body) = body.split_first().ok_or(malformed("it is empty"))?;
        if *version != VERSION {
            return Err(TokenError::Version { found: *version });
        }
        let (cluster, body) = body.split_first_chunk::<16>().ok_or(malformed("the cluster id is cut"))?;
        let (pin, body) = body.split_first_chunk::<32>().ok_or(malformed("the pin is cut"))?;
        let (secret, address) = body.split_first_chunk::<32>().ok_or(malformed("the secret is cut"))?;
        if address.is_empty() || address.len() > ADDRESS_LENGTH_MAX {
            return Err(malformed("the address is missing or too long"));
        }
        let address = std::str::from_utf8(address).map_err(|_| malformed("the address is not text"))?;
        Ok(Self {
            cluster: ClusterId(Uuid::from_bytes(*cluster)),
            address: address.to_owned(),
            authority_pin: *pin,
            secret: Secret::new(*secret),
        })
    }
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_LENGTH] {
    let [a, b, c, d, ..] = sha256(bytes);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            cluster: ClusterId(Uuid::from_u128(9)),
            address: "storage-1.example:7400".to_owned(),
            authority_pin: [3; 32],
            secret: Secret::new([0x5a; 32]),
        }
    }

    #[test]
    fn a_token_comes_back_from_its_text() {
        let text = token().encode();
        assert_eq!(format!(" {text}\n").parse::<Token>().unwrap(), token());
        assert!(!text.contains(['+', '/', '=']), "it must survive a shell: {text}");
    }

    #[test]
    fn every_changed_or_missing_character_is_noticed() {
        let text = token().encode();
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed.parse::<Token>().is_err(), "changed at {at}");
            assert!(text[..at].parse::<Token>().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = vec![2];
        bytes.extend_from_slice(&check_of(&bytes));
        let error = URL_SAFE_NO_PAD.encode(bytes).parse::<Token>().unwrap_err();
        assert_eq!(error, TokenError::Version { found: 2 });
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn debug_hides_the_secret() {
        assert!(format!("{:?}", token()).contains("secret: <32 secret bytes>"));
    }
}
