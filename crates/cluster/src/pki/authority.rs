//! The cluster's certificate authority.

use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use types::{ClusterId, NodeId, Timestamp};

use super::{Credentials, NodeKey, PkiError, Principal, Role, cluster_name, node_name, sha256};
use crate::SecretText;

/// Clocks of the nodes may differ: a certificate is valid from a day before it was made.
const BACKDATED: Duration = Duration::days(1);
/// The authority outlives what it signs.
const AUTHORITY_LIFETIME: Duration = Duration::days(30 * 365);
/// There is no renewal yet, so a certificate lasts as long as the hardware.
const CERTIFICATE_LIFETIME: Duration = Duration::days(10 * 365);

/// The authority's certificate: public, and what everybody pins.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorityCertificate {
    der: CertificateDer<'static>,
    pem: String,
}

impl AuthorityCertificate {
    /// Takes a certificate in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        super::principal::check_certificate(der)?;
        Ok(Self { der: der.to_vec().into(), pem: super::certificate_pem(der) })
    }

    /// Reads a certificate in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        Self::from_der(&super::certificate_of_pem(pem)?)
    }

    /// The certificate in DER.
    #[must_use]
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate: the pin in a join token.
    #[must_use]
    pub fn pin(&self) -> [u8; 32] {
        sha256(&self.der)
    }
}

impl fmt::Debug for AuthorityCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityCertificate({})", super::hex(&self.pin()))
    }
}

/// The certificate authority with its private key; only voters have it (rule P32).
pub struct Authority {
    cluster: ClusterId,
    certificate: AuthorityCertificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes the authority of a new cluster.
    pub fn create(cluster: ClusterId, now: Timestamp) -> Result<Self, PkiError> {
        let key = NodeKey::generate()?.into_pair();
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(cluster, "authority", "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params.not_before, params.not_after) = validity(now, AUTHORITY_LIFETIME)?;
        let certificate = params
            .self_signed(&key)
            .map_err(|source| PkiError::Make { what: "the authority's certificate", source })?;
        let certificate = AuthorityCertificate::from_der(certificate.der())?;
        Ok(Self { cluster, certificate, issuer: Issuer::new(params, key) })
    }

    /// Puts an authority together again from its certificate and its private key.
    pub fn load(cluster: ClusterId, certificate: AuthorityCertificate, key_pem: &SecretText) -> Result<Self, PkiError> {
        let key = NodeKey::from_pem(key_pem)?;
        if super::principal::key_fingerprint(&certificate.der)? != key.fingerprint() {
            return Err(PkiError::KeyMismatch { what: "the authority's certificate" });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.der, key.into_pair())
            .map_err(|source| PkiError::Make { what: "the authority", source })?;
        Ok(Self { cluster, certificate, issuer })
    }

    /// The public certificate.
    #[must_use]
    pub const fn certificate(&self) -> &AuthorityCertificate {
        &self.certificate
    }

    /// The private key, for the keystores of voters.
    #[must_use]
    pub fn key_pem(&self) -> SecretText {
        SecretText::new(self.issuer.key().serialize_pem())
    }

    /// Reads a signing request and proves that its sender holds the key; gives the fingerprint to register.
    pub fn examine(request: &str) -> Result<super::KeyFingerprint, PkiError> {
        parse_request(request)
            .map(|request| super::KeyFingerprint::of_public_key(&request.public_key.subject_public_key_info()))
    }

    /// Signs a node's request (PKCS#10, PEM) and gives the certificate in PEM. Of the request only the public key is
    /// used: names and rights are the authority's to give.
    pub fn sign_node(&self, request: &str, node: NodeId, serial: [u8; 16], now: Timestamp) -> Result<String, PkiError> {
        let request = parse_request(request)?;
        self.sign(&request.public_key, &Role::Node(node), serial, now)
    }

    /// Makes an admin's key and certificate.
    pub fn issue_admin(&self, name: &str, serial: [u8; 16], now: Timestamp) -> Result<Credentials, PkiError> {
        let key = NodeKey::generate()?;
        let certificate = self.sign(key.pair(), &Role::Admin(name.to_owned()), serial, now)?;
        Credentials::new(&certificate, &self.certificate, &key)
    }

    fn sign(
        &self,
        public_key: &impl PublicKeyData,
        role: &Role,
        serial: [u8; 16],
        now: Timestamp,
    ) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        let (unit, name) = Principal::subject_of(role);
        params.distinguished_name = subject(self.cluster, unit, &name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(positive_serial(serial));
        (params.not_before, params.not_after) = validity(now, CERTIFICATE_LIFETIME)?;
        if let Role::Node(node) = role {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
            params.subject_alt_names =
                vec![dns_name(cluster_name(self.cluster))?, dns_name(node_name(self.cluster, *node))?];
        }
        params
            .signed_by(public_key, &self.issuer)
            .map(|certificate| certificate.pem())
            .map_err(|source| PkiError::Make { what: "a certificate", source })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({:?})", self.certificate)
    }
}

fn parse_request(request: &str) -> Result<CertificateSigningRequestParams, PkiError> {
    CertificateSigningRequestParams::from_pem(request)
        .map_err(|source| PkiError::Malformed { what: "signing request", reason: source.to_string() })
}

fn subject(cluster: ClusterId, unit: &str, name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, cluster.to_string());
    subject.push(DnType::OrganizationalUnitName, unit);
    subject.push(DnType::CommonName, name);
    subject
}

fn dns_name(name: String) -> Result<SanType, PkiError> {
    name.try_into().map(SanType::DnsName).map_err(|source| PkiError::Make { what: "a DNS name", source })
}

fn validity(now: Timestamp, lifetime: Duration) -> Result<(OffsetDateTime, OffsetDateTime), PkiError> {
    let out_of_range = || PkiError::Malformed { what: "clock", reason: format!("second {}", now.seconds) };
    let now = OffsetDateTime::from_unix_timestamp(now.seconds).map_err(|_| out_of_range())?;
    let from = now.checked_sub(BACKDATED).ok_or_else(out_of_range)?;
    let until = now.checked_add(lifetime).ok_or_else(out_of_range)?;
    Ok((from, until))
}

/// A serial number is a positive integer of at most 20 bytes (RFC 5280, 4.1.2.2): the highest bit is cleared.
fn positive_serial(mut serial: [u8; 16]) -> SerialNumber {
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    SerialNumber::from_slice(&serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

    fn cluster(number: u128) -> ClusterId {
        ClusterId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_signed_node_is_recognised_by_role_and_key() {
        let authority = Authority::create(cluster(1), NOW).unwrap();
        let key = NodeKey::generate().unwrap();
        let request = key.signing_request().unwrap();
        assert_eq!(Authority::examine(&request).unwrap(), key.fingerprint());
        let certificate = authority.sign_node(&request, NodeId(7), [0xff; 16], NOW).unwrap();
        let certificate = super::super::certificate_of_pem(&certificate).unwrap();
        let principal = Principal::of_certificate(&certificate, cluster(1)).unwrap();
        assert_eq!(principal.role, Role::Node(NodeId(7)));
        assert_eq!(principal.fingerprint, key.fingerprint());
    }

    #[test]
    fn an_authority_that_was_stored_signs_as_before() {
        let made = Authority::create(cluster(1), NOW).unwrap();
        let loaded = Authority::load(cluster(1), made.certificate().clone(), &made.key_pem()).unwrap();
        let admin = loaded.issue_admin("root", [1; 16], NOW).unwrap();
        let principal = Principal::of_certificate(&admin.certificate().unwrap(), cluster(1)).unwrap();
        assert_eq!(principal.role, Role::Admin("root".to_owned()));
        assert!(admin.chain_pem.contains(made.certificate().pem()));
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let one = Authority::create(cluster(1), NOW).unwrap();
        let other = Authority::create(cluster(1), NOW).unwrap();
        let mixed = Authority::load(cluster(1), one.certificate().clone(), &other.key_pem());
        assert!(matches!(mixed, Err(PkiError::KeyMismatch { .. })));
    }

    #[test]
    fn a_request_whose_signature_was_changed_is_refused() {
        let authority = Authority::create(cluster(1), NOW).unwrap();
        let requests = [(); 2].map(|()| NodeKey::generate().unwrap().signing_request().unwrap());
        let [body, other] = requests.each_ref().map(|request| request.lines().collect::<Vec<_>>());
        // The signature is at the end: the body of one with the last lines of the other.
        let mixed = [&body[..body.len() - 2], &other[other.len() - 2..]].concat().join("\n");
        let signed = authority.sign_node(&mixed, NodeId(1), [1; 16], NOW);
        assert!(matches!(signed, Err(PkiError::Malformed { .. })), "{signed:?}");
    }

    #[test]
    fn a_certificate_of_another_cluster_names_nobody_here() {
        let authority = Authority::create(cluster(1), NOW).unwrap();
        let admin = authority.issue_admin("root", [1; 16], NOW).unwrap();
        let principal = Principal::of_certificate(&admin.certificate().unwrap(), cluster(2));
        assert!(matches!(principal, Err(PkiError::OtherCluster { .. })));
    }
}
