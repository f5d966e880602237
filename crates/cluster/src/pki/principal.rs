//! Who a verified certificate stands for.

use types::{ClusterId, NodeId};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{KeyFingerprint, PkiError};

/// What the holder of a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node of the cluster.
    Node(NodeId),
    /// An admin, by name.
    Admin(String),
}

/// The holder of a certificate that TLS has verified against the cluster's authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// What it is.
    pub role: Role,
    /// The fingerprint of its public key.
    pub fingerprint: KeyFingerprint,
}

const UNIT_NODE: &str = "node";
const UNIT_ADMIN: &str = "admin";
const NODE_PREFIX: &str = "node-";

impl Principal {
    /// Reads the subject of a certificate (DER). It does not verify the certificate: TLS has done that.
    pub fn of_certificate(der: &[u8], cluster: ClusterId) -> Result<Self, PkiError> {
        let certificate = parse(der)?;
        let subject = certificate.subject();
        let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
            attribute.and_then(|value| value.as_str().ok()).unwrap_or_default().to_owned()
        };
        let organisation = text(subject.iter_organization().next());
        if organisation != cluster.to_string() {
            return Err(PkiError::OtherCluster { expected: cluster, found: organisation });
        }
        let unit = text(subject.iter_organizational_unit().next());
        let name = text(subject.iter_common_name().next());
        let role = Self::role_of(&unit, &name).ok_or_else(|| PkiError::NoRole { subject: subject.to_string() })?;
        let fingerprint = KeyFingerprint::of_public_key(certificate.public_key().raw);
        Ok(Self { role, fingerprint })
    }

    /// The organisational unit and the common name that stand for a role.
    pub(super) fn subject_of(role: &Role) -> (&'static str, String) {
        match role {
            Role::Node(node) => (UNIT_NODE, format!("{NODE_PREFIX}{node}")),
            Role::Admin(name) => (UNIT_ADMIN, name.clone()),
        }
    }

    fn role_of(unit: &str, name: &str) -> Option<Role> {
        match unit {
            UNIT_NODE => name.strip_prefix(NODE_PREFIX)?.parse().ok().map(Role::Node),
            UNIT_ADMIN => Some(Role::Admin(name.to_owned())),
            _ => None,
        }
    }
}

/// The fingerprint of the key that a certificate (DER) certifies.
pub(super) fn key_fingerprint(der: &[u8]) -> Result<KeyFingerprint, PkiError> {
    Ok(KeyFingerprint::of_public_key(parse(der)?.public_key().raw))
}

/// Fails unless the bytes are one certificate and nothing else.
pub(super) fn check_certificate(der: &[u8]) -> Result<(), PkiError> {
    parse(der).map(|_| ())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, PkiError> {
    let malformed = |reason: String| PkiError::Malformed { what: "certificate", reason };
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
    if rest.is_empty() { Ok(certificate) } else { Err(malformed(format!("{} bytes follow it", rest.len()))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_tells_the_role_back() {
        for role in [Role::Node(NodeId(u64::MAX)), Role::Admin("node-3".to_owned())] {
            let (unit, name) = Principal::subject_of(&role);
            assert_eq!(Principal::role_of(unit, &name), Some(role));
        }
        assert_eq!(Principal::role_of("node", "admin"), None);
        assert_eq!(Principal::role_of("authority", "authority"), None);
    }

    #[test]
    fn bytes_after_a_certificate_are_refused() {
        assert!(matches!(check_certificate(b"no certificate"), Err(PkiError::Malformed { .. })));
    }
}
