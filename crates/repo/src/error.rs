//! What can go wrong with a repository.

use runtime::FileError;
use site::SiteError;
use thiserror::Error;
use types::{Epoch, ErrorKind, RepositoryId, SetId};

use crate::ObjectNumber;
use crate::names::{BOOTSTRAP_NAME, TABLES_PREFIX};

/// Why something in a repository could not be written or read. Every variant names the object that it is about, once.
#[derive(Debug, Error)]
pub enum RepoError {
    /// The site failed.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// There is no repository at the site.
    #[error("there is no repository at {site}: it has no holdfast.json")]
    NoRepository {
        /// The site.
        site: String,
    },
    /// The bytes of an object are not what was written.
    #[error("{name} is damaged: {what}")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An object was written by another version of the format.
    #[error("{name} has format version {found}; this program reads version {supported}: use a newer program")]
    Version {
        /// The object.
        name: String,
        /// Its version.
        found: u32,
        /// The version that this program reads.
        supported: u32,
    },
    /// An object belongs to another repository.
    #[error("{name} belongs to repository {found}, not to {expected}")]
    Foreign {
        /// The object.
        name: String,
        /// The repository that it names.
        found: RepositoryId,
        /// The repository that is being read.
        expected: RepositoryId,
    },
    /// A part of a repository is not there.
    #[error("{name} is missing; {needed_by} needs it")]
    Missing {
        /// The object.
        name: String,
        /// What names it.
        needed_by: String,
    },
    /// The passphrase does not open the repository's keys.
    #[error("the passphrase does not open {name}: check it, or give the recovery kit")]
    WrongPassphrase {
        /// The key object.
        name: String,
    },
    /// The private key, or the metadata keys, are those of another repository.
    #[error("the key does not belong to the repository: it does not fit {name}")]
    WrongKey {
        /// The key object.
        name: String,
    },
    /// Reading blocks takes the private key.
    #[error("{name} cannot be read without the private key: give the passphrase or the recovery kit")]
    NeedsPrivateKey {
        /// The object.
        name: String,
    },
    /// The passphrase is too short to protect anything.
    #[error("a passphrase needs at least {least} characters")]
    ShortPassphrase {
        /// The least length in characters.
        least: usize,
    },
    /// Two clusters own the repository.
    #[error("two clusters own the repository: {first} and {second}; adopt it with the one that is to go on")]
    TwoOwners {
        /// One owner object.
        first: String,
        /// The other.
        second: String,
    },
    /// Two commits of one generation and number: two clusters wrote as one owner (rule P22).
    #[error("the repository has forked: {first} and {second} have the same number; no backup may start")]
    Fork {
        /// One commit.
        first: String,
        /// The other.
        second: String,
    },
    /// More commits of one generation and number than anybody but a vandal writes.
    #[error(
        "more than {most} names among the commits have number {number}, {name} among them: somebody puts names there; \
         `holdfast repo check` tells which of them are none of the repository, take those away"
    )]
    Twins {
        /// The number.
        number: u64,
        /// The first name that was not looked at any more.
        name: String,
        /// How many are opened.
        most: usize,
    },
    /// The repository has no such backup.
    #[error("the repository has no backup {epoch} of set {set}: `holdfast repo list` shows what it has")]
    NoBackup {
        /// The backup.
        epoch: Epoch,
        /// The set.
        set: SetId,
    },
    /// The commit of a backup is missing or damaged.
    #[error("backup {epoch} cannot be read: {name}: {what}; `holdfast repo list` shows those that can")]
    LostBackup {
        /// The backup.
        epoch: Epoch,
        /// Its commit.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A row points to an object that nobody knows.
    #[error("a row of {name} points to object {number}, which the repository does not have")]
    UnknownObject {
        /// The object whose row it is.
        name: String,
        /// The number.
        number: ObjectNumber,
    },
    /// Rows that are being merged do not fit in memory, and the folder for them cannot be used.
    #[error("cannot keep rows while they are merged: {0}")]
    Spool(#[from] FileError),
    /// A limit of the format was met.
    #[error("{name} would exceed a limit of the format: {limit}")]
    Limit {
        /// The object.
        name: String,
        /// The limit.
        limit: &'static str,
    },
}

impl RepoError {
    pub(crate) fn damaged(name: impl ToString, what: &'static str) -> Self {
        Self::Damaged { name: name.to_string(), what }
    }

    /// Says who needs an object that is not there; every other error stays as it is.
    pub(crate) fn missing(error: SiteError, needed_by: impl ToString) -> Self {
        match error {
            SiteError::NotFound { name, .. } => Self::Missing { name, needed_by: needed_by.to_string() },
            SiteError::OutOfRange { name, .. } => Self::Damaged { name, what: "it is shorter than it was" },
            SiteError::TooLong { name, .. } => Self::Damaged { name, what: "it is longer than the format allows" },
            error => Self::Site(error),
        }
    }

    /// The object that is wrong, and what is wrong with it, for those who write the two in separate places; `None` if
    /// the error is not about one object that is wrong.
    #[must_use]
    pub fn finding(&self) -> Option<(&str, String)> {
        Some(match self {
            Self::NoRepository { .. } => (BOOTSTRAP_NAME, "it is missing; every reader needs it".to_owned()),
            Self::Damaged { name, what } => (name, (*what).to_owned()),
            Self::LostBackup { name, what, .. } => (name, what.clone()),
            Self::Missing { name, needed_by } => (name, format!("it is missing; {needed_by} needs it")),
            Self::Foreign { name, found, .. } => (name, format!("it belongs to another repository, {found}")),
            Self::Version { name, found, .. } => {
                (name, format!("it has format version {found}, which is unknown here"))
            }
            Self::UnknownObject { name, number } => {
                (name, format!("a row points to object {number}, which the repository does not have"))
            }
            _ => return None,
        })
    }

    /// Whether it is about a damaged or missing table, whose rows the objects of its backup have too.
    #[must_use]
    pub fn is_about_a_table(&self) -> bool {
        self.kind() == ErrorKind::Corrupt && self.finding().is_some_and(|(name, _)| name.starts_with(TABLES_PREFIX))
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Site(error) => error.kind(),
            Self::NoRepository { .. } | Self::NoBackup { .. } => ErrorKind::NotFound,
            Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Foreign { .. }
            | Self::LostBackup { .. }
            | Self::UnknownObject { .. } => ErrorKind::Corrupt,
            Self::Version { .. } => ErrorKind::Unsupported,
            Self::WrongPassphrase { .. } | Self::WrongKey { .. } | Self::NeedsPrivateKey { .. } => ErrorKind::Denied,
            Self::ShortPassphrase { .. } | Self::Limit { .. } => ErrorKind::InvalidRequest,
            Self::Spool(error) if error.is_no_space() => ErrorKind::NoSpace,
            Self::Spool(_) => ErrorKind::Unavailable,
            Self::TwoOwners { .. } | Self::Fork { .. } | Self::Twins { .. } => ErrorKind::Conflict,
        }
    }
}
