//! The join tokens that a node has issued.
//!
//! The book is a file of mode 0600 that holds hashes of secrets, never secrets. A token is redeemed by the node that
//! issued it, because secrets never go through Raft (rule P32).
//!
//! **Order.** A redemption is on disk before the joining node is registered, so a crash in between costs the token
//! nothing: the same key may redeem it again and gets the same node number, another key is refused for good.
//!
//! **Limits.** [`TOKENS_MAX`] open tokens; expired ones are forgotten when a new one is issued. Expiry follows the wall
//! clock of the issuing node: a token is a convenience with a time limit, not a proof of order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use runtime::{FileError, Files, Seed};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{ClusterId, ErrorKind, Timestamp};

use crate::pki::{hex, sha256};
use crate::{AuthorityCertificate, KeyFingerprint, Secret, Token};

/// More open tokens than any admin needs at once.
const TOKENS_MAX: usize = 256;
pub(crate) const FORMAT: u32 = 1;

/// Why a token could not be issued or redeemed.
#[derive(Debug, Error)]
pub enum TokenBookError {
    /// Nobody issued it here, or it has expired and was forgotten.
    #[error("the join token is not known here: it has expired or was issued by another node; make a new one")]
    Unknown,
    /// It is too old.
    #[error("the join token has expired: make a new one with `holdfast cluster token`")]
    Expired,
    /// Another node has used it.
    #[error("the join token was used by another node: make a new one with `holdfast cluster token`")]
    Used,
    /// Too many are open.
    #[error("{TOKENS_MAX} join tokens are open: wait until some are used or expire")]
    TooMany,
    /// The book could not be read or written.
    #[error("cannot keep the book of join tokens")]
    File(#[from] FileError),
    /// The book is not what was written.
    #[error("the book of join tokens {path:?} is malformed: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl TokenBookError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown | Self::Expired | Self::Used => ErrorKind::Denied,
            Self::TooMany => ErrorKind::Conflict,
            Self::File(_) => ErrorKind::Internal,
            Self::Malformed { .. } => ErrorKind::Corrupt,
        }
    }
}

/// The tokens issued on this node. Its methods write a file, so they belong on a blocking thread.
#[derive(Debug)]
pub struct TokenBook {
    files: Files,
    path: PathBuf,
    page: Page,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    format: u32,
    /// By the SHA-256 of the secret, in hex.
    #[serde(default)]
    token: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    expires_at_seconds: i64,
    /// The fingerprint of the key that redeemed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redeemed_by: Option<String>,
}

impl TokenBook {
    /// Opens the book, which need not exist yet.
    pub fn open(files: Files, path: PathBuf) -> Result<Self, TokenBookError> {
        let page = if files.exists(&path)? { read_page(&files, &path)? } else { Page::empty() };
        Ok(Self { files, path, page })
    }

    /// Issues a token for one node.
    pub fn issue(
        &mut self,
        cluster: ClusterId,
        address: String,
        authority: &AuthorityCertificate,
        expiry: Expiry,
        seed: &Seed,
    ) -> Result<Token, TokenBookError> {
        let mut secret = [0; 32];
        seed.fill(&mut secret);
        let mut page = self.page.clone();
        page.token.retain(|_, entry| entry.expires_at_seconds > expiry.now.seconds);
        if page.token.len() >= TOKENS_MAX {
            return Err(TokenBookError::TooMany);
        }
        page.token.insert(hex(&sha256(&secret)), Entry { expires_at_seconds: expiry.at_seconds(), redeemed_by: None });
        self.write(page)?;
        Ok(Token { cluster, address, authority_pin: authority.pin(), secret: Secret::new(secret) })
    }

    /// Whether a secret is that of a token with which somebody may still join. It costs next to nothing, so that it can
    /// be asked before anything else is done for somebody who may be anybody.
    pub fn check(&self, secret: &[u8], now: Timestamp) -> Result<(), TokenBookError> {
        let hash = hex(&sha256(secret));
        let mut found = Err(TokenBookError::Unknown);
        for (known, entry) in &self.page.token {
            if is_same(known, &hash) {
                found = entry.check(now);
            }
        }
        found
    }

    /// Redeems a token for the node that holds the key. The same key may do it again.
    pub fn redeem(&mut self, secret: &[u8], key: &KeyFingerprint, now: Timestamp) -> Result<(), TokenBookError> {
        self.check(secret, now)?;
        let mut page = self.page.clone();
        let entry = page.token.get_mut(&hex(&sha256(secret))).ok_or(TokenBookError::Unknown)?;
        match &entry.redeemed_by {
            Some(holder) if holder == key.as_str() => return Ok(()),
            Some(_) => return Err(TokenBookError::Used),
            None => entry.redeemed_by = Some(key.as_str().to_owned()),
        }
        self.write(page)
    }

    fn write(&mut self, page: Page) -> Result<(), TokenBookError> {
        let text = toml::to_string(&page)
            .map_err(|error| TokenBookError::Malformed { path: self.path.clone(), reason: error.to_string() })?;
        self.files.write_atomic(&self.path, text.as_bytes(), 0o600)?;
        self.page = page;
        Ok(())
    }
}

impl Entry {
    /// A token that was used stays good for the node that used it: its answer may have been lost.
    const fn check(&self, now: Timestamp) -> Result<(), TokenBookError> {
        if self.redeemed_by.is_none() && self.expires_at_seconds <= now.seconds {
            return Err(TokenBookError::Expired);
        }
        Ok(())
    }
}

/// Compares two texts in a time that does not tell where they differ.
fn is_same(left: &str, right: &str) -> bool {
    let differing = left.bytes().zip(right.bytes()).fold(0, |bits, (left, right)| bits | (left ^ right));
    std::hint::black_box(differing) == 0 && left.len() == right.len()
}

/// When a token that is issued now expires.
#[derive(Clone, Copy, Debug)]
pub struct Expiry {
    /// Now.
    pub now: Timestamp,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Expiry {
    fn at_seconds(self) -> i64 {
        self.now.seconds.saturating_add(i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX))
    }
}

impl Page {
    const fn empty() -> Self {
        Self { format: FORMAT, token: BTreeMap::new() }
    }
}

fn read_page(files: &Files, path: &std::path::Path) -> Result<Page, TokenBookError> {
    let malformed = |reason: String| TokenBookError::Malformed { path: path.to_owned(), reason };
    let text = String::from_utf8(files.read(path)?).map_err(|error| malformed(error.to_string()))?;
    let page: Page = toml::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    if page.format == FORMAT { Ok(page) } else { Err(malformed(format!("format {} is not known", page.format))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, NodeKey};

    const NOW: Timestamp = Timestamp { seconds: 1_800_000_000, nanoseconds: 0 };
    const HOUR: Duration = Duration::from_secs(3600);

    struct World {
        folder: tempfile::TempDir,
        authority: Authority,
    }

    impl World {
        fn new() -> Self {
            let cluster = ClusterId(uuid::Uuid::from_u128(1));
            Self { folder: tempfile::tempdir().unwrap(), authority: Authority::create(cluster, NOW).unwrap() }
        }

        fn book(&self) -> TokenBook {
            TokenBook::open(Files::real(), self.folder.path().join("tokens")).unwrap()
        }

        fn issue(&self, book: &mut TokenBook) -> Token {
            let cluster = ClusterId(uuid::Uuid::from_u128(1));
            let expiry = Expiry { now: NOW, lifetime: HOUR };
            book.issue(cluster, "n1:7400".to_owned(), self.authority.certificate(), expiry, &Seed::from_os()).unwrap()
        }
    }

    fn later(seconds: i64) -> Timestamp {
        Timestamp { seconds: NOW.seconds + seconds, nanoseconds: 0 }
    }

    #[test]
    fn a_token_is_good_for_one_key_and_for_that_one_again() {
        let world = World::new();
        let token = world.issue(&mut world.book());
        let (key, other) = (NodeKey::generate().unwrap().fingerprint(), NodeKey::generate().unwrap().fingerprint());
        world.book().redeem(token.secret.expose(), &key, NOW).unwrap();
        let mut reopened = world.book();
        reopened.redeem(token.secret.expose(), &key, later(7200)).unwrap();
        assert!(matches!(reopened.redeem(token.secret.expose(), &other, NOW), Err(TokenBookError::Used)));
    }

    #[test]
    fn an_expired_or_unknown_token_is_refused() {
        let world = World::new();
        let mut book = world.book();
        let token = world.issue(&mut book);
        let key = NodeKey::generate().unwrap().fingerprint();
        assert!(matches!(book.redeem(token.secret.expose(), &key, later(3600)), Err(TokenBookError::Expired)));
        assert!(matches!(book.redeem(&[0; 32], &key, NOW), Err(TokenBookError::Unknown)));
        book.redeem(token.secret.expose(), &key, later(3599)).unwrap();
    }

    #[test]
    fn a_secret_is_checked_without_using_it_up() {
        let world = World::new();
        let mut book = world.book();
        let (token, _other) = (world.issue(&mut book), world.issue(&mut book));
        book.check(token.secret.expose(), NOW).unwrap();
        book.check(token.secret.expose(), later(3599)).unwrap();
        assert!(matches!(book.check(token.secret.expose(), later(3600)), Err(TokenBookError::Expired)));
        for wrong in [&[0; 32], &[][..], &token.secret.expose()[..31]] {
            assert!(matches!(book.check(wrong, NOW), Err(TokenBookError::Unknown)));
        }
        book.redeem(token.secret.expose(), &NodeKey::generate().unwrap().fingerprint(), NOW).unwrap();
        book.check(token.secret.expose(), later(7200)).expect("the same node may come again");
    }

    #[test]
    fn the_book_holds_no_secret() {
        let world = World::new();
        let token = world.issue(&mut world.book());
        let text = String::from_utf8(Files::real().read(&world.folder.path().join("tokens")).unwrap()).unwrap();
        assert!(!text.contains(&hex(token.secret.expose())));
        assert!(text.contains(&hex(&sha256(token.secret.expose()))));
    }

    #[test]
    fn a_damaged_book_is_named() {
        let world = World::new();
        let path = world.folder.path().join("tokens");
        Files::real().write_atomic(&path, b"format = 2\n", 0o600).unwrap();
        let error = TokenBook::open(Files::real(), path.clone()).unwrap_err();
        assert!(error.to_string().contains("tokens") && error.to_string().contains("format 2"), "{error}");
    }
}
