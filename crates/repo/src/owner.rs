//! `owner/…`: the cluster that may write (rule P21).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use types::{ClusterId, Generation, RepositoryId};

use crate::names::Name;
use crate::{RepoError, json};

/// The version of owner objects.
pub(crate) const VERSION: u32 = 1;

/// Says that from its generation on this cluster owns the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnerObject {
    format_version: u32,
    /// The repository.
    pub repository: RepositoryId,
    /// The generation.
    pub generation: Generation,
    /// The cluster.
    pub cluster: ClusterId,
}

impl OwnerObject {
    /// Makes the cluster the owner from that generation on.
    #[must_use]
    pub const fn new(repository: RepositoryId, generation: Generation, cluster: ClusterId) -> Self {
        Self { format_version: VERSION, repository, generation, cluster }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Name {
        Name::Owner { generation: self.generation, cluster: self.cluster }
    }

    /// The bytes that go to the site.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec_pretty(self).expect("plain values of ours become JSON").into()
    }

    /// The inverse of [`OwnerObject::encode`].
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Version`] or [`RepoError::Foreign`]; also if it says another thing than its
    /// name.
    pub fn decode(name: &str, bytes: &[u8], repository: RepositoryId) -> Result<Self, RepoError> {
        json::version(name, bytes, VERSION)?;
        let owner: Self =
            serde_json::from_slice(bytes).map_err(|_| RepoError::damaged(name, "it is not an owner object"))?;
        if owner.repository != repository {
            let (name, found) = (name.to_owned(), owner.repository);
            return Err(RepoError::Foreign { name, found, expected: repository });
        }
        if owner.name().to_string() == name {
            Ok(owner)
        } else {
            Err(RepoError::damaged(name, "it is not what its name says"))
        }
    }
}
