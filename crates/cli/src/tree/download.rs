//! A tree of the cluster into a local folder.
//!
//! Several directories are listed ahead, all entries of a page described in one call; several files are read at once,
//! their blocks fetched ahead, and each gets its name when it is whole. Further names of hard-linked files, and the directories' own metadata, come last, deepest
//! first, since each entry that is made moves the times of its directory. What fails for one file is printed and
//! counted, and the rest goes on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use client::{Client, ClientError, Entry, Inode, Parts, Pending};
use restore::{LocalTarget, Metadata, RelativePath, TargetError, Warnings};
use runtime::{Shutdown, Tasks, blocking};
use types::{FileKind, Lin, Name, SnapshotId};
use wire::Failure;

use crate::error::CliError;
use crate::progress::Progress;
use crate::summary::Copied;

/// Files that are read at once.
const IN_FLIGHT: usize = 8;
/// Directories that are listed ahead; a page of one has up to 1024 entries, with what is inline.
const LISTED_AHEAD: usize = 8;
/// LINs that one call describes, with their first extents.
const DESCRIBED: usize = 256;

/// What was downloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadReport {
    pub copied: Copied,
    pub failed: u64,
    pub warnings: Warnings,
}

impl DownloadReport {
    /// Adds those of another download.
    pub fn add(&mut self, other: Self) {
        self.copied.add(other.copied);
        self.failed += other.failed;
        self.warnings.add(other.warnings);
    }
}

/// A download that goes on.
pub struct Download {
    client: Client,
    tasks: Tasks,
    snapshot: Option<SnapshotId>,
    target: Arc<LocalTarget>,
    progress: Arc<Progress>,
    /// The first path of each file with several names.
    first_paths: HashMap<Lin, RelativePath>,
    links: Vec<(RelativePath, RelativePath)>,
    directories: Vec<(RelativePath, Metadata)>,
    in_flight: VecDeque<(RelativePath, Copying)>,
    report: DownloadReport,
}

impl Download {
    pub fn new(
        client: Client,
        tasks: Tasks,
        snapshot: Option<SnapshotId>,
        target: LocalTarget,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            client,
            tasks,
            snapshot,
            target: Arc::new(target),
            progress,
            first_paths: HashMap::new(),
            links: Vec::new(),
            directories: Vec::new(),
            in_flight: VecDeque::new(),
            report: DownloadReport::default(),
        }
    }

    /// Copies a file, or a directory with all that is in it, to a path below the target.
    pub async fn run(mut self, lin: Lin, path: RelativePath) -> Result<DownloadReport, CliError> {
        let parts = Parts { xattrs: true, content: true };
        let inode = self.client.describe(lin, parts, self.snapshot).await?;
        let mut waiting = Vec::new();
        waiting.extend(self.take(path, inode).await?);
        let mut listings = VecDeque::new();
        loop {
            while listings.len() < LISTED_AHEAD
                && let Some((path, lin)) = waiting.pop()
            {
                listings.push_back((path, self.list(lin, None)));
            }
            let Some((path, listing)) = listings.pop_front() else { break };
            waiting.extend(self.directory(&path, listing).await?);
        }
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        self.make_links().await?;
        self.finish_directories().await?;
        Ok(self.report)
    }

    /// Begins to list a directory after that name.
    fn list(&self, directory: Lin, after: Option<Name>) -> Listing {
        let (client, snapshot) = (self.client.clone(), self.snapshot);
        Pending::start(&self.tasks, "list a directory", page(client, snapshot, directory, after))
    }

    /// Copies the entries of a directory and gives its subdirectories.
    async fn directory(
        &mut self,
        path: &RelativePath,
        mut listing: Listing,
    ) -> Result<Vec<(RelativePath, Lin)>, CliError> {
        let mut below = Vec::new();
        loop {
            let page = listing.finish().await??;
            let next = page.next.map(|after| self.list(page.directory, Some(after)));
            for (entry, inode) in page.entries {
                let path = path.join(&entry.name);
                match inode {
                    Ok(inode) => match self.take(path.clone(), inode).await {
                        Ok(found) => below.extend(found),
                        Err(error) => self.failed_or_fatal(&path, error)?,
                    },
                    // At the head a file may go away between the list and here.
                    Err(failure) => self.failed(&path, &failure),
                }
            }
            match next {
                Some(next) => listing = next,
                None => return Ok(below),
            }
        }
    }

    /// Makes what an inode describes; a directory is given back, to be entered. An error is that of a directory which
    /// cannot be made, or ends the download.
    async fn take(&mut self, path: RelativePath, inode: Inode) -> Result<Option<(RelativePath, Lin)>, CliError> {
        let (lin, metadata) = (inode.attributes.lin, metadata(&inode));
        if inode.attributes.kind != FileKind::Directory && inode.attributes.nlink > 1 {
            if let Some(first) = self.first_paths.get(&lin) {
                self.links.push((first.clone(), path));
                return Ok(None);
            }
            self.first_paths.insert(lin, path.clone());
        }
        match inode.attributes.kind {
            FileKind::Directory => {
                let (target, at) = (Arc::clone(&self.target), path.clone());
                blocking(move || target.make_directory(&at)).await?;
                self.directories.push((path.clone(), metadata));
                return Ok(Some((path, lin)));
            }
            FileKind::Symlink => {
                let (target, at) = (Arc::clone(&self.target), path.clone());
                let made = blocking(move || target.make_symlink(&at, &inode.target, &metadata)).await;
                self.made(&path, made, |copied| copied.symlinks += 1)?;
            }
            FileKind::Pipe | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
                let (target, at) = (Arc::clone(&self.target), path.clone());
                let device = inode.device.unwrap_or_default();
                let made = blocking(move || target.make_special(&at, device, &metadata)).await;
                self.made(&path, made, |copied| copied.specials += 1)?;
            }
            FileKind::File => self.file(path, inode, metadata).await?,
        }
        Ok(None)
    }

    /// Counts what was whole at once.
    fn made(
        &mut self,
        path: &RelativePath,
        made: Result<Warnings, TargetError>,
        count: impl FnOnce(&mut Copied),
    ) -> Result<(), CliError> {
        match made {
            Ok(warnings) => {
                self.report.warnings.add(warnings);
                count(&mut self.report.copied);
                self.progress.add_file();
                Ok(())
            }
            Err(error) => self.failed_or_fatal(path, error.into()),
        }
    }

    async fn file(&mut self, path: RelativePath, inode: Inode, metadata: Metadata) -> Result<(), CliError> {
        while self.in_flight.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        let copy = FileCopy {
            client: self.client.clone(),
            snapshot: self.snapshot,
            target: Arc::clone(&self.target),
            progress: Arc::clone(&self.progress),
            path: path.clone(),
            inode,
            metadata,
        };
        self.in_flight
            .push_back((path, Pending::start(&self.tasks, "download a file", copy.run(self.tasks.shutdown()))));
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), CliError> {
        let Some((path, pending)) = self.in_flight.pop_front() else { return Ok(()) };
        match pending.finish().await? {
            Ok((warnings, bytes)) => {
                self.report.warnings.add(warnings);
                self.report.copied.files += 1;
                self.report.copied.bytes += bytes;
                self.progress.add_file();
            }
            Err(error) => self.failed_or_fatal(&path, error)?,
        }
        Ok(())
    }

    async fn make_links(&mut self) -> Result<(), CliError> {
        for (first, path) in std::mem::take(&mut self.links) {
            let (target, at) = (Arc::clone(&self.target), path.clone());
            match blocking(move || target.link(&first, &at)).await {
                Ok(()) => {
                    self.report.copied.links += 1;
                    self.progress.add_file();
                }
                Err(error) => self.failed_or_fatal(&path, error.into())?,
            }
        }
        Ok(())
    }

    async fn finish_directories(&mut self) -> Result<(), CliError> {
        while let Some((path, metadata)) = self.directories.pop() {
            let (target, at) = (Arc::clone(&self.target), path.clone());
            match blocking(move || target.finish_directory(&at, &metadata)).await {
                Ok(warnings) => {
                    self.report.warnings.add(warnings);
                    self.report.copied.directories += 1;
                }
                Err(error) => self.failed_or_fatal(&path, error.into())?,
            }
        }
        Ok(())
    }

    fn failed_or_fatal(&mut self, path: &RelativePath, error: CliError) -> Result<(), CliError> {
        if !error.is_about_one_file() {
            return Err(error);
        }
        match error {
            // It names the path itself.
            CliError::Target(error @ TargetError::Entry { .. }) => self.count_failed(&error),
            error => self.failed(path, &error),
        }
        Ok(())
    }

    fn failed(&mut self, path: &RelativePath, error: &impl std::fmt::Display) {
        self.count_failed(&format_args!("{path}: {error}"));
    }

    fn count_failed(&mut self, text: &impl std::fmt::Display) {
        self.progress.warn(text);
        self.report.failed += 1;
    }
}

/// Entries of a directory with all that belongs to them.
struct Page {
    directory: Lin,
    entries: Vec<(Entry, Result<Inode, Failure>)>,
    /// The name after which there are more.
    next: Option<Name>,
}

/// A file that is being copied: metadata that the target did not take, and the file's length.
type Copying = Pending<Result<(Warnings, u64), CliError>>;

type Listing = Pending<Result<Page, ClientError>>;

async fn page(
    client: Client,
    snapshot: Option<SnapshotId>,
    directory: Lin,
    after: Option<Name>,
) -> Result<Page, ClientError> {
    let (entries, more) = client.read_directory(directory, after.as_ref(), snapshot).await?;
    let parts = Parts { xattrs: true, content: true };
    let mut inodes = Vec::with_capacity(entries.len());
    for part in entries.chunks(DESCRIBED) {
        let lins: Vec<_> = part.iter().map(|entry| entry.lin).collect();
        inodes.extend(client.describe_all(&lins, parts, snapshot).await?);
    }
    let next = entries.last().filter(|_| more).map(|entry| entry.name.clone());
    Ok(Page { directory, entries: entries.into_iter().zip(inodes).collect(), next })
}

/// The copy of one file.
struct FileCopy {
    client: Client,
    snapshot: Option<SnapshotId>,
    target: Arc<LocalTarget>,
    progress: Arc<Progress>,
    path: RelativePath,
    inode: Inode,
    metadata: Metadata,
}

impl FileCopy {
    /// Copies, unless the program is told to stop; what was begun then goes away.
    async fn run(self, shutdown: Shutdown) -> Result<(Warnings, u64), CliError> {
        shutdown.unless_cancelled(self.copy()).await.unwrap_or_else(|| Err(ClientError::Interrupted.into()))
    }

    async fn copy(self) -> Result<(Warnings, u64), CliError> {
        let Self { client, snapshot, target, progress, path, inode, metadata } = self;
        let mut reader = client.read_inode(inode, snapshot)?;
        let size = reader.size();
        let making = Arc::clone(&target);
        let new = blocking(move || making.new_file(&path)).await?;
        while let Some(piece) = reader.next().await? {
            let (length, file) = (piece.bytes.len() as u64, new.file());
            blocking(move || file.write_at(&piece.bytes, piece.offset)).await?;
            progress.add_bytes(length);
        }
        let finish = move || {
            new.set_length(size)?;
            target.finish_file(new, &metadata)
        };
        Ok((blocking(finish).await?, size))
    }
}

fn metadata(inode: &Inode) -> Metadata {
    let attributes = &inode.attributes;
    Metadata {
        kind: attributes.kind,
        mode: attributes.mode,
        uid: attributes.uid,
        gid: attributes.gid,
        atime: attributes.atime,
        mtime: attributes.mtime,
        xattrs: inode.xattrs.clone(),
    }
}
