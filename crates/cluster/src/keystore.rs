//! The keystore: what a node knows and nobody else may read (rule P32).
//!
//! A folder of mode 0700 with one file a secret, each of mode 0600 and written atomically. Nothing in it ever goes to
//! Raft, a log, a metric or `--json`; over the wire it goes only through mutual TLS to a node that needs it. Raft holds
//! fingerprints, by which a node can tell that it lacks a key or has the wrong one.
//!
//! The bytes of each file are described in `FORMAT.md`.

use std::path::PathBuf;

use runtime::{FileError, Files};
use thiserror::Error;
use types::{ClusterId, ErrorKind, RepositoryId};

use crate::pki::{from_hex, hex};
use crate::{Authority, AuthorityCertificate, Credentials, PkiError, Secret, SecretText};

const AUTHORITY_CERTIFICATE: &str = "authority.crt";
const AUTHORITY_KEY: &str = "authority.key";
const NODE_CHAIN: &str = "node.crt";
const NODE_KEY: &str = "node.key";
const GEAR_SEED: &str = "gear.seed";
const REPOSITORY_PREFIX: &str = "repository-";
const REPOSITORY_SUFFIX: &str = ".keys";
/// The first word of each secret file that is not PEM, with its version.
const SECRET_HEADER: &str = "holdfast-secret-1";

/// Why a secret could not be kept or read.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// A file could not be read or written.
    #[error("cannot use the keystore")]
    File(#[from] FileError),
    /// A file is not what was written.
    #[error("the keystore file {path:?} is malformed: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        reason: String,
    },
    /// Others than the owner can read a file.
    #[error(
        "the keystore file {path:?} has mode {mode:o}: others can read it; set it to 600, and change what they know"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A certificate or a key is wrong.
    #[error("the keystore holds a wrong key or certificate")]
    Pki(#[from] PkiError),
}

impl KeystoreError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::File(_) => ErrorKind::Internal,
            Self::Malformed { .. } => ErrorKind::Corrupt,
            Self::Exposed { .. } => ErrorKind::Conflict,
            Self::Pki(error) => error.kind(),
        }
    }
}

/// The keys of a repository that nodes hold (rules P28 and P29), as the crate `repo` lays them out: the public data key,
/// the metadata key, the digest key.
pub type RepositoryKeys = Secret<96>;

/// The keystore of one node. Its methods use files, so they belong on a blocking thread.
#[derive(Clone, Debug)]
pub struct Keystore {
    files: Files,
    folder: PathBuf,
}

impl Keystore {
    /// Opens the keystore, and makes its folder if there is none.
    pub fn open(files: Files, folder: PathBuf) -> Result<Self, KeystoreError> {
        files.create_dirs(&folder)?;
        files.set_mode(&folder, 0o700)?;
        Ok(Self { files, folder })
    }

    /// Keeps the authority's certificate.
    pub fn put_authority_certificate(&self, certificate: &AuthorityCertificate) -> Result<(), KeystoreError> {
        self.put(AUTHORITY_CERTIFICATE, certificate.pem().as_bytes())
    }

    /// Reads the authority's certificate.
    pub fn authority_certificate(&self) -> Result<Option<AuthorityCertificate>, KeystoreError> {
        let text = self.text(AUTHORITY_CERTIFICATE)?;
        Ok(text.map(|text| AuthorityCertificate::from_pem(text.expose())).transpose()?)
    }

    /// Keeps the authority's private key; only voters do.
    pub fn put_authority_key(&self, key: &SecretText) -> Result<(), KeystoreError> {
        self.put(AUTHORITY_KEY, key.expose().as_bytes())
    }

    /// Puts the authority together, if this node has its key.
    pub fn authority(&self, cluster: ClusterId) -> Result<Option<Authority>, KeystoreError> {
        let (Some(certificate), Some(key)) = (self.authority_certificate()?, self.text(AUTHORITY_KEY)?) else {
            return Ok(None);
        };
        Ok(Some(Authority::load(cluster, certificate, &key)?))
    }

    /// Keeps the node's own private key before it is certified, so that a join that is tried again is the same join.
    pub fn put_node_key(&self, key: &SecretText) -> Result<(), KeystoreError> {
        self.put(NODE_KEY, key.expose().as_bytes())
    }

    /// Reads the node's own private key, certified or not.
    pub fn node_key(&self) -> Result<Option<SecretText>, KeystoreError> {
        self.text(NODE_KEY)
    }

    /// Whether this node has the authority's private key.
    pub fn has_authority_key(&self) -> Result<bool, KeystoreError> {
        Ok(self.files.exists(&self.folder.join(AUTHORITY_KEY))?)
    }

    /// Keeps the node's own certificate and key.
    pub fn put_node(&self, credentials: &Credentials) -> Result<(), KeystoreError> {
        self.put(NODE_KEY, credentials.key_pem.expose().as_bytes())?;
        self.put(NODE_CHAIN, credentials.chain_pem.as_bytes())
    }

    /// Reads the node's own certificate and key.
    pub fn node(&self) -> Result<Option<Credentials>, KeystoreError> {
        let (Some(chain), Some(key_pem)) = (self.text(NODE_CHAIN)?, self.text(NODE_KEY)?) else {
            return Ok(None);
        };
        Ok(Some(Credentials { chain_pem: chain.expose().to_owned(), key_pem }))
    }

    /// Keeps the seed of the gear table, by which files are cut into blocks.
    pub fn put_gear_seed(&self, seed: &Secret<8>) -> Result<(), KeystoreError> {
        self.put_secret(GEAR_SEED, seed.expose())
    }

    /// Reads the seed of the gear table.
    pub fn gear_seed(&self) -> Result<Option<Secret<8>>, KeystoreError> {
        self.secret(GEAR_SEED)
    }

    /// Keeps the keys of a repository.
    pub fn put_repository(&self, repository: RepositoryId, keys: &RepositoryKeys) -> Result<(), KeystoreError> {
        self.put_secret(&repository_file(repository), keys.expose())
    }

    /// Reads the keys of a repository.
    pub fn repository(&self, repository: RepositoryId) -> Result<Option<RepositoryKeys>, KeystoreError> {
        self.secret(&repository_file(repository))
    }

    /// The repositories whose keys the node has.
    pub fn repositories(&self) -> Result<Vec<RepositoryId>, KeystoreError> {
        let entries = self.files.list(&self.folder)?;
        Ok(entries.iter().filter_map(|entry| entry.name.to_str().and_then(repository_of_file)).collect())
    }

    fn put_secret(&self, name: &str, bytes: &[u8]) -> Result<(), KeystoreError> {
        let text = SecretText::new(format!("{SECRET_HEADER} {}\n", hex(bytes)));
        self.put(name, text.expose().as_bytes())
    }

    fn secret<const LENGTH: usize>(&self, name: &str) -> Result<Option<Secret<LENGTH>>, KeystoreError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let malformed = |reason: String| KeystoreError::Malformed { path: self.folder.join(name), reason };
        let (header, digits) = text.expose().trim_end().split_once(' ').unwrap_or_default();
        if header != SECRET_HEADER {
            return Err(malformed(format!("it does not begin with {SECRET_HEADER:?}")));
        }
        let bytes = from_hex(digits).ok_or_else(|| malformed(format!("it does not hold {LENGTH} bytes in hex")))?;
        Ok(Some(Secret::new(bytes)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), KeystoreError> {
        Ok(self.files.write_atomic(&self.folder.join(name), bytes, 0o600)?)
    }

    fn text(&self, name: &str) -> Result<Option<SecretText>, KeystoreError> {
        let path = self.folder.join(name);
        if !self.files.exists(&path)? {
            return Ok(None);
        }
        let mode = self.files.mode(&path)?;
        if mode & 0o077 != 0 {
            return Err(KeystoreError::Exposed { path, mode });
        }
        let malformed = |_| KeystoreError::Malformed { path: path.clone(), reason: "it is not text".to_owned() };
        String::from_utf8(self.files.read(&path)?).map(|text| Some(SecretText::new(text))).map_err(malformed)
    }
}

fn repository_file(repository: RepositoryId) -> String {
    format!("{REPOSITORY_PREFIX}{repository}{REPOSITORY_SUFFIX}")
}

fn repository_of_file(name: &str) -> Option<RepositoryId> {
    name.strip_prefix(REPOSITORY_PREFIX)?.strip_suffix(REPOSITORY_SUFFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeKey;
    use types::{NodeId, Timestamp};

    const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };

    fn keystore(folder: &tempfile::TempDir) -> Keystore {
        Keystore::open(Files::real(), folder.path().join("keystore")).unwrap()
    }

    #[test]
    fn everything_comes_back_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore(&folder);
        let cluster = ClusterId(uuid::Uuid::from_u128(1));
        let repository = RepositoryId(uuid::Uuid::from_u128(2));
        let authority = Authority::create(cluster, NOW).unwrap();
        let key = NodeKey::generate().unwrap();
        let certificate = authority.sign_node(&key.signing_request().unwrap(), NodeId(1), [1; 16], NOW).unwrap();
        let node = Credentials::new(&certificate, authority.certificate(), &key).unwrap();
        let keys = RepositoryKeys::new([3; 96]);

        keystore.put_authority_certificate(authority.certificate()).unwrap();
        assert!(keystore.authority(cluster).unwrap().is_none(), "without its key there is no authority");
        keystore.put_authority_key(&authority.key_pem()).unwrap();
        keystore.put_node(&node).unwrap();
        keystore.put_gear_seed(&Secret::new([7; 8])).unwrap();
        keystore.put_repository(repository, &keys).unwrap();

        assert_eq!(keystore.authority(cluster).unwrap().unwrap().certificate(), authority.certificate());
        assert_eq!(keystore.node().unwrap().unwrap().fingerprint().unwrap(), key.fingerprint());
        assert_eq!(keystore.gear_seed().unwrap(), Some(Secret::new([7; 8])));
        assert_eq!(keystore.repository(repository).unwrap(), Some(keys));
        assert_eq!(keystore.repositories().unwrap(), [repository]);
        let names = Files::real().list(&keystore.folder).unwrap();
        assert_eq!(names.len(), 6, "{names:?}");
        for entry in names {
            assert_eq!(Files::real().mode(&entry.path).unwrap(), 0o600, "{entry:?}");
        }
        assert_eq!(Files::real().mode(&keystore.folder).unwrap(), 0o700);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore(&folder);
        keystore.put_gear_seed(&Secret::new([7; 8])).unwrap();
        Files::real().set_mode(&keystore.folder.join(GEAR_SEED), 0o640).unwrap();
        assert!(matches!(keystore.gear_seed(), Err(KeystoreError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_damaged_file_is_named_and_its_content_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = keystore(&folder);
        for damaged in ["holdfast-secret-1 abcdef\n", "holdfast-secret-9 0102030405060708\n", ""] {
            keystore.put(GEAR_SEED, damaged.as_bytes()).unwrap();
            let error = keystore.gear_seed().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let text = error.to_string();
            assert!(text.contains("gear.seed") && !text.contains("abcdef"), "{text}");
        }
    }
}
