//! A site that takes no objects of some names until it is told to.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use site::{Listed, Medium, Operation, Put, Reply, SiteError};

/// Keeps objects whose names begin with a prefix from being put.
#[derive(Debug)]
pub struct Gate {
    prefix: &'static str,
    is_open: AtomicBool,
    refused: AtomicU64,
    /// Puts that are still to hang for ever.
    to_hang: AtomicU64,
}

#[derive(Debug)]
struct Gated {
    gate: Arc<Gate>,
    inner: Arc<dyn Medium>,
}

impl Gate {
    pub fn closed(prefix: &'static str) -> Self {
        Self { prefix, is_open: AtomicBool::new(false), refused: AtomicU64::new(0), to_hang: AtomicU64::new(0) }
    }

    /// An open one, in which the first puts hang for ever.
    pub fn with_hanging_puts(prefix: &'static str, puts: u64) -> Self {
        Self { prefix, is_open: AtomicBool::new(true), refused: AtomicU64::new(0), to_hang: AtomicU64::new(puts) }
    }

    /// Puts that were refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Puts that have not come yet, of those that are to hang.
    pub fn puts_to_hang(&self) -> u64 {
        self.to_hang.load(Ordering::Relaxed)
    }

    fn hangs(&self, name: &str) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        name.starts_with(self.prefix)
            && self.to_hang.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    pub fn open(&self) {
        self.is_open.store(true, Ordering::Relaxed);
    }

    pub fn before(self: &Arc<Self>, inner: Arc<dyn Medium>) -> Arc<dyn Medium> {
        Arc::new(Gated { gate: Arc::clone(self), inner })
    }
}

impl Medium for Gated {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        if self.gate.hangs(name) {
            return Box::pin(std::future::pending());
        }
        if self.gate.is_open.load(Ordering::Relaxed) || !name.starts_with(self.gate.prefix) {
            return self.inner.put_new(name, bytes);
        }
        self.gate.refused.fetch_add(1, Ordering::Relaxed);
        let cause = Box::new(io::Error::new(io::ErrorKind::ConnectionReset, "the gate is closed"));
        let refused = SiteError::Store { site: "gated".into(), name: name.into(), operation: Operation::Put, cause };
        Box::pin(async { Err(refused) })
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        self.inner.get(name)
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        self.inner.get_range(name, range)
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        self.inner.size(name)
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        self.inner.list(prefix, after, limit)
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        self.inner.delete(name)
    }
}
