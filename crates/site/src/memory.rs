//! A medium in memory, for tests and simulations.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;

use crate::{Listed, Medium, Put, Reply, SiteError};

/// Keeps objects in memory. What a real store would never do, [`Memory::replace`] does: damage for tests.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

impl Memory {
    /// Puts other bytes in an object's place; `None` takes the object away.
    pub fn replace(&self, name: &str, bytes: Option<Bytes>) {
        match bytes {
            Some(bytes) => self.objects().insert(name.to_owned(), bytes),
            None => self.objects().remove(name),
        };
    }

    /// All objects, in the order of their names.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Bytes> {
        self.objects().clone()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Bytes, SiteError> {
        let missing = || SiteError::NotFound { site: "memory".into(), name: name.to_owned() };
        self.objects().get(name).cloned().ok_or_else(missing)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Put {
        match self.objects().entry(name.to_owned()) {
            Entry::Occupied(_) => Put::AlreadyThere,
            Entry::Vacant(place) => {
                place.insert(bytes);
                Put::Created
            }
        }
    }

    fn range(&self, name: &str, range: Range<u64>) -> Result<Bytes, SiteError> {
        let bytes = self.find(name)?;
        if range.start > range.end || range.end > bytes.len() as u64 {
            return Err(SiteError::OutOfRange { site: "memory".into(), name: name.to_owned(), range });
        }
        let index = |offset| usize::try_from(offset).expect("it is within the length of a buffer");
        Ok(bytes.slice(index(range.start)..index(range.end)))
    }

    fn listed(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Listed> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let objects = self.objects();
        let found = objects.range::<str, _>((from, Bound::Unbounded));
        let matching = found.take_while(|(name, _)| name.starts_with(prefix)).take(limit);
        matching.map(|(name, bytes)| Listed { name: name.clone(), size: bytes.len() as u64 }).collect()
    }
}

impl Medium for Memory {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put> {
        async move { Ok(self.put(name, bytes)) }.boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes> {
        async move { self.find(name) }.boxed()
    }

    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes> {
        async move { self.range(name, range) }.boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64> {
        async move { Ok(self.find(name)?.len() as u64) }.boxed()
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>> {
        async move { Ok(self.listed(prefix, after, limit)) }.boxed()
    }

    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        async move {
            self.objects().remove(name);
            Ok(())
        }
        .boxed()
    }
}
