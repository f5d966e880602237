//! What a restore will do, before it does anything.
//!
//! Directories are found first, with the names of all else; then files come in windows, in the order of their LINs:
//! that is about the order in which they were made and packed. A window is small enough to be held in memory, and each
//! range of an object is read once for it.

mod directories;
mod links;
mod ranges;
mod rows;
mod window;

pub(crate) use directories::Directories;
pub(crate) use ranges::{Range, Slot, Wanted, ranges};
pub(crate) use window::{Part, PlannedFile, PlannedSpecial, PlannedSymlink, Window, Windows, metadata};

use std::collections::{BTreeMap, VecDeque};

use links::{Link, LinkSorter, SortedLinks};
use repo::{Backup, EntryRecord, EntryRow, Listed, Repository, WriterKeys};
use rows::Rows;
use runtime::Files;
use types::{Epoch, FileKind, Lin, SetId};

use crate::selection::Placement;
use crate::{DisplacedRoot, RestoreError, RestoreOptions, Selection};

/// What is to be restored, and from where.
#[derive(Clone, Debug)]
pub struct Source {
    /// The repository.
    pub repository: Repository<Listed>,
    /// The backup set.
    pub set: SetId,
    /// The backup.
    pub epoch: Epoch,
}

/// The plan of a restore.
#[derive(Debug)]
pub struct Plan {
    pub(crate) backup: Backup,
    pub(crate) keys: WriterKeys,
    pub(crate) options: RestoreOptions,
    pub(crate) directories: Directories,
    placement: Placement,
    links: SortedLinks,
}

/// What a plan comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Directories.
    pub directories: u64,
    /// Files, each with all its names counted once.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Pipes, sockets and devices.
    pub specials: u64,
    /// Files that have more than one name.
    pub link_groups: u64,
    /// Bytes of content, without holes.
    pub bytes: u64,
    /// Ranges of objects that are read, each with one request.
    pub requests: u64,
    /// Bytes of those ranges.
    pub bytes_fetched: u64,
}

impl Plan {
    /// Finds what is selected. Reads the tables of names, or of a selected part only the pages that it needs.
    ///
    /// # Errors
    /// The backup or the path is not there, or the repository cannot be read.
    pub async fn make(
        source: &Source,
        selection: &Selection,
        files: &Files,
        options: RestoreOptions,
    ) -> Result<Self, RestoreError> {
        let backup = source.repository.at(source.set, source.epoch)?;
        let mut placement = selection.place(&backup).await?;
        let mut names = Names {
            directories: Directories::new(placement.directories.clone()),
            sorter: LinkSorter::new(files, &options.spool, options.names_in_memory),
            placed: placement.displaced.iter().map(|root| (root.lin, false)).collect(),
        };
        if placement.whole {
            names.scan(&backup).await?;
        } else {
            names.walk(&backup).await?;
        }
        let Names { directories, sorter, placed } = names;
        placement.displaced.retain(|root| !directories.has_name(root.lin) && placed.get(&root.lin) == Some(&false));
        let (keys, links) = (source.repository.keys().clone(), sorter.finish());
        Ok(Self { backup, keys, options, directories, placement, links })
    }

    /// Roots that are restored elsewhere than the backup says, each with the reason.
    #[must_use]
    pub fn displaced(&self) -> &[DisplacedRoot] {
        &self.placement.displaced
    }

    /// Counts what the plan comes to. Reads the tables of inodes and extents, but no blocks.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub async fn summary(&self) -> Result<Summary, RestoreError> {
        let mut summary = Summary { directories: self.directories.len() as u64, ..Summary::default() };
        let mut windows = self.windows().await?;
        while let Some(window) = windows.next().await? {
            summary.symlinks += window.symlinks.len() as u64;
            summary.specials += window.specials.len() as u64;
            for part in &window.parts {
                let is_first = u64::from(part.is_first);
                summary.files += is_first;
                summary.link_groups += if part.file.paths.len() > 1 { is_first } else { 0 };
                summary.bytes += part.extents.iter().map(|(_, extent)| u64::from(extent.length)).sum::<u64>();
            }
            for range in ranges(&window.parts, &self.options) {
                summary.requests += 1;
                summary.bytes_fetched += range.end - range.start;
            }
        }
        Ok(summary)
    }

    /// Begins with the first window.
    pub(crate) async fn windows(&self) -> Result<Windows<'_>, RestoreError> {
        let rows = if self.placement.whole { Rows::scan(&self.backup).await? } else { Rows::lookup(&self.backup) };
        Ok(Windows::new(&self.directories, &self.placement, self.links.read()?, rows, &self.options))
    }
}

/// The names of the backup, as they are read.
struct Names {
    directories: Directories,
    sorter: LinkSorter,
    /// Displaced roots, and whether a file among them has a name all the same.
    placed: BTreeMap<Lin, bool>,
}

impl Names {
    /// Reads all names of the backup.
    async fn scan(&mut self, backup: &Backup) -> Result<(), RestoreError> {
        let mut entries = backup.entries().await?;
        while let Some(row) = entries.next().await? {
            self.add(row)?;
        }
        Ok(())
    }

    /// Reads the names below the selected directories.
    async fn walk(&mut self, backup: &Backup) -> Result<(), RestoreError> {
        let mut waiting: VecDeque<_> = self.directories.all().collect();
        while let Some(directory) = waiting.pop_front() {
            let mut entries = backup.directory(directory).await?;
            while let Some(row) = entries.next().await? {
                waiting.extend(self.add(row)?);
            }
        }
        Ok(())
    }

    /// Adds a name; gives the directory that was not known before.
    fn add(&mut self, EntryRow { parent, name, entry, .. }: EntryRow) -> Result<Option<Lin>, RestoreError> {
        let Some(EntryRecord { lin, kind }) = entry else { return Ok(None) };
        if kind == FileKind::Directory {
            return Ok(self.directories.add(lin, parent, name).then_some(lin));
        }
        if let Some(has_name) = self.placed.get_mut(&lin) {
            *has_name = true;
        }
        self.sorter.push(Link { lin, parent, name })?;
        Ok(None)
    }
}
