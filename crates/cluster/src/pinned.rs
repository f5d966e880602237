//! Finding the cluster behind a join token.
//!
//! A joining node trusts nothing but its token, which holds the SHA-256 of the authority's certificate. It connects to
//! the token's address and looks at the chain that the server presents: the chain must hold a certificate of exactly
//! that hash, and the server's own certificate must be signed by it, be valid now, and be made for this cluster. All of
//! that is checked by `webpki` with that one certificate as the only root; nothing of the usual verification is left
//! out. What comes out is the authority's certificate, and every later connection is ordinary TLS with it as the root.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use thiserror::Error;
use tokio_rustls::TlsConnector;
use types::{ClusterId, ErrorKind};

use crate::pki::{cluster_name, sha256};
use crate::{AuthorityCertificate, PkiError};

/// Why the cluster behind a token's address was not found or not trusted.
#[derive(Debug, Error)]
pub enum PinnedError {
    /// Nobody answers there.
    #[error("cannot reach the cluster at {address}")]
    Unreachable {
        /// The address in the token.
        address: String,
        /// Why not.
        #[source]
        source: runtime::net::NetError,
    },
    /// Whoever answers there is not the cluster that made the token.
    #[error("{address} did not prove to be the cluster that made the token")]
    Untrusted {
        /// The address in the token.
        address: String,
        /// What was wrong in the handshake.
        #[source]
        source: std::io::Error,
    },
    /// The cluster's name cannot be used in TLS.
    #[error("the cluster's id does not make a DNS name")]
    Name(#[from] InvalidDnsNameError),
    /// TLS cannot be set up in this program.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
    /// The authority's certificate cannot be used.
    #[error("the cluster presented an authority that cannot be used")]
    Authority(#[from] PkiError),
}

impl PinnedError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Untrusted { .. } => ErrorKind::Denied,
            Self::Name(_) => ErrorKind::InvalidRequest,
            Self::Setup(_) => ErrorKind::Internal,
            Self::Authority(error) => error.kind(),
        }
    }
}

/// Connects to an address and gives the authority's certificate whose SHA-256 is the pin, once the server there has
/// proved that it belongs to that authority and that cluster.
pub async fn fetch_authority(
    cluster: ClusterId,
    address: &str,
    pin: [u8; 32],
) -> Result<AuthorityCertificate, PinnedError> {
    let name = ServerName::try_from(cluster_name(cluster))?;
    let connector = TlsConnector::from(Arc::new(pinned_config(pin)?));
    let stream = runtime::net::connect(address)
        .await
        .map_err(|source| PinnedError::Unreachable { address: address.to_owned(), source })?;
    let untrusted = |source| PinnedError::Untrusted { address: address.to_owned(), source };
    let stream = connector.connect(name, stream).await.map_err(untrusted)?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let authority = find_pinned(chain, &pin)
        .ok_or_else(|| untrusted(std::io::Error::other("the handshake presented no pinned authority")))?;
    Ok(AuthorityCertificate::from_der(authority)?)
}

fn pinned_config(pin: [u8; 32]) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(PinnedVerifier { pin, provider: Arc::clone(&provider) });
    // `dangerous` is rustls's name for any verifier that is not its own; this one only chooses the root, and hands the
    // rest to rustls's own.
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn find_pinned<'a, 'der>(chain: &'a [CertificateDer<'der>], pin: &[u8; 32]) -> Option<&'a CertificateDer<'der>> {
    chain.iter().find(|certificate| sha256(certificate) == *pin)
}

/// Verifies a server with the pinned certificate of its own chain as the only root.
struct PinnedVerifier {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for PinnedVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PinnedVerifier")
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority = find_pinned(intermediates, &self.pin).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
