//! The narrow trait behind a site.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{Listed, Put, SiteError};

/// An answer that takes time.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, SiteError>>;

/// What an object store must be able to do to keep a repository.
///
/// Promises of an implementation, checked by [`crate::conformance`]:
/// - an object appears whole or not at all, and is durable when [`Medium::put_new`] returns;
/// - of two concurrent puts of one name exactly one gives [`Put::Created`];
/// - whatever was put is seen at once by every read and every listing.
pub trait Medium: fmt::Debug + Send + Sync {
    /// Puts an object, unless there is one of that name.
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Reply<'a, Put>;

    /// Reads a whole object; fails for one that is longer than [`crate::READ_LENGTH_MAX`] without reading it.
    fn get<'a>(&'a self, name: &'a str) -> Reply<'a, Bytes>;

    /// Reads exactly that range of an object.
    fn get_range<'a>(&'a self, name: &'a str, range: Range<u64>) -> Reply<'a, Bytes>;

    /// Gives an object's size in bytes.
    fn size<'a>(&'a self, name: &'a str) -> Reply<'a, u64>;

    /// Gives the first `limit` objects in the order of their names' bytes, of those that begin with `prefix` and come
    /// after `after`.
    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Reply<'a, Vec<Listed>>;

    /// Deletes an object; one that is not there is no error.
    fn delete<'a>(&'a self, name: &'a str) -> Reply<'a, ()>;
}
