//! What can be wrong with keys and certificates.

use thiserror::Error;
use types::ErrorKind;

/// Why a key or a certificate could not be made, read or accepted.
#[derive(Debug, Error)]
pub enum PkiError {
    /// A key or certificate could not be generated or signed.
    #[error("cannot make {what}")]
    Make {
        /// What it was to be.
        what: &'static str,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// Text or bytes are not what they should be.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate was made by another cluster's authority, or for another cluster.
    #[error("the certificate belongs to {found:?}, not to cluster {expected}")]
    OtherCluster {
        /// The cluster that was expected.
        expected: types::ClusterId,
        /// What the certificate names.
        found: String,
    },
    /// The certificate's subject names no role that this version knows.
    #[error("the certificate of {subject:?} names no role")]
    NoRole {
        /// The subject as printed by the parser.
        subject: String,
    },
    /// The key and the certificate do not belong together.
    #[error("the private key does not belong to {what}")]
    KeyMismatch {
        /// The certificate.
        what: &'static str,
    },
}

impl PkiError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Make { .. } => ErrorKind::Internal,
            Self::Malformed { .. } | Self::KeyMismatch { .. } => ErrorKind::InvalidRequest,
            Self::OtherCluster { .. } | Self::NoRole { .. } => ErrorKind::Denied,
        }
    }
}
