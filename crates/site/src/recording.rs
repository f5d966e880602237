//! Counts what is asked of a medium, so that tests can assert what an operation costs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;

use crate::{Listed, Medium, Operation, Put, Reply};

/// What was asked so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests by kind.
    pub requests: BTreeMap<Operation, u64>,
    /// Bytes that were sent to the store.
    pub bytes_up: u64,
    /// Bytes of objects that came back.
    pub bytes_down: u64,
}

impl Requests {
    /// How many requests of that kind there were.
    #[must_use]
    pub fn of(&self, operation: Operation) -> u64 {
        self.requests.get(&operation).copied().unwrap_or(0)
    }

    /// How many requests there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }
}

/// Passes everything on and counts it.
#[derive(Debug)]
pub struct Recording {
    inner: Arc<dyn Medium>,
    requests: Mutex<Requests>,
}

impl Recording {
    /// Wraps a medium.
    #[must_use]
    pub fn new(inner: Arc<dyn Medium>) -> Self {
        Self { inner, requests: Mutex::default() }
    }

    /// Gives the counts since the last call, and begins anew.
    #[must_use]
    pub fn take(&self) -> Requests {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, operation: Operation, bytes_up: usize, bytes_down: usize) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.requests.entry(operation).or_default() += 1;
        requests.bytes_up += bytes_up as u64;
        requests.bytes_down += bytes_down as u64;
    }
}

impl Medium for Recording {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        self.count(Operation::Put, bytes.len(), 0);
        self.inner.put_new(name, bytes)
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        async move {
            let bytes = self.inner.get(name).await;
            self.count(Operation::Get, 0, bytes.as_ref().map_or(0, Bytes::len));
            bytes
        }
        .boxed()
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        async move {
            let bytes = self.inner.get_range(name, range).await;
            self.count(Operation::GetRange, 0, bytes.as_ref().map_or(0, Bytes::len));
            bytes
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        self.count(Operation::Size, 0, 0);
        self.inner.size(name)
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        self.count(Operation::List, 0, 0);
        self.inner.list(prefix, after, limit)
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        self.count(Operation::Delete, 0, 0);
        self.inner.delete(name)
    }
}
