//! What can go wrong at a site.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;

use thiserror::Error;
use types::ErrorKind;

/// What was asked of a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Put an object that is not there.
    Put,
    /// Read an object.
    Get,
    /// Read a range of an object.
    GetRange,
    /// Ask for an object's size.
    Size,
    /// List names.
    List,
    /// Delete an object.
    Delete,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::GetRange => "get a range of",
            Self::Size => "get the size of",
            Self::List => "list",
            Self::Delete => "delete",
        })
    }
}

/// Why a site could not do what it was asked. Every variant names the site, and the object where there is one.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The text is not the URL of a site.
    #[error("{url:?} is not the URL of a site: {reason}; write file:///absolute/path")]
    NotAUrl {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A kind of site that is not there yet.
    #[error("sites of kind {scheme:?} are not supported yet ({url}); supported is file:///absolute/path")]
    Unsupported {
        /// The URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// The folder of a `file://` site cannot be used. It is never made: where something should be mounted and is not, a
    /// backup would go to the wrong disk.
    #[error(
        "the folder of site {site} cannot be used ({}): mount what belongs there, or make it first",
        told(cause.as_ref())
    )]
    Folder {
        /// The site.
        site: String,
        /// Why not. The text has it with all its own causes; it is no source, so that nobody tells it again.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The path of a `file://` site leads to another folder than when the site was opened.
    #[error("the folder of site {site} is not the one that it was: its mount was lost, or something else was mounted")]
    Replaced {
        /// The site.
        site: String,
    },
    /// The name is not one that every object store takes.
    #[error("{name:?} is not the name of an object at site {site}")]
    BadName {
        /// The site.
        site: String,
        /// The name.
        name: String,
    },
    /// There is no such object.
    #[error("there is no object {name} at site {site}")]
    NotFound {
        /// The site.
        site: String,
        /// The object.
        name: String,
    },
    /// An object of that name is there, with other bytes.
    #[error("object {name} is already at site {site}, with other bytes: another writer uses this repository")]
    Different {
        /// The site.
        site: String,
        /// The object.
        name: String,
    },
    /// The object is shorter than the range that was asked for.
    #[error("object {name} at site {site} has no bytes {}..{}: it was cut, or is another one", range.start, range.end)]
    OutOfRange {
        /// The site.
        site: String,
        /// The object.
        name: String,
        /// The range in bytes.
        range: Range<u64>,
    },
    /// More is to be read at once than any object of ours has.
    #[error(
        "object {name} at site {site} is too long to be one of a repository: {length} bytes were to be read at once"
    )]
    TooLong {
        /// The site.
        site: String,
        /// The object.
        name: String,
        /// How many bytes were to be read.
        length: u64,
    },
    /// The store failed.
    #[error("cannot {operation} {name} at site {site}: {}", told(cause.as_ref()))]
    Store {
        /// The site.
        site: String,
        /// The object, or the prefix of a listing.
        name: String,
        /// What was asked.
        operation: Operation,
        /// Why it failed. The text has it with all its own causes; it is no source, so that nobody tells it again.
        cause: Box<dyn Error + Send + Sync>,
    },
    /// The store does not keep a promise that repositories rely on.
    #[error("site {site} cannot keep a repository: {broken}")]
    Probe {
        /// The site.
        site: String,
        /// The promise that it broke.
        broken: &'static str,
    },
}

impl SiteError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAUrl { .. } | Self::BadName { .. } => ErrorKind::InvalidRequest,
            Self::Unsupported { .. } | Self::Probe { .. } => ErrorKind::Unsupported,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Different { .. } | Self::Replaced { .. } => ErrorKind::Conflict,
            Self::OutOfRange { .. } | Self::TooLong { .. } => ErrorKind::Corrupt,
            Self::Folder { cause, .. } | Self::Store { cause, .. } => kind_of_cause(cause.as_ref()),
        }
    }
}

/// A cause with its own causes, each said once: most libraries put the text of a cause into their own.
fn told(cause: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(error) = next {
        let below = error.to_string();
        if !text.contains(&below) {
            text = format!("{text}: {below}");
        }
        next = error.source();
    }
    text
}

/// Looks for the operating system's answer in the chain of causes: a full disk and a missing right need other hands
/// than a network that is down.
fn kind_of_cause(cause: &(dyn Error + 'static)) -> ErrorKind {
    let mut next = Some(cause);
    while let Some(error) = next {
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => return ErrorKind::NoSpace,
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => return ErrorKind::Denied,
            Some(io::ErrorKind::NotFound) => return ErrorKind::NotFound,
            _ => next = error.source(),
        }
    }
    ErrorKind::Unavailable
}
