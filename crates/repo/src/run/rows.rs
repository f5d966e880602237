//! Walking the rows of one run.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::reader::RunReader;
use crate::RepoError;
use crate::names::Name;
use crate::rows::Row;

/// Bytes of rows that a cache holds, about. A lookup touches a row group of each run, and runs of later backups are
/// small, so the bound is not on groups; a row may be long, so it is not on rows either.
const CACHED_LENGTH_MAX: usize = 256 << 20;

/// Decoded row groups that were used last, so that lookups near one another decode a group once.
#[derive(Default)]
pub(crate) struct GroupCache {
    groups: Mutex<Groups>,
}

#[derive(Default)]
struct Groups {
    by_place: BTreeMap<GroupPlace, CachedGroup>,
    length: usize,
    /// Counts the uses: the group with the smallest count was used longest ago.
    uses: u64,
}

/// A run and the number of a row group in it.
type GroupPlace = (Name, usize);

struct CachedGroup {
    rows: Arc<dyn Any + Send + Sync>,
    length: usize,
    used: u64,
}

impl GroupCache {
    fn find<R: Row>(&self, place: GroupPlace) -> Option<Arc<Vec<R>>> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.uses += 1;
        let used = groups.uses;
        let cached = groups.by_place.get_mut(&place)?;
        cached.used = used;
        Arc::clone(&cached.rows).downcast().ok()
    }

    fn keep<R: Row>(&self, place: GroupPlace, rows: &Arc<Vec<R>>) {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let length = rows.iter().map(Row::length).sum();
        groups.make_room(length);
        let used = groups.uses;
        groups.length += length;
        let rows: Arc<dyn Any + Send + Sync> = Arc::<Vec<R>>::clone(rows);
        if let Some(before) = groups.by_place.insert(place, CachedGroup { rows, length, used }) {
            groups.length -= before.length; // two lookups have decoded the same group at once
        }
    }
}

impl Groups {
    fn make_room(&mut self, length: usize) {
        while self.length + length > CACHED_LENGTH_MAX {
            let oldest = self.by_place.iter().min_by_key(|(_, cached)| cached.used).map(|(place, _)| *place);
            let Some(removed) = oldest.and_then(|place| self.by_place.remove(&place)) else { return };
            self.length -= removed.length;
        }
    }
}

/// Walks the rows of a run that begin with some key numbers, in their order, one row group in memory.
pub(crate) struct RunRows<R> {
    reader: Arc<RunReader>,
    cache: Option<Arc<GroupCache>>,
    key: Vec<u64>,
    /// The row groups that are still to be read.
    groups: std::vec::IntoIter<usize>,
    rows: Arc<Vec<R>>,
    left: Range<usize>,
}

impl<R: Row> RunRows<R> {
    /// Begins with the first row whose key begins with these numbers; none means all rows. A scan of everything should
    /// not push what lookups use out of the cache, and gives none.
    pub(crate) fn new(reader: Arc<RunReader>, key: &[u64], cache: Option<Arc<GroupCache>>) -> Self {
        let groups: Vec<usize> = (0..reader.groups()).filter(|group| reader.may_hold(*group, key)).collect();
        let (groups, rows) = (groups.into_iter(), Arc::new(Vec::new()));
        Self { reader, cache, key: key.to_vec(), groups, rows, left: 0..0 }
    }

    /// The next row.
    pub(crate) async fn next(&mut self) -> Result<Option<R>, RepoError> {
        loop {
            if let Some(row) = self.left.next().and_then(|index| self.rows.get(index)) {
                return Ok(Some(row.clone()));
            }
            let Some(group) = self.groups.next() else { return Ok(None) };
            self.rows = self.group(group).await?;
            self.left = matching(&self.rows, &self.key);
        }
    }

    async fn group(&self, group: usize) -> Result<Arc<Vec<R>>, RepoError> {
        let place = (self.reader.name(), group);
        if let Some(rows) = self.cache.as_ref().and_then(|cache| cache.find(place)) {
            return Ok(rows);
        }
        let rows = Arc::new(Arc::clone(&self.reader).group(group).await?);
        if let Some(cache) = &self.cache {
            cache.keep(place, &rows);
        }
        Ok(rows)
    }
}

/// The rows whose keys begin with these numbers; the rows are sorted.
fn matching<R: Row>(rows: &[R], key: &[u64]) -> Range<usize> {
    let numbers = |row: &R| row.key_numbers().into_iter().take(key.len()).collect::<Vec<_>>();
    let start = rows.partition_point(|row| numbers(row).as_slice() < key);
    let end = rows.partition_point(|row| numbers(row).as_slice() <= key);
    start..end
}
