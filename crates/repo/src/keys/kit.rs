//! The recovery kit: what must survive the cluster.

use std::fmt;
use std::str::FromStr;

use runtime::Seed;
use thiserror::Error;
use types::{ErrorKind, RepositoryId};

use super::{PrivateKey, Secret};
use crate::hex::Hex;

const TITLE: &str = "Holdfast recovery kit, version 1";

/// What restores a repository when everything else is gone: where it is, which one, and its private key. It is written
/// as text that can be printed and typed.
#[derive(Clone)]
pub struct RecoveryKit {
    /// The URL of the repository's site.
    pub url: String,
    /// The repository.
    pub repository: RepositoryId,
    /// The private half of its data key.
    pub private: PrivateKey,
}

/// Why a text is not a recovery kit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KitError {
    /// The first line is another one.
    #[error("this is not a recovery kit: its first line should be {TITLE:?}")]
    NotAKit,
    /// A line is missing or malformed.
    #[error("the recovery kit has no line {field:?} that can be read")]
    Line {
        /// What the line begins with.
        field: &'static str,
    },
    /// The checksum is that of another text: something was mistyped.
    #[error("the checksum of the recovery kit is wrong: compare it with the original, letter by letter")]
    Checksum,
}

impl KitError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidRequest
    }
}

impl RecoveryKit {
    /// The text of the kit. It holds the private key: it belongs on paper or in a safe, never in a log.
    #[must_use]
    pub fn to_text(&self) -> String {
        let key = Hex(*self.private.expose()).to_string();
        let groups: Vec<&str> = key.as_bytes().chunks(8).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        let (first, second) = groups.split_at(groups.len() / 2);
        format!(
            "{TITLE}\n\nWhoever has this key can read every backup in the repository. Keep it away from the cluster.\n\n\
             repository url: {}\nrepository id:  {}\nprivate key:    {}\n                {}\nchecksum:       {}\n",
            self.url,
            self.repository,
            first.join(" "),
            second.join(" "),
            self.checksum()
        )
    }

    /// Draws no secret: it is for tests of the callers that only need some kit.
    #[doc(hidden)]
    #[must_use]
    pub fn example(seed: &Seed) -> Self {
        let private = PrivateKey::new(Secret::random(seed));
        Self { url: "file:///srv/backup".into(), repository: RepositoryId(seed.uuid()), private }
    }

    fn checksum(&self) -> Hex<4> {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast recovery kit checksum v1");
        hasher.update(self.private.expose()).update(self.repository.0.as_bytes()).update(self.url.as_bytes());
        let mut checksum = [0; 4];
        hasher.finalize_xof().fill(&mut checksum);
        Hex(checksum)
    }
}

impl FromStr for RecoveryKit {
    type Err = KitError;

    fn from_str(text: &str) -> Result<Self, KitError> {
        if text.trim_start().lines().next().map(str::trim) != Some(TITLE) {
            return Err(KitError::NotAKit);
        }
        let line = |field: &'static str| value(text, field).ok_or(KitError::Line { field });
        let repository = line("repository id")?.parse().map_err(|_| KitError::Line { field: "repository id" })?;
        let key = digits(&line("private key")?).and_then(|digits| Hex::parse(&digits));
        let private = PrivateKey::new(Secret::new(key.ok_or(KitError::Line { field: "private key" })?.0));
        let checksum = digits(&line("checksum")?).and_then(|digits| Hex::parse(&digits));
        let kit = Self { url: line("repository url")?, repository, private };
        let checksum = checksum.ok_or(KitError::Line { field: "checksum" })?;
        if checksum == kit.checksum() { Ok(kit) } else { Err(KitError::Checksum) }
    }
}

/// The value of a field: what follows its colon, and lines that go on without a colon.
fn value(text: &str, field: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.split(':').next().map(str::trim) != Some(field));
    let (_, first) = lines.next()?.split_once(':')?;
    let more = lines.take_while(|line| !line.contains(':') && !line.trim().is_empty());
    Some(std::iter::once(first).chain(more).map(str::trim).collect::<Vec<_>>().join(" "))
}

/// Hex digits as people type them: spaces and capitals do not matter.
fn digits(text: &str) -> Option<String> {
    Some(text.split_whitespace().collect::<String>().to_lowercase())
}

impl fmt::Debug for RecoveryKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecoveryKit({} at {})", self.repository, self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kit_comes_back_from_its_text_however_it_is_typed() {
        let kit = RecoveryKit::example(&Seed::fixed(1));
        let text = kit.to_text();
        for typed in [text.clone(), text.replace('\n', "\r\n"), format!("\n{text}\n"), text.replace("  ", " ")] {
            let read: RecoveryKit = typed.parse().unwrap();
            assert_eq!((read.url.as_str(), read.repository), (kit.url.as_str(), kit.repository));
            assert_eq!(read.private.expose(), kit.private.expose());
        }
    }

    #[test]
    fn a_mistyped_digit_is_found() {
        let text = RecoveryKit::example(&Seed::fixed(1)).to_text();
        let start = text.find("private key:").unwrap() + 16;
        for (place, digit) in text.char_indices().skip(start).filter(|(_, digit)| digit.is_ascii_hexdigit()) {
            let other = if digit == '0' { '1' } else { '0' };
            let mistyped: String =
                text.char_indices().map(|(at, kept)| if at == place { other } else { kept }).collect();
            assert!(mistyped.parse::<RecoveryKit>().is_err(), "{place}");
        }
    }

    #[test]
    fn what_is_no_kit_is_refused_with_the_reason() {
        assert_eq!("".parse::<RecoveryKit>().unwrap_err(), KitError::NotAKit);
        let text = RecoveryKit::example(&Seed::fixed(1)).to_text();
        let without_key = text.replace("private key", "key");
        assert_eq!(without_key.parse::<RecoveryKit>().unwrap_err(), KitError::Line { field: "private key" });
        let elsewhere = text.replace("/srv/backup", "/srv/other");
        assert_eq!(elsewhere.parse::<RecoveryKit>().unwrap_err(), KitError::Checksum);
    }
}
