//! The key of an upload object.

use types::RepositoryId;

use super::slot::{OpenedSlot, SlotContext};
use crate::keys::{PrivateKey, Secret, WrappedKey, unwrap_object_key};
use crate::names::{Name, Writer};
use crate::rows::{Location, ObjectRow};
use crate::{KeyedDigest, RepoError, WriterKeys};

/// The unwrapped key of one upload object: opens its slots.
#[derive(Debug)]
pub struct ObjectKey {
    name: String,
    key: Secret,
    context: SlotContext,
}

impl ObjectKey {
    /// Unwraps the key of an object.
    ///
    /// # Errors
    /// [`RepoError::Damaged`]: row or trailer were changed, or belong to an object of another name or repository.
    pub fn unwrap(row: &ObjectRow, repository: RepositoryId, private: &PrivateKey) -> Result<Self, RepoError> {
        Self::of(&row.writer, repository, row.salt, &row.wrapped_key, private)
    }

    pub(super) fn of(
        writer: &Writer,
        repository: RepositoryId,
        salt: [u8; 16],
        wrapped: &WrappedKey,
        private: &PrivateKey,
    ) -> Result<Self, RepoError> {
        let name = Name::Object(*writer).to_string();
        let context = key_context(repository, &salt, &name);
        match unwrap_object_key(private, &context, wrapped) {
            Ok(key) => Ok(Self { name, key, context: SlotContext { repository, salt } }),
            Err(_) => Err(RepoError::damaged(name, "its key does not unwrap")),
        }
    }

    /// Opens a sealed slot as it was read from the object.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] names the object and says what is wrong with the slot.
    pub fn open(&self, slot: u32, sealed: &[u8]) -> Result<OpenedSlot, RepoError> {
        self.context.open(&self.key, slot, sealed).map_err(|what| RepoError::damaged(&self.name, what))
    }

    /// Takes a member out of an opened slot and checks its digest.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] names the object and says what is wrong with the member.
    pub fn member(
        &self,
        slot: &OpenedSlot,
        location: &Location,
        digest: &KeyedDigest,
        keys: &WriterKeys,
    ) -> Result<bytes::Bytes, RepoError> {
        slot.member(location, digest, keys).map_err(|what| RepoError::damaged(&self.name, what))
    }
}

/// What an object's wrapped key is bound to.
pub(super) fn key_context(repository: RepositoryId, salt: &[u8; 16], name: &str) -> Vec<u8> {
    [repository.0.as_bytes(), salt, name.as_bytes()].concat()
}
