//! What is wrong with a configuration.

use std::path::PathBuf;

use thiserror::Error;
use types::ErrorKind;

/// Why a configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration: {source}")]
    Read {
        /// Names the file.
        #[source]
        source: runtime::FileError,
    },
    /// It is not TOML, a key is unknown or missing, or a value has another type.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line and the key.
        reason: String,
    },
    /// A value cannot be used.
    #[error("{}: {key}: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
}

impl ConfigError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidRequest
    }
}
