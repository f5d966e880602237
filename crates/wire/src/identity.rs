//! Who a process is to its peers, and whom it believes (rule P33).

use std::fmt;

use tonic::transport::{Certificate, ClientTlsConfig, Identity as TonicIdentity};
use zeroize::Zeroizing;

/// The cluster's authority: its certificate in PEM. Nothing else is believed, the system's roots included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(pub String);

/// A certificate and its private key, both in PEM.
#[derive(Clone)]
pub struct Identity {
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl Identity {
    /// Takes a certificate and its private key.
    #[must_use]
    pub fn new(certificate_pem: String, key_pem: Zeroizing<String>) -> Self {
        Self { certificate_pem, key_pem }
    }

    /// The certificate, in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    fn to_tonic(&self) -> TonicIdentity {
        TonicIdentity::from_pem(&self.certificate_pem, self.key_pem.as_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// How a client makes sure of its peer, and shows who it is itself.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// The name that the peer's certificate must have: `<cluster>.holdfast`, or `node-<id>.<cluster>.holdfast`.
    pub server_name: String,
    /// Who must have signed it.
    pub authority: Authority,
    /// Who the client is; a node that enrols is nobody yet.
    pub identity: Option<Identity>,
}

impl ClientTls {
    pub(crate) fn to_tonic(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new()
            .domain_name(&self.server_name)
            .ca_certificate(Certificate::from_pem(&self.authority.0));
        match &self.identity {
            Some(identity) => config.identity(identity.to_tonic()),
            None => config,
        }
    }
}

/// Makes ring the process's one provider of cryptography for TLS. To be called first in `main`; again, it does nothing.
pub fn install_crypto_provider() {
    // The error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
