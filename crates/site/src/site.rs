//! A site: a medium with a name.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::steady::Steady;
use crate::{Folder, Location, Medium, ProbeReport, Retry, SiteError, probe};

/// The most objects that one listing gives; what the large object stores give per request.
pub const LIST_LIMIT_MAX: usize = 1000;

/// The most bytes that are read at once: objects that are read whole, and the parts of longer ones, are far shorter. What
/// claims to be longer is not ours, and is not read into memory to find that out.
pub const READ_LENGTH_MAX: u64 = 1 << 30;

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object is there now, and durable.
    Created,
    /// An object of that name was there before; nothing was changed. After a put that was tried again it may be the
    /// caller's own: [`Site::put_same`] finds out.
    AlreadyThere,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A place that keeps backups. Clones share everything.
#[derive(Clone)]
pub struct Site {
    url: Arc<str>,
    medium: Arc<dyn Medium>,
}

impl Site {
    /// Opens the site of that URL; its folder must be there.
    ///
    /// # Errors
    /// A URL that is none or of a kind that is not supported, or a folder that cannot be used.
    pub fn open(url: &str) -> Result<Self, SiteError> {
        let location: Location = url.parse()?;
        let Location::File(path) = &location;
        Ok(Self::over(&location.to_string(), Arc::new(Folder::open(path)?)))
    }

    /// Gives a medium a name: for tests, simulations and decorators.
    #[must_use]
    pub fn over(url: &str, medium: Arc<dyn Medium>) -> Self {
        Self { url: url.into(), medium }
    }

    /// The same site, each of whose requests counts as failed after the deadline, and is tried again as `retry` says.
    #[must_use]
    pub fn steady(&self, deadline: Duration, retry: Retry) -> Self {
        let (site, inner) = (Arc::clone(&self.url), self.medium());
        Self { url: Arc::clone(&self.url), medium: Arc::new(Steady { site, inner, deadline, retry }) }
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The medium, to be wrapped in a decorator.
    #[must_use]
    pub fn medium(&self) -> Arc<dyn Medium> {
        Arc::clone(&self.medium)
    }

    /// Puts an object, unless there is one of that name. When it returns, the object is durable.
    ///
    /// # Errors
    /// The store failed; the object may be there all the same.
    pub async fn put_new(&self, name: &str, bytes: Bytes) -> Result<Put, SiteError> {
        self.medium.put_new(name, bytes).await
    }

    /// Makes sure that exactly these bytes are there under that name, whoever put them (rule P22): a put that was tried
    /// again after a lost answer finds its own object.
    ///
    /// # Errors
    /// [`SiteError::Different`] if other bytes are there; or the store failed.
    pub async fn put_same(&self, name: &str, bytes: Bytes) -> Result<Put, SiteError> {
        let put = self.medium.put_new(name, bytes.clone()).await?;
        if put == Put::AlreadyThere && self.medium.get(name).await? != bytes {
            return Err(SiteError::Different { site: self.url.to_string(), name: name.to_owned() });
        }
        Ok(put)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// [`SiteError::NotFound`], [`SiteError::TooLong`], or the store failed.
    pub async fn get(&self, name: &str) -> Result<Bytes, SiteError> {
        self.medium.get(name).await
    }

    /// Reads exactly that range of an object.
    ///
    /// # Errors
    /// [`SiteError::NotFound`], [`SiteError::OutOfRange`] if the object is shorter, [`SiteError::TooLong`] if more is
    /// wanted than is ever read at once, or the store failed.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, SiteError> {
        let length = range.end.saturating_sub(range.start);
        if length > READ_LENGTH_MAX {
            return Err(SiteError::TooLong { site: self.url.to_string(), name: name.to_owned(), length });
        }
        self.medium.get_range(name, range).await
    }

    /// Gives an object's size in bytes.
    ///
    /// # Errors
    /// [`SiteError::NotFound`], or the store failed.
    pub async fn size(&self, name: &str) -> Result<u64, SiteError> {
        self.medium.size(name).await
    }

    /// Gives the next objects in the order of their names, at most `limit` and [`LIST_LIMIT_MAX`]. Fewer than that means
    /// that there are no more.
    ///
    /// # Errors
    /// The store failed.
    pub async fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, SiteError> {
        self.medium.list(prefix, after, limit.min(LIST_LIMIT_MAX)).await
    }

    /// Deletes an object. The reaper is its only caller (law 9).
    ///
    /// # Errors
    /// The store failed.
    pub async fn delete(&self, name: &str) -> Result<(), SiteError> {
        self.medium.delete(name).await
    }

    /// Tries out the promises of [`Medium`] with an object of its own under `probe/`, named by `token`, and says what it
    /// found. The object stays if this identity may not delete; it is then harmless.
    ///
    /// # Errors
    /// [`SiteError::Probe`] names the promise that was broken; or the store failed.
    pub async fn probe(&self, token: &str) -> Result<ProbeReport, SiteError> {
        probe::probe(self, token).await
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({})", self.url)
    }
}
