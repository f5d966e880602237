//! `state/…`: the cluster's own configuration at an epoch (rule P24). What is in it is the cluster's business.

use bytes::Bytes;
use runtime::Seed;
use types::RepositoryId;

use crate::commit::StateReference;
use crate::names::{Name, Writer};
use crate::sealed::Kind;
use crate::{RepoError, WriterKeys};

const KIND: Kind = Kind { magic: b"HFstate", version: 1, purpose: "holdfast repository state v1" };

/// A sealed configuration, to be put under its name.
#[derive(Clone, Debug)]
pub struct SealedState {
    /// What the commit says of it.
    pub reference: StateReference,
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Bytes,
}

impl SealedState {
    /// Seals a configuration.
    ///
    /// # Errors
    /// [`RepoError::Limit`]: it is longer than 64 MiB.
    pub fn seal(
        writer: Writer,
        repository: RepositoryId,
        keys: &WriterKeys,
        seed: &Seed,
        plain: &[u8],
    ) -> Result<Self, RepoError> {
        let name = Name::State(writer).to_string();
        let bytes = KIND.seal(&name, repository, keys, seed, plain)?;
        let (size, hash) = (bytes.len() as u64, *blake3::hash(&bytes).as_bytes());
        Ok(Self { reference: StateReference { writer, size, hash }, name, bytes })
    }

    /// Opens a configuration as it was read from the site.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], [`RepoError::Version`] or [`RepoError::Foreign`].
    pub fn open(
        writer: Writer,
        repository: RepositoryId,
        keys: &WriterKeys,
        bytes: &[u8],
    ) -> Result<Vec<u8>, RepoError> {
        KIND.open(&Name::State(writer).to_string(), repository, keys, bytes)
    }
}
