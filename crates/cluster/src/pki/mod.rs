//! The cluster's own public key infrastructure: one authority, one certificate a node, one an admin.
//!
//! Keys are ECDSA P-256 and signed with SHA-256 by `ring`. Key generation and signing take their randomness from the
//! system through `ring`, which lets no other source in; everything else here is a pure function of its arguments.
//!
//! Limits: certificates are issued for ten years and there is no renewal or revocation list yet; a node that is taken
//! out of the cluster is refused because its record is gone ([`crate::Membership`]).

mod authority;
mod credentials;
mod error;
mod node_key;
mod principal;

pub use authority::{Authority, AuthorityCertificate};
pub use credentials::Credentials;
pub use error::PkiError;
pub use node_key::{KeyFingerprint, NodeKey};
pub use principal::{Principal, Role};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use types::{ClusterId, NodeId};

/// The DNS name that every node of the cluster answers to; a client that asks any node verifies this one.
#[must_use]
pub fn cluster_name(cluster: ClusterId) -> String {
    format!("{cluster}.holdfast")
}

/// The DNS name of one node; a peer that means this node verifies this one.
#[must_use]
pub fn node_name(cluster: ClusterId, node: NodeId) -> String {
    format!("node-{node}.{cluster}.holdfast")
}

/// Writes a certificate (DER) as PEM (RFC 7468: lines of 64 characters).
fn certificate_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The first certificate in PEM text.
fn certificate_of_pem(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| PkiError::Malformed { what: "certificate", reason: error.to_string() })
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}

/// Lower-case hexadecimal digits of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// The inverse of [`hex`] for a fixed length; `None` for anything else.
pub(crate) fn from_hex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != LENGTH * 2 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
