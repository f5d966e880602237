//! Sorting what does not fit in memory.
//!
//! What is in memory is sorted and goes to a file when it is as much as it may be; the sorted parts of the file are merged
//! when they are read. Rows that were sorted can be read more than once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use runtime::{File, FileError, Files, blocking};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::RepoError;
use crate::coalesce::SpooledRows;

/// Bytes that are written at a time.
const WRITE_LENGTH: usize = 1 << 20;
/// The most bytes that are read ahead of a part, and the least. With the least, a thousand parts take 4 MiB.
const READ_LENGTHS: Range<u64> = 4 << 10..1 << 20;

/// What can be sorted.
pub(super) trait Sortable: Ord + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Bytes that it takes in memory, about.
    fn length(&self) -> usize {
        size_of::<Self>()
    }
}

/// A folder for one check alone. It goes with the last file in it.
pub(super) struct Workspace {
    pub(super) files: Files,
    pub(super) folder: PathBuf,
    /// Bytes that each sorter may hold.
    pub(super) memory: usize,
}

impl Workspace {
    /// Removes what a process before this one left in the folder. It is made again when it is needed.
    pub(super) async fn create(files: &Files, folder: PathBuf, memory: usize) -> Result<Arc<Self>, RepoError> {
        let space = Arc::new(Self { files: files.clone(), folder, memory });
        let left = Arc::clone(&space);
        blocking(move || left.files.remove_dir_all(&left.folder)).await?;
        Ok(space)
    }

    fn make_file(&self, name: &str) -> Result<File, FileError> {
        self.files.create_dirs(&self.folder)?;
        self.files.create(&self.folder.join(name))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next check in that folder.
        let _ = self.files.remove_dir_all(&self.folder);
    }
}

/// Takes rows in any order.
pub(super) struct Sorter<T> {
    spilled: Spilled,
    held: Vec<T>,
    length: usize,
}

/// Sorted rows.
pub(super) struct Sorted<T> {
    spilled: Spilled,
    held: Vec<T>,
}

/// What went to a file.
struct Spilled {
    space: Arc<Workspace>,
    name: &'static str,
    file: Option<File>,
    parts: Vec<Range<u64>>,
}

/// Reads sorted rows.
pub(super) struct SortedRows<'a, T> {
    held: std::slice::Iter<'a, T>,
    parts: Vec<SpooledRows<T>>,
    heads: BinaryHeap<Reverse<(T, usize)>>,
}

impl<T: Sortable> Sorter<T> {
    /// Takes rows; the name is that of its file.
    pub(super) fn new(space: &Arc<Workspace>, name: &'static str) -> Self {
        let spilled = Spilled { space: Arc::clone(space), name, file: None, parts: Vec::new() };
        Self { spilled, held: Vec::new(), length: 0 }
    }

    pub(super) async fn push(&mut self, row: T) -> Result<(), RepoError> {
        self.length += row.length();
        self.held.push(row);
        if self.length < self.spilled.space.memory {
            return Ok(());
        }
        self.length = 0;
        self.spilled.add(std::mem::take(&mut self.held)).await
    }

    /// Whether nothing was pushed.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.spilled.parts.is_empty()
    }

    /// Sorts what is in memory, and gives all.
    pub(super) fn finish(mut self) -> Sorted<T> {
        self.held.sort_unstable();
        Sorted { spilled: self.spilled, held: self.held }
    }
}

impl Spilled {
    async fn add<T: Sortable>(&mut self, mut rows: Vec<T>) -> Result<(), RepoError> {
        let (space, name, open) = (Arc::clone(&self.space), self.name, self.file.clone());
        let start = self.parts.last().map_or(0, |part| part.end);
        let written = blocking(move || {
            let file = open.map_or_else(|| space.make_file(name), Ok)?;
            rows.sort_unstable();
            write(&file, start, &rows).map(|end| (file, end))
        });
        let (file, end) = written.await?;
        self.file = Some(file);
        self.parts.push(start..end);
        Ok(())
    }
}

/// Writes rows, each with its length before it; gives where they end.
fn write<T: Sortable>(file: &File, start: u64, rows: &[T]) -> Result<u64, FileError> {
    let (mut end, mut bytes) = (start, Vec::with_capacity(WRITE_LENGTH));
    for row in rows {
        let row = postcard::to_stdvec(row).expect("plain values of ours have no part that postcard refuses");
        let length = u32::try_from(row.len()).expect("a row of numbers and a name is short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&row);
        if bytes.len() >= WRITE_LENGTH {
            file.write_all_at(end, &bytes)?;
            end += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_all_at(end, &bytes)?;
    Ok(end + bytes.len() as u64)
}

impl Drop for Spilled {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // The folder goes too, with the last of its files.
            let _ = self.space.files.remove_if_there(file.path());
        }
    }
}

impl<T: Sortable> Sorted<T> {
    /// Begins with the first row.
    pub(super) async fn read(&self) -> Result<SortedRows<'_, T>, RepoError> {
        let ahead = (self.spilled.space.memory / self.spilled.parts.len().max(1)) as u64;
        let ahead = ahead.clamp(READ_LENGTHS.start, READ_LENGTHS.end);
        let parts = self
            .spilled
            .parts
            .iter()
            .filter_map(|part| self.spilled.file.clone().map(|file| SpooledRows::new(file, part.clone(), ahead)));
        let mut rows = SortedRows { held: self.held.iter(), parts: parts.collect(), heads: BinaryHeap::new() };
        for part in 0..=rows.parts.len() {
            rows.advance(part).await?;
        }
        Ok(rows)
    }
}

impl<T: Sortable> SortedRows<'_, T> {
    /// The next row, without taking it.
    pub(super) fn peek(&self) -> Option<&T> {
        self.heads.peek().map(|Reverse((row, _))| row)
    }

    /// The next row.
    pub(super) async fn next(&mut self) -> Result<Option<T>, RepoError> {
        let Some(Reverse((row, part))) = self.heads.pop() else { return Ok(None) };
        self.advance(part).await?;
        Ok(Some(row))
    }

    /// Takes the next row if it is one of those.
    pub(super) async fn take_if(&mut self, is_wanted: impl FnOnce(&T) -> bool) -> Result<Option<T>, RepoError> {
        if self.peek().is_some_and(is_wanted) { self.next().await } else { Ok(None) }
    }

    /// Reads the next row of a part; those in memory come after the parts of the file.
    async fn advance(&mut self, part: usize) -> Result<(), RepoError> {
        let next = match self.parts.get_mut(part) {
            Some(rows) => rows.next().await?,
            None => self.held.next().cloned(),
        };
        self.heads.extend(next.map(|row| Reverse((row, part))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use runtime::Seed;

    use super::*;

    impl Sortable for (u64, String) {}

    #[tokio::test]
    async fn rows_come_back_sorted_as_often_as_wanted_whether_they_fit_in_memory_or_not() {
        let number = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
        let number = number.unwrap_or_else(|| Seed::from_os().u64());
        println!("HOLDFAST_SEED={number}");
        let seed = Seed::fixed(number);
        let row = |_| (seed.below(500), "x".repeat(usize::try_from(seed.below(300)).unwrap()));
        let rows: Vec<(u64, String)> = (0..5000).map(row).collect();
        let mut expected = rows.clone();
        expected.sort_unstable();
        for (memory, is_spilled) in [(usize::MAX, false), (10_000, true), (1, true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("check");
            let space = Workspace::create(&Files::real(), path.clone(), memory).await.unwrap();
            let mut sorter = Sorter::new(&space, "rows");
            drop(space);
            for row in &rows {
                sorter.push(row.clone()).await.unwrap();
            }
            let sorted = sorter.finish();
            assert_eq!(path.join("rows").exists(), is_spilled);
            for _ in 0..2 {
                let (mut read, mut found) = (sorted.read().await.unwrap(), Vec::new());
                while let Some(row) = read.next().await.unwrap() {
                    found.push(row);
                }
                assert!(found == expected);
            }
            drop(sorted);
            assert!(!path.exists(), "nothing is left behind");
        }
    }
}
