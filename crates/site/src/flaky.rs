//! A medium that is down for a while, whatever is asked of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;

use crate::faulty::injected;
use crate::{Listed, Medium, Operation, Put, Reply, SiteError};

/// Fails the first tries of every single request, and then passes it on.
#[derive(Debug)]
pub struct Flaky {
    inner: Arc<dyn Medium>,
    failures: u32,
    tried: Mutex<BTreeMap<(Operation, String), u32>>,
}

impl Flaky {
    /// Wraps a medium; each request fails so often before it succeeds.
    #[must_use]
    pub fn new(inner: Arc<dyn Medium>, failures: u32) -> Self {
        Self { inner, failures, tried: Mutex::default() }
    }

    /// How many requests failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.values().map(|tries| u64::from(*tries)).sum()
    }

    fn admit(&self, operation: Operation, name: &str, which: &str) -> Result<(), SiteError> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tries = tried.entry((operation, format!("{name}{which}"))).or_default();
        if *tries >= self.failures {
            return Ok(());
        }
        *tries += 1;
        Err(injected(operation, name))
    }
}

impl Medium for Flaky {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        async move {
            self.admit(Operation::Put, name, "")?;
            self.inner.put_new(name, bytes).await
        }
        .boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        async move {
            self.admit(Operation::Get, name, "")?;
            self.inner.get(name).await
        }
        .boxed()
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        async move {
            self.admit(Operation::GetRange, name, &format!(" {range:?}"))?;
            self.inner.get_range(name, range).await
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        async move {
            self.admit(Operation::Size, name, "")?;
            self.inner.size(name).await
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        async move {
            self.admit(Operation::List, prefix, &format!(" {after:?} {limit}"))?;
            self.inner.list(prefix, after, limit).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        async move {
            self.admit(Operation::Delete, name, "")?;
            self.inner.delete(name).await
        }
        .boxed()
    }
}
