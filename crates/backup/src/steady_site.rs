//! A site whose requests are tried again.
//!
//! A backup is thousands of requests, and some of its steps are all or nothing: merging reads the tables of every
//! object in one go. So it is the single request that is tried again, not the step. A put that was tried again may find
//! its own object there: [`Site::put_same`] tells.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use site::{Listed, Medium, Put, Reply, Site, SiteError};

use crate::retry::Retry;

/// Tries requests again.
#[derive(Debug)]
struct Steady {
    inner: Arc<dyn Medium>,
    retry: Retry,
}

/// The site, its requests tried again as the retry says.
pub fn steady(site: &Site, retry: Retry) -> Site {
    Site::over(site.url(), Arc::new(Steady { inner: site.medium(), retry }))
}

impl Medium for Steady {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        Box::pin(async move {
            let put = || self.inner.put_new(name, bytes.clone());
            self.retry.run("put an object", SiteError::kind, put).await
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        Box::pin(self.retry.run("get an object", SiteError::kind, || self.inner.get(name)))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        Box::pin(async move {
            let get = || self.inner.get_range(name, range.clone());
            self.retry.run("get a range of an object", SiteError::kind, get).await
        })
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        Box::pin(self.retry.run("get the size of an object", SiteError::kind, || self.inner.size(name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        Box::pin(async move {
            let list = || self.inner.list(prefix, after, limit);
            self.retry.run("list objects", SiteError::kind, list).await
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        Box::pin(self.retry.run("delete an object", SiteError::kind, || self.inner.delete(name)))
    }
}
