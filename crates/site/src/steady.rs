//! A site whose requests end in time and are tried again.
//!
//! A backup or a restore is thousands of requests, and some of its steps are all or nothing: merging reads the tables of
//! every object in one go. So it is the single request that is tried again, not the step. A put that was tried again may
//! find its own object there: [`crate::Site::put_same`] tells.
//!
//! A request that hangs counts as failed after a while. What it does at the site may still come about: objects are never
//! overwritten, so a late put of one that was put again changes nothing. The thread of a local file system that hangs
//! cannot be ended; it is left behind.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Listed, Medium, Operation, Put, Reply, Retry, SiteError};

/// Bounds the time of requests and tries them again.
#[derive(Debug)]
pub struct Steady {
    pub(crate) site: Arc<str>,
    pub(crate) inner: Arc<dyn Medium>,
    pub(crate) deadline: Duration,
    pub(crate) retry: Retry,
}

impl Steady {
    async fn request<'a, T>(
        &self,
        operation: Operation,
        name: &str,
        request: impl Fn() -> Reply<'a, T>,
    ) -> Result<T, SiteError> {
        let attempt = || async {
            let answer = self.retry.clock().timeout(self.deadline, request()).await;
            answer.unwrap_or_else(|_| Err(self.late(operation, name)))
        };
        self.retry.run(&format!("{operation} {name}"), SiteError::kind, attempt).await
    }

    fn late(&self, operation: Operation, name: &str) -> SiteError {
        let reason = format!("no answer within {:?}", self.deadline);
        let cause = Box::new(io::Error::new(io::ErrorKind::TimedOut, reason));
        SiteError::Store { site: self.site.to_string(), name: name.to_owned(), operation, cause }
    }
}

impl Medium for Steady {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        Box::pin(self.request(Operation::Put, name, move || self.inner.put_new(name, bytes.clone())))
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        Box::pin(self.request(Operation::Get, name, || self.inner.get(name)))
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        Box::pin(self.request(Operation::GetRange, name, move || self.inner.get_range(name, range.clone())))
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        Box::pin(self.request(Operation::Size, name, || self.inner.size(name)))
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        Box::pin(self.request(Operation::List, prefix, move || self.inner.list(prefix, after, limit)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        Box::pin(self.request(Operation::Delete, name, || self.inner.delete(name)))
    }
}
