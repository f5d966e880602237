//! The names of all selected files, sorted by LIN, in bounded memory.
//!
//! A repository has names by directory, and everything else by LIN; so the names are sorted once. What does not fit in
//! memory goes to a file in sorted runs, which are merged when they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use bytes::Bytes;
use runtime::{File, FileError, Files};
use types::{Lin, Name};

/// Bytes of a run that are read at a time.
const READ_AHEAD: usize = 256 << 10;
/// What a link takes in memory besides its name, about.
const LINK_OVERHEAD: usize = 64;
const HEADER: usize = 17;

/// A name of a LIN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The LIN.
    pub lin: Lin,
    /// The directory.
    pub parent: Lin,
    /// The name in it.
    pub name: Name,
}

/// Takes links in any order.
#[derive(Debug)]
pub struct LinkSorter {
    files: Files,
    spool: Spool,
    memory_max: usize,
    memory: usize,
    links: Vec<Link>,
}

/// Links that are sorted; they can be read more than once. Dropping it removes the file.
#[derive(Debug)]
pub struct SortedLinks {
    spool: Spool,
    links: Vec<Link>,
}

#[derive(Debug)]
struct Spool {
    files: Files,
    folder: std::path::PathBuf,
    file: Option<File>,
    /// Where each run ends in the file.
    ends: Vec<u64>,
}

/// Reads sorted links.
#[derive(Debug)]
pub struct LinkReader<'a> {
    links: std::slice::Iter<'a, Link>,
    runs: Vec<Run>,
    heads: BinaryHeap<Reverse<(Link, usize)>>,
}

#[derive(Debug)]
struct Run {
    file: File,
    next: u64,
    end: u64,
    buffer: Bytes,
}

impl LinkSorter {
    /// Takes links; beyond `memory_max` bytes they go to a file in `folder`.
    #[must_use]
    pub fn new(files: &Files, folder: &Path, memory_max: usize) -> Self {
        let spool = Spool { files: files.clone(), folder: folder.to_owned(), file: None, ends: Vec::new() };
        Self { files: files.clone(), spool, memory_max, memory: 0, links: Vec::new() }
    }

    /// Takes a link.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn push(&mut self, link: Link) -> Result<(), FileError> {
        self.memory += LINK_OVERHEAD + link.name.as_bytes().len();
        self.links.push(link);
        if self.memory < self.memory_max {
            return Ok(());
        }
        self.links.sort_unstable();
        self.memory = 0;
        self.spool.write(&self.files, &std::mem::take(&mut self.links))
    }

    /// Sorts what is in memory and gives all.
    #[must_use]
    pub fn finish(mut self) -> SortedLinks {
        self.links.sort_unstable();
        SortedLinks { spool: self.spool, links: self.links }
    }
}

impl Spool {
    fn write(&mut self, files: &Files, links: &[Link]) -> Result<(), FileError> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => {
                files.create_dirs(&self.folder)?;
                self.file.insert(files.create(&self.folder.join("links"))?).clone()
            }
        };
        let mut end = self.ends.last().copied().unwrap_or(0);
        let mut bytes = Vec::with_capacity(READ_AHEAD + 512);
        for link in links {
            encode(link, &mut bytes);
            if bytes.len() >= READ_AHEAD {
                file.write_all_at(end, &bytes)?;
                end += bytes.len() as u64;
                bytes.clear();
            }
        }
        file.write_all_at(end, &bytes)?;
        self.ends.push(end + bytes.len() as u64);
        Ok(())
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The folder was made for this; what cannot be removed harms nobody.
            let _ = self.files.remove_dir_all(&self.folder);
        }
    }
}

impl SortedLinks {
    /// Reads the links from the first on. Its calls block.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self) -> Result<LinkReader<'_>, FileError> {
        let begins = std::iter::once(0).chain(self.spool.ends.iter().copied());
        let runs = begins.zip(&self.spool.ends).filter_map(|(next, &end)| {
            self.spool.file.clone().map(|file| Run { file, next, end, buffer: Bytes::new() })
        });
        let mut reader = LinkReader { links: self.links.iter(), runs: runs.collect(), heads: BinaryHeap::new() };
        for run in 0..=reader.runs.len() {
            reader.advance(run)?;
        }
        Ok(reader)
    }
}

impl LinkReader<'_> {
    /// The next link.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn take(&mut self) -> Result<Option<Link>, FileError> {
        let Some(Reverse((link, run))) = self.heads.pop() else { return Ok(None) };
        self.advance(run)?;
        Ok(Some(link))
    }

    /// The LIN of the next link.
    #[must_use]
    pub fn peek(&self) -> Option<Lin> {
        self.heads.peek().map(|Reverse((link, _))| link.lin)
    }

    /// Reads the head of a run; those in memory are the one after the last in the file.
    fn advance(&mut self, run: usize) -> Result<(), FileError> {
        let next = match self.runs.get_mut(run) {
            Some(run) => run.next()?,
            None => self.links.next().cloned(),
        };
        if let Some(link) = next {
            self.heads.push(Reverse((link, run)));
        }
        Ok(())
    }
}

impl Run {
    fn next(&mut self) -> Result<Option<Link>, FileError> {
        if let Some((link, rest)) = decode(&self.buffer) {
            self.buffer = rest;
            return Ok(Some(link));
        }
        if self.next >= self.end {
            return Ok(None);
        }
        let wanted = usize::try_from(self.end - self.next).unwrap_or(usize::MAX).min(READ_AHEAD);
        let mut buffer = self.buffer.to_vec();
        buffer.extend(self.file.read_exact_at(self.next, wanted)?);
        self.next += wanted as u64;
        self.buffer = buffer.into();
        let Some((link, rest)) = decode(&self.buffer) else { return Ok(None) };
        self.buffer = rest;
        Ok(Some(link))
    }
}

/// LIN (8), directory (8), length of the name (1), name; big-endian. The file lives as long as the process.
fn encode(link: &Link, bytes: &mut Vec<u8>) {
    let name = link.name.as_bytes();
    bytes.extend_from_slice(&link.lin.get().to_be_bytes());
    bytes.extend_from_slice(&link.parent.get().to_be_bytes());
    bytes.push(u8::try_from(name.len()).expect("a name has 255 bytes at most"));
    bytes.extend_from_slice(name);
}

fn decode(bytes: &Bytes) -> Option<(Link, Bytes)> {
    let (lin, rest) = bytes.split_first_chunk()?;
    let (parent, rest) = rest.split_first_chunk()?;
    let end = HEADER + usize::from(*rest.first()?);
    let name = Name::new(bytes.get(HEADER..end).map(Bytes::copy_from_slice)?).ok()?;
    let link = Link { lin: Lin(u64::from_be_bytes(*lin)), parent: Lin(u64::from_be_bytes(*parent)), name };
    Some((link, bytes.slice(end..)))
}

#[cfg(test)]
mod tests {
    use runtime::Seed;

    use super::*;

    fn sorted(memory_max: usize, links: &[Link]) -> (Vec<Link>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = LinkSorter::new(&Files::real(), &folder.path().join("spool"), memory_max);
        links.iter().for_each(|link| sorter.push(link.clone()).unwrap());
        let sorted = sorter.finish();
        let mut reader = sorted.read().unwrap();
        let mut read = Vec::new();
        while let Some(link) = reader.take().unwrap() {
            read.push(link);
        }
        let runs = sorted.spool.ends.len();
        drop(sorted);
        assert!(!folder.path().join("spool").exists(), "nothing is left behind");
        (read, runs)
    }

    #[test]
    fn links_come_back_sorted_whether_they_fit_in_memory_or_not() {
        let number = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
        let number = number.unwrap_or_else(|| Seed::from_os().u64());
        println!("HOLDFAST_SEED={number}");
        let seed = Seed::fixed(number);
        let link = |_| {
            let length = 1 + usize::try_from(seed.below(255)).unwrap();
            let name = Name::new(vec![b'a' + u8::try_from(seed.below(26)).unwrap(); length]).unwrap();
            Link { lin: Lin(seed.below(500)), parent: Lin(seed.below(50)), name }
        };
        let links: Vec<_> = (0..20_000).map(link).collect();
        let mut expected = links.clone();
        expected.sort_unstable();
        let (in_memory, runs) = sorted(usize::MAX, &links);
        assert_eq!((in_memory == expected, runs), (true, 0));
        let (spilled, runs) = sorted(300_000, &links);
        assert!(spilled == expected && runs > 5, "{runs} runs");
    }
}
