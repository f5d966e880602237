//! What a client has shown of itself on a connection.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use types::ClusterId;

use crate::Principal;

/// The certificate with which a client came, if it had one. Clones are of the same connection; who the client is, is
/// read from the certificate at its first call and known at all others.
#[derive(Clone, Debug, Default)]
pub struct Presented {
    certificate: Option<Arc<Certificate>>,
}

#[derive(Debug)]
struct Certificate {
    der: CertificateDer<'static>,
    principal: OnceLock<Result<Principal, String>>,
}

impl Presented {
    /// What a connection has shown; the chain begins with the client's own certificate.
    #[must_use]
    pub fn new(chain: Option<&[CertificateDer<'_>]>) -> Self {
        let own = chain.and_then(<[_]>::first).map(|der| der.clone().into_owned());
        Self { certificate: own.map(|der| Arc::new(Certificate { der, principal: OnceLock::new() })) }
    }

    /// Who it is, if a certificate was shown; or why that stands for nobody. The cluster is that of the port to which
    /// the connection was made.
    pub(crate) fn principal(&self, cluster: ClusterId) -> Option<Result<&Principal, &str>> {
        let Certificate { der, principal } = &**self.certificate.as_ref()?;
        let read = || Principal::of_certificate(der, cluster).map_err(|error| error.to_string());
        Some(principal.get_or_init(read).as_ref().map_err(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use types::Timestamp;

    use super::*;
    use crate::{Authority, Role};

    const CLUSTER: ClusterId = ClusterId(uuid::Uuid::from_u128(1));

    #[test]
    fn a_certificate_is_read_once_for_all_calls_of_a_connection() {
        let authority = Authority::create(CLUSTER, Timestamp::default()).unwrap();
        let admin = authority.issue_admin("ada", [2; 16], Timestamp::default()).unwrap();
        let connection = Presented::new(Some(&[admin.certificate().unwrap()]));
        let read = |call: &Presented| std::ptr::from_ref(call.principal(CLUSTER).unwrap().unwrap());
        let (one, other) = (connection.clone(), connection.clone());
        assert_eq!(one.principal(CLUSTER).unwrap().unwrap().role, Role::Admin("ada".to_owned()));
        assert_eq!(read(&one), read(&other));
    }

    #[test]
    fn nothing_shown_is_nobody_and_what_is_no_certificate_is_refused() {
        assert!(Presented::new(None).principal(CLUSTER).is_none());
        let rubbish = Presented::new(Some(&[CertificateDer::from(vec![1, 2, 3])]));
        assert!(rubbish.principal(CLUSTER).unwrap().is_err());
    }
}
