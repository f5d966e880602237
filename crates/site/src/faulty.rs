//! A medium that fails now and then, by a seed.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use runtime::Seed;

use crate::{Listed, Medium, Operation, Put, Reply, SiteError};

/// How often a faulty medium fails, in requests of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultPlan {
    /// Requests that fail before anything happens.
    pub refused_per_mille: u64,
    /// Puts that are carried out and whose answer is lost: the caller sees a failure.
    pub reply_lost_per_mille: u64,
}

/// Passes requests on, or fails them as its plan says; the seed alone decides which.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Medium>,
    seed: Seed,
    plan: FaultPlan,
}

impl Faulty {
    /// Wraps a medium.
    #[must_use]
    pub fn new(inner: Arc<dyn Medium>, seed: Seed, plan: FaultPlan) -> Self {
        Self { inner, seed, plan }
    }

    fn strikes(&self, per_mille: u64) -> bool {
        self.seed.below(1000) < per_mille
    }

    /// Draws for every request alike, so that the same requests meet the same faults.
    fn admit(&self, operation: Operation, name: &str) -> Result<(), SiteError> {
        if self.strikes(self.plan.refused_per_mille) { Err(injected(operation, name)) } else { Ok(()) }
    }
}

/// A failure that may pass.
pub(crate) fn injected(operation: Operation, name: &str) -> SiteError {
    let cause = Box::new(io::Error::new(io::ErrorKind::ConnectionReset, "injected fault"));
    SiteError::Store { site: "faulty".into(), name: name.to_owned(), operation, cause }
}

impl Medium for Faulty {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        async move {
            self.admit(Operation::Put, name)?;
            let put = self.inner.put_new(name, bytes).await?;
            if self.strikes(self.plan.reply_lost_per_mille) { Err(injected(Operation::Put, name)) } else { Ok(put) }
        }
        .boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        async move {
            self.admit(Operation::Get, name)?;
            self.inner.get(name).await
        }
        .boxed()
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        async move {
            self.admit(Operation::GetRange, name)?;
            self.inner.get_range(name, range).await
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        async move {
            self.admit(Operation::Size, name)?;
            self.inner.size(name).await
        }
        .boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        async move {
            self.admit(Operation::List, prefix)?;
            self.inner.list(prefix, after, limit).await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        async move {
            self.admit(Operation::Delete, name)?;
            self.inner.delete(name).await
        }
        .boxed()
    }
}
