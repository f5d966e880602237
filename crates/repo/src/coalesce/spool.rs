//! Rows that were merged from a part of the objects and wait for the rest: sorted, in files of this machine.
//!
//! One file for each table, a section of it for each part: rows in postcard, each with its length (4 bytes, big-endian)
//! before it. The files belong to one merge of one process, so nothing is synced and nothing is recovered. They hold what
//! the node's own state holds too, in clear.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use runtime::{File, FileError, Files, blocking};
use serde::de::DeserializeOwned;

use super::{CoalesceOptions, Sources};
use crate::RepoError;
use crate::merge::{Merge, Source};
use crate::rows::{Row, Table};

/// Bytes that are written at a time.
const WRITE_LENGTH: usize = 1 << 20;
/// The most bytes that are read ahead of a section, and the least.
const READ_LENGTHS: Range<u64> = 4 << 10..1 << 20;

/// The parts of a merge.
pub(super) struct Spool {
    folder: Arc<Folder>,
    /// How often rows were merged: a number that makes the names of files unlike those before.
    pass: u32,
    tables: BTreeMap<Table, Sections>,
    /// The longest row of each part, in bytes.
    lengths: Vec<u64>,
}

/// The folder of a merge, which goes with the last pass over its rows.
struct Folder {
    files: Files,
    path: PathBuf,
}

/// The file of one table.
struct Sections {
    file: File,
    end: u64,
    ranges: Vec<Range<u64>>,
}

impl Spool {
    /// Removes what a process before this one left in the folder. It is made again when a part is added.
    pub(super) async fn create(files: &Files, path: &Path) -> Result<Self, RepoError> {
        let folder = Arc::new(Folder { files: files.clone(), path: path.to_owned() });
        let left = Arc::clone(&folder);
        blocking(move || left.files.remove_dir_all(&left.path)).await?;
        Ok(Self::of_pass(folder, 0))
    }

    fn of_pass(folder: Arc<Folder>, pass: u32) -> Self {
        Self { folder, pass, tables: BTreeMap::new(), lengths: Vec::new() }
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.lengths.len()
    }

    /// The longest row of each part, in bytes.
    pub(super) fn lengths(&self) -> impl Iterator<Item = u64> {
        self.lengths.iter().copied()
    }

    /// Merges rows into a new part.
    pub(super) async fn add(&mut self, sources: Sources) -> Result<(), RepoError> {
        let longest = [
            self.add_table(sources.inodes).await?,
            self.add_table(sources.entries).await?,
            self.add_table(sources.extents).await?,
            self.add_table(sources.blocks).await?,
            self.add_table(sources.objects).await?,
        ];
        self.lengths.extend(longest.into_iter().max());
        Ok(())
    }

    /// Gives the length of the longest row.
    async fn add_table<R: Row>(&mut self, sources: Vec<Source<R>>) -> Result<u64, RepoError> {
        if !self.tables.contains_key(&R::TABLE) {
            let (folder, name) = (Arc::clone(&self.folder), format!("{}-{}", R::TABLE, self.pass));
            let file = blocking(move || folder.make_file(&name)).await?;
            self.tables.insert(R::TABLE, Sections { file, end: 0, ranges: Vec::new() });
        }
        let mut merge = Merge::new(sources).await?;
        let Some(sections) = self.tables.get_mut(&R::TABLE) else { return Ok(0) };
        let (start, mut longest) = (sections.end, 0);
        let mut bytes = Vec::with_capacity(WRITE_LENGTH);
        while let Some(row) = merge.next_last().await? {
            let row = postcard::to_stdvec(&row).expect("plain values of ours have no part that postcard refuses");
            longest = longest.max(row.len() as u64);
            let length = u32::try_from(row.len()).expect("a row that came from a page is not longer than one");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&row);
            if bytes.len() >= WRITE_LENGTH {
                sections.append(std::mem::take(&mut bytes)).await?;
            }
        }
        sections.append(bytes).await?;
        sections.ranges.push(start..sections.end);
        Ok(longest)
    }

    /// Gives the rows of some parts.
    pub(super) fn sources(&self, parts: Range<usize>, read_ahead: u64) -> Sources {
        let read_length = read_ahead / (parts.len().max(1) as u64);
        let read_length = read_length.clamp(READ_LENGTHS.start, READ_LENGTHS.end);
        Sources {
            inodes: self.table(parts.clone(), read_length),
            entries: self.table(parts.clone(), read_length),
            extents: self.table(parts.clone(), read_length),
            blocks: self.table(parts.clone(), read_length),
            objects: self.table(parts, read_length),
        }
    }

    fn table<R: Row>(&self, parts: Range<usize>, read_length: u64) -> Vec<Source<R>> {
        let Some(sections) = self.tables.get(&R::TABLE) else { return Vec::new() };
        let ranges = sections.ranges.get(parts).unwrap_or_default();
        let rows = |range: &Range<u64>| SpooledRows::new(sections.file.clone(), range.clone(), read_length);
        ranges.iter().map(|range| Source::Spooled(Box::new(rows(range)))).collect()
    }

    /// Merges parts with one another, as many as may be open at once, into fewer and longer ones.
    pub(super) async fn reduce(
        self,
        options: &CoalesceOptions,
        mut opened: impl FnMut(usize),
    ) -> Result<Self, RepoError> {
        let mut next = Self::of_pass(Arc::clone(&self.folder), self.pass + 1);
        let mut from = 0;
        while from < self.parts() {
            let to = self.parts().min(from + options.fitting(self.lengths().skip(from)));
            opened(to - from);
            next.add(self.sources(from..to, options.read_ahead)).await?;
            from = to;
        }
        Ok(next)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        for sections in self.tables.values() {
            // What cannot be removed now is replaced by the next merge in that folder.
            let _ = self.folder.files.remove_if_there(sections.file.path());
        }
    }
}

impl Folder {
    fn make_file(&self, name: &str) -> Result<File, FileError> {
        self.files.create_dirs(&self.path)?;
        self.files.create(&self.path.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = self.files.remove_dir_all(&self.path);
    }
}

impl Sections {
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), RepoError> {
        let (file, at) = (self.file.clone(), self.end);
        self.end += bytes.len() as u64;
        Ok(blocking(move || file.write_all_at(at, &bytes)).await?)
    }
}

/// Reads a section, with some bytes of it in memory.
pub(crate) struct SpooledRows<R> {
    file: File,
    left: Range<u64>,
    read_length: u64,
    buffer: Bytes,
    row: PhantomData<R>,
}

impl<R: DeserializeOwned> SpooledRows<R> {
    /// Reads rows from a range of a file, each with its length before it.
    pub(crate) fn new(file: File, left: Range<u64>, read_length: u64) -> Self {
        Self { file, left, read_length, buffer: Bytes::new(), row: PhantomData }
    }

    /// The next row.
    pub(crate) async fn next(&mut self) -> Result<Option<R>, RepoError> {
        if self.buffer.is_empty() && self.left.is_empty() {
            return Ok(None);
        }
        let length = u64::from(self.take(4).await?.get_u32());
        let row = self.take(length).await?;
        let damaged = |_| RepoError::damaged(self.file.path().display(), "a row is not what was written");
        postcard::from_bytes(&row).map(Some).map_err(damaged)
    }

    /// Takes as many bytes from the front; reads on where they are not in memory.
    async fn take(&mut self, length: u64) -> Result<Bytes, RepoError> {
        let held = self.buffer.len() as u64;
        if held < length {
            let wanted = (length - held).max(self.read_length).min(self.left.end - self.left.start);
            let (file, at) = (self.file.clone(), self.left.start);
            let count = usize::try_from(wanted).expect("a row that was in memory fits in memory");
            let read = blocking(move || file.read_exact_at(at, count)).await?;
            self.left.start += wanted;
            self.buffer = [&self.buffer[..], &read].concat().into();
        }
        let cut = || RepoError::damaged(self.file.path().display(), "a row is cut");
        let length = usize::try_from(length).ok().filter(|length| *length <= self.buffer.len()).ok_or_else(cut)?;
        Ok(self.buffer.split_to(length))
    }
}
