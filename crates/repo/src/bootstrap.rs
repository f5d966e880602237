//! `holdfast.json`: the one object with a known name. It says that this is a repository, of which format, and which one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::RepositoryId;

use crate::names::BOOTSTRAP_NAME;
use crate::{RepoError, json};

/// The version of the format of repositories.
pub(crate) const VERSION: u32 = 1;

/// The bootstrap object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    format_version: u32,
    /// The repository.
    pub repository: RepositoryId,
}

impl Bootstrap {
    /// The bootstrap of a new repository.
    #[must_use]
    pub const fn new(repository: RepositoryId) -> Self {
        Self { format_version: VERSION, repository }
    }

    /// The bytes that go to the site.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec_pretty(self).expect("plain values of ours become JSON").into()
    }

    /// The inverse of [`Bootstrap::encode`].
    ///
    /// # Errors
    /// [`RepoError::Damaged`] or [`RepoError::Version`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RepoError> {
        json::version(BOOTSTRAP_NAME, bytes, VERSION)?;
        serde_json::from_slice(bytes).map_err(|_| RepoError::damaged(BOOTSTRAP_NAME, "it is not a bootstrap"))
    }
}
