//! A certificate chain with its private key.

use rustls::pki_types::CertificateDer;

use super::{AuthorityCertificate, KeyFingerprint, NodeKey, PkiError, principal};
use crate::SecretText;

/// What a node or an admin presents in TLS: its certificate, the authority's, and its private key.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The certificate and then the authority's, in PEM. The authority's is sent along so that a joining node, which
    /// knows only its hash, can check the rest.
    pub chain_pem: String,
    /// The private key of the first certificate, in PKCS#8 PEM.
    pub key_pem: SecretText,
}

impl Credentials {
    /// Puts a signed certificate (PEM) together with its key and the authority; refused if the key is another one's.
    pub fn new(certificate: &str, authority: &AuthorityCertificate, key: &NodeKey) -> Result<Self, PkiError> {
        let leaf = super::certificate_of_pem(certificate)?;
        if principal::key_fingerprint(&leaf)? != key.fingerprint() {
            return Err(PkiError::KeyMismatch { what: "the node's certificate" });
        }
        let chain_pem = format!("{}{}", super::certificate_pem(&leaf), authority.pem());
        Ok(Self { chain_pem, key_pem: key.to_pem() })
    }

    /// The first certificate of the chain, in DER.
    pub fn certificate(&self) -> Result<CertificateDer<'static>, PkiError> {
        super::certificate_of_pem(&self.chain_pem)
    }

    /// The fingerprint of the certified public key.
    pub fn fingerprint(&self) -> Result<KeyFingerprint, PkiError> {
        principal::key_fingerprint(&self.certificate()?)
    }
}
