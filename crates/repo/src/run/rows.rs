//! Walking the rows of one run.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::reader::RunReader;
use crate::RepoError;
use crate::rows::Row;

/// Decoded row groups that were used last, so that lookups near one another decode a group once.
#[derive(Default)]
pub(crate) struct GroupCache {
    groups: Mutex<VecDeque<CachedGroup>>,
}

struct CachedGroup {
    run: String,
    group: usize,
    rows: Arc<dyn Any + Send + Sync>,
}

/// Row groups that a cache holds; of 64 Ki rows each, they are some hundred MiB at most.
const CACHED_GROUPS_MAX: usize = 16;

impl GroupCache {
    fn find<R: Row>(&self, run: &str, group: usize) -> Option<Arc<Vec<R>>> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let place = groups.iter().position(|cached| cached.run == run && cached.group == group)?;
        let cached = groups.remove(place)?;
        let rows = Arc::clone(&cached.rows);
        groups.push_back(cached);
        rows.downcast().ok()
    }

    fn keep<R: Row>(&self, run: &str, group: usize, rows: &Arc<Vec<R>>) {
        let rows: Arc<dyn Any + Send + Sync> = Arc::<Vec<R>>::clone(rows);
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if groups.len() >= CACHED_GROUPS_MAX {
            groups.pop_front();
        }
        groups.push_back(CachedGroup { run: run.to_owned(), group, rows });
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
        let name = self.reader.name();
        if let Some(rows) = self.cache.as_ref().and_then(|cache| cache.find(name, group)) {
            return Ok(rows);
        }
        let rows = Arc::new(Arc::clone(&self.reader).group(group).await?);
        if let Some(cache) = &self.cache {
            cache.keep(name, group, &rows);
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
