//! Reading one upload object.

use std::ops::Range;

use bytes::Bytes;
use site::Site;
use types::RepositoryId;

use super::directory::Directory;
use super::footer::FooterKey;
use super::key::ObjectKey;
use super::trailer::{STRIPE_LENGTH, Trailer};
use crate::keys::PrivateKey;
use crate::names::{Name, Writer};
use crate::rows::{ObjectNumber, ObjectRow};
use crate::{RepoError, WriterKeys};

/// Stripes that are read with one request when an object is checked.
const STRIPES_PER_READ: usize = 8;

/// One upload object at a site, its trailer read and checked.
#[derive(Clone, Debug)]
pub struct ObjectReader {
    site: Site,
    writer: Writer,
    name: String,
    trailer: Trailer,
}

impl ObjectReader {
    /// Reads the trailer of an object; no key is needed.
    ///
    /// # Errors
    /// The object is missing, damaged, of another version or of another repository.
    pub async fn open(site: &Site, writer: Writer, repository: RepositoryId) -> Result<Self, RepoError> {
        let name = Name::Object(writer).to_string();
        let trailer = read_trailer(site, &name).await?;
        if trailer.repository != repository {
            return Err(RepoError::Foreign { name, found: trailer.repository, expected: repository });
        }
        Ok(Self { site: site.clone(), writer, name, trailer })
    }

    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its trailer.
    #[must_use]
    pub const fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// The row of the table `objects` that tells of it.
    #[must_use]
    pub fn row(&self, number: ObjectNumber, hash: [u8; 32]) -> ObjectRow {
        ObjectRow {
            number,
            writer: self.writer,
            size: self.trailer.length,
            hash,
            salt: self.trailer.salt,
            wrapped_key: self.trailer.wrapped_key.clone(),
        }
    }

    /// Reads every stripe and compares its CRC: no key is needed. Gives the BLAKE3 of the whole object.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], or the site failed.
    pub async fn check(&self) -> Result<[u8; 32], RepoError> {
        let mut hasher = blake3::Hasher::new();
        let body = self.trailer.body_length();
        let mut offset = 0;
        for crcs in self.trailer.stripes.chunks(STRIPES_PER_READ) {
            let end = body.min(offset + (crcs.len() * STRIPE_LENGTH) as u64);
            let bytes = self.read(offset..end).await?;
            if !bytes.chunks(STRIPE_LENGTH).map(crc32fast::hash).eq(crcs.iter().copied()) {
                return Err(RepoError::damaged(&self.name, "a stripe has a wrong CRC"));
            }
            hasher.update(&bytes);
            offset = end;
        }
        hasher.update(&self.trailer.encode());
        Ok(*hasher.finalize().as_bytes())
    }

    /// Unwraps the object's key.
    ///
    /// # Errors
    /// [`RepoError::Damaged`]: the wrapped key was changed, or the private key is another one.
    pub fn key(&self, private: &PrivateKey) -> Result<ObjectKey, RepoError> {
        ObjectKey::of(&self.writer, self.trailer.repository, self.trailer.salt, &self.trailer.wrapped_key, private)
    }

    /// Reads the directory of the footer.
    pub(crate) async fn directory(&self, keys: &WriterKeys) -> Result<Directory, RepoError> {
        let start = self.trailer.directory_offset;
        let sealed = self.read(start..start.saturating_add(u64::from(self.trailer.directory_length))).await?;
        self.footer_key(keys).open_directory(&sealed).map_err(|what| RepoError::damaged(&self.name, what))
    }

    pub(super) fn footer_key(&self, keys: &WriterKeys) -> FooterKey {
        FooterKey::new(keys, self.trailer.repository, &self.trailer.salt, &self.name)
    }

    /// Reads a range of the object.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes, RepoError> {
        let bytes = self.site.get_range(&self.name, range).await;
        bytes.map_err(|error| RepoError::missing(error, "a commit"))
    }
}

async fn read_trailer(site: &Site, name: &str) -> Result<Trailer, RepoError> {
    let size = site.size(name).await.map_err(|error| RepoError::missing(error, "a commit"))?;
    let length = Trailer::length_for(size);
    if length > size {
        return Err(RepoError::damaged(name, "it is shorter than a trailer"));
    }
    let tail =
        site.get_range(name, size - length..size).await.map_err(|error| RepoError::missing(error, "a commit"))?;
    Trailer::parse(name, size, &tail)
}
