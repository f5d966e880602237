//! A folder as a site.
//!
//! Relies on `object_store`'s local file system with syncing on. Order of durable steps of a put: write a staging file
//! beside the object's place, sync it, hard-link it to the name (which fails if the name is taken, so of two writers one
//! wins), sync the directory, remove the staging file. A crash before the link leaves a staging file, which no listing
//! shows; after the link the object is there and whole. A put that finds the name taken syncs the directory too: the
//! writer before it may have died between its link and its sync.
//!
//! The folder is held open, and is proven to be the one at its path before and after each put, and before anything is
//! told to be absent: below a mount point whose mount is gone lies an empty folder that takes objects gladly. An unmount
//! that is not forced fails while the folder is held; of one that is, a put that runs at that very moment may leave its
//! object in the wrong folder, but fails.
//!
//! A delete is not synced: an object that comes back after a power cut is deleted again by the next run of the reaper.

use std::collections::BinaryHeap;
use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use runtime::{FileError, Files, HeldFolder, blocking};

use crate::{Listed, Medium, Operation, Put, READ_LENGTH_MAX, Reply, SiteError};

/// Keeps objects as files in a folder, `/` in names as subfolders.
#[derive(Debug)]
pub struct Folder {
    site: String,
    path: PathBuf,
    held: Arc<HeldFolder>,
    store: LocalFileSystem,
    files: Files,
}

impl Folder {
    /// Opens a folder that is there.
    ///
    /// # Errors
    /// [`SiteError::Folder`]: there is no such folder, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, SiteError> {
        let (site, files) = (format!("file://{}", path.display()), Files::real());
        let held = files.hold_folder(path).map_err(|cause| folder_error(&site, cause))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|cause| folder_error(&site, cause))?;
        Ok(Self { site, path: path.to_owned(), held: Arc::new(held), store: store.with_fsync(true), files })
    }

    /// Makes sure that the path still leads to the folder that was opened.
    async fn prove(&self) -> Result<(), SiteError> {
        let held = Arc::clone(&self.held);
        match blocking(move || held.is_in_place()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SiteError::Replaced { site: self.site.clone() }),
            Err(cause) => Err(folder_error(&self.site, cause)),
        }
    }

    fn object_path(&self, name: &str) -> Result<ObjectPath, SiteError> {
        // `#` marks staging files, and a path that is parsed to another text would give one object two names.
        let path = ObjectPath::parse(name).ok().filter(|path| path.as_ref() == name && !name.contains('#'));
        let bad = || SiteError::BadName { site: self.site.clone(), name: name.to_owned() };
        path.filter(|_| !name.is_empty()).ok_or_else(bad)
    }

    async fn failed(&self, operation: Operation, name: &str, cause: StoreError) -> SiteError {
        let (site, name) = (self.site.clone(), name.to_owned());
        match cause {
            StoreError::NotFound { .. } => self.prove().await.err().unwrap_or(SiteError::NotFound { site, name }),
            cause => SiteError::Store { site, name, operation, cause: Box::new(cause) },
        }
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<Put, SiteError> {
        let path = self.object_path(name)?;
        self.prove().await?;
        let put = match self.store.put_opts(&path, PutPayload::from(bytes), PutMode::Create.into()).await {
            Ok(_) => Put::Created,
            Err(StoreError::AlreadyExists { .. }) => {
                self.settle(name).await?;
                Put::AlreadyThere
            }
            Err(cause) => return Err(self.failed(Operation::Put, name, cause).await),
        };
        self.prove().await.map(|()| put)
    }

    /// Makes an entry durable that somebody else has made.
    async fn settle(&self, name: &str) -> Result<(), SiteError> {
        let directory = self.path.join(name).parent().map_or_else(|| self.path.clone(), Path::to_owned);
        let files = self.files.clone();
        let synced = blocking(move || files.sync_dir(&directory)).await;
        synced.map_err(|cause: FileError| SiteError::Store {
            site: self.site.clone(),
            name: name.to_owned(),
            operation: Operation::Put,
            cause: Box::new(cause),
        })
    }

    async fn range(&self, name: &str, range: Range<u64>) -> Result<Bytes, SiteError> {
        let path = self.object_path(name)?;
        let outside = |range| SiteError::OutOfRange { site: self.site.clone(), name: name.to_owned(), range };
        if range.start >= range.end {
            return Err(outside(range));
        }
        let wanted = range.end - range.start;
        match self.store.get_range(&path, range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(outside(range)),
            Err(cause) => match self.size_of(name).await {
                Ok(size) if size < range.end => Err(outside(range)),
                _ => Err(self.failed(Operation::GetRange, name, cause).await),
            },
        }
    }

    async fn size_of(&self, name: &str) -> Result<u64, SiteError> {
        let path = self.object_path(name)?;
        match self.store.head(&path).await {
            Ok(meta) => Ok(meta.size),
            Err(cause) => Err(self.failed(Operation::Size, name, cause).await),
        }
    }

    /// A folder has no order, so the smallest names are picked out of all; memory is bounded by the limit.
    async fn listed(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, SiteError> {
        let folder = prefix.rsplit_once('/').map(|(folder, _)| self.object_path(folder)).transpose()?;
        let mut smallest: BinaryHeap<(String, u64)> = BinaryHeap::new();
        let mut found = self.store.list(folder.as_ref());
        loop {
            let meta = match found.try_next().await {
                Ok(Some(meta)) => meta,
                Ok(None) => break,
                Err(cause) => return Err(self.failed(Operation::List, prefix, cause).await),
            };
            let name = String::from(meta.location);
            if !name.starts_with(prefix) || after.is_some_and(|after| name.as_str() <= after) {
                continue;
            }
            smallest.push((name, meta.size));
            if smallest.len() > limit {
                smallest.pop();
            }
        }
        self.prove().await?;
        Ok(smallest.into_sorted_vec().into_iter().map(|(name, size)| Listed { name, size }).collect())
    }
}

impl Medium for Folder {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        self.put(name, bytes).boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        async move {
            let path = self.object_path(name)?;
            let found = match self.store.get(&path).await {
                Ok(found) => found,
                Err(cause) => return Err(self.failed(Operation::Get, name, cause).await),
            };
            if found.meta.size > READ_LENGTH_MAX {
                let (site, length) = (self.site.clone(), found.meta.size);
                return Err(SiteError::TooLong { site, name: name.to_owned(), length });
            }
            match found.bytes().await {
                Ok(bytes) => Ok(bytes),
                Err(cause) => Err(self.failed(Operation::Get, name, cause).await),
            }
        }
        .boxed()
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        self.range(name, range).boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        self.size_of(name).boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        self.listed(prefix, after, limit).boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        async move {
            match self.store.delete(&self.object_path(name)?).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(cause) => Err(self.failed(Operation::Delete, name, cause).await),
            }
        }
        .boxed()
    }
}

fn folder_error(site: &str, cause: impl Error + Send + Sync + 'static) -> SiteError {
    SiteError::Folder { site: site.to_owned(), cause: Box::new(cause) }
}
