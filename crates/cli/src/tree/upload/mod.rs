//! A local tree into the cluster.
//!
//! Directories are taken in windows: a thread lists them and reads their small files, which go out in groups, several
//! groups in flight; then their subdirectories are made in one request and wait for their own window. Large files are
//! streamed beside the groups. A directory gets its times when everything in it is there, since each new entry moves
//! them; further names of hard-linked files come last. What fails for one file is printed and counted, and the rest goes
//! on.

use std::collections::VecDeque;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{CHANGES_MAX, ChangeResult, ClientError, FileWriter, Parts, Pending, Session, SmallFile, Target};
use runtime::{Shutdown, Tasks};
use types::{
    AttributeChanges, Attributes, Change, Create, ErrorKind, FileKind, Lin, Name, NewInode, Outcome, Removal, Timestamp,
};

use super::adoption::adoption;
use super::links::{FurtherName, Links};
use super::scan::{Found, Met, scan};
use super::source::{self, Body, FileId, LocalInode, Pieces};
use crate::error::CliError;
use crate::progress::Progress;
use crate::summary::Copied;

/// Directories that are listed together.
const WINDOW: usize = 128;
/// Bytes of a group of small files, their metadata included.
const GROUP_LENGTH: u64 = 8 << 20;
/// Groups and large files in flight.
const IN_FLIGHT: usize = 4;

/// What was uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub copied: Copied,
    /// Files that somebody wrote to while they were read.
    pub changed: u64,
    pub failed: u64,
}

/// An upload that goes on.
pub struct Upload {
    session: Session,
    tasks: Tasks,
    progress: Arc<Progress>,
    group: Vec<SmallFile>,
    origins: Vec<Origin>,
    group_bytes: u64,
    in_flight: VecDeque<InFlight>,
    links: Links,
    met: Met,
    report: Report,
}

/// Where something comes from, to be counted or complained about when its result is there.
struct Origin {
    path: PathBuf,
    kind: FileKind,
    bytes: u64,
    mtime: Option<Timestamp>,
    shared: Option<FileId>,
}

enum InFlight {
    Group(Vec<Origin>, Pending<Result<Vec<ChangeResult>, ClientError>>),
    Large(Origin, Pending<Result<Attributes, CliError>>),
    /// Directories whose entries are all ahead in the queue.
    Finished(Vec<(Lin, AttributeChanges)>),
}

/// A directory that is there and waits for its entries.
struct Directory {
    path: PathBuf,
    lin: Lin,
    times: Option<AttributeChanges>,
}

impl Upload {
    pub fn new(session: Session, tasks: Tasks, progress: Arc<Progress>) -> Self {
        Self {
            session,
            tasks,
            progress,
            group: Vec::new(),
            origins: Vec::new(),
            group_bytes: 0,
            in_flight: VecDeque::new(),
            links: Links::default(),
            met: Met::default(),
            report: Report::default(),
        }
    }

    /// Uploads one file that is no directory.
    pub async fn file(&mut self, path: &Path, parent: Lin, name: Name) -> Result<(), CliError> {
        let mut inode = source::inspect(path)?;
        source::read(path, &mut inode)?;
        inode.shared = None;
        self.add(path.to_owned(), parent, name, inode, None).await
    }

    /// Uploads a directory under that name, or into the directory that has it.
    pub async fn directory(&mut self, path: PathBuf, parent: Lin, name: Name) -> Result<(), CliError> {
        let LocalInode { inode, .. } = source::inspect(&path)?;
        let made = self.make_directories(vec![(path, parent, name, inode)]).await?;
        self.trees(made).await
    }

    /// Uploads the entries of a directory into one that is there, and makes that as the local one is.
    pub async fn entries(&mut self, path: PathBuf, lin: Lin) -> Result<(), CliError> {
        let LocalInode { inode, .. } = source::inspect(&path)?;
        self.adopt(&path, lin, &inode).await?;
        self.trees(vec![Directory { path, lin, times: Some(times_of(&inode)) }]).await
    }

    /// Waits for everything in flight and makes the further names.
    pub async fn finish(mut self) -> Result<Report, CliError> {
        self.flush().await?;
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        self.make_links().await?;
        let times = self.links.take_times();
        self.set_times(times).await?;
        Ok(self.report)
    }

    async fn trees(&mut self, mut waiting: Vec<Directory>) -> Result<(), CliError> {
        while !waiting.is_empty() {
            let window = waiting.split_off(waiting.len().saturating_sub(WINDOW));
            let subdirectories = self.window(&window).await?;
            self.flush().await?;
            waiting.extend(self.make_directories(subdirectories).await?);
            let times = window.into_iter().filter_map(|directory| Some((directory.lin, directory.times?))).collect();
            self.in_flight.push_back(InFlight::Finished(times));
        }
        Ok(())
    }

    /// Uploads the files of some directories and gives the subdirectories that are to be made.
    async fn window(&mut self, window: &[Directory]) -> Result<Vec<NewDirectory>, CliError> {
        let paths = window.iter().map(|directory| directory.path.clone()).collect();
        let mut entries = scan(&self.tasks, paths, self.met.clone());
        let mut subdirectories = Vec::new();
        while let Some(found) = entries.recv().await {
            let Found { directory, name, path, result } = match found {
                Ok(found) => found,
                Err(error) => {
                    self.failed(&error);
                    continue;
                }
            };
            let Some(directory) = window.get(directory) else { continue };
            match result {
                Err(error) => self.failed(&error),
                Ok(found) if found.inode.kind == FileKind::Directory => {
                    subdirectories.push((path, directory.lin, name, found.inode));
                }
                Ok(found) => self.add(path, directory.lin, name, found, directory.times.clone()).await?,
            }
        }
        Ok(subdirectories)
    }

    async fn add(
        &mut self,
        path: PathBuf,
        parent: Lin,
        name: Name,
        found: LocalInode,
        directory: Option<AttributeChanges>,
    ) -> Result<(), CliError> {
        let LocalInode { inode, shared, body, has_changed } = found;
        if has_changed {
            self.changed(&path);
        }
        if let Some(id) = shared
            && !self.links.begin(id)
        {
            self.links.add(FurtherName { id, parent, name }, directory);
            return Ok(());
        }
        let origin = Origin { path, kind: inode.kind, bytes: inode.size, mtime: inode.mtime, shared };
        let pieces = match body {
            Body::Large => return self.add_large(origin, Target { parent, name, inode, replace: true }).await,
            Body::Here(pieces) => pieces,
            Body::None => Vec::new(),
        };
        let file = SmallFile { parent, name, inode, pieces, replace: true };
        self.group_bytes += file.length();
        self.group.push(file);
        self.origins.push(origin);
        if self.group.len() >= CHANGES_MAX || self.group_bytes >= GROUP_LENGTH {
            self.flush().await?;
        }
        Ok(())
    }

    async fn add_large(&mut self, origin: Origin, target: Target) -> Result<(), CliError> {
        self.make_room().await?;
        let (session, progress) = (self.session.clone(), Arc::clone(&self.progress));
        let (tasks, path) = (self.tasks.clone(), origin.path.clone());
        let copy = async move { copy_large(&session, &tasks, path, target, &progress).await };
        self.in_flight.push_back(InFlight::Large(origin, Pending::start(&self.tasks, "upload a file", copy)));
        Ok(())
    }

    /// Sends the group on its way.
    async fn flush(&mut self) -> Result<(), CliError> {
        if self.group.is_empty() {
            return Ok(());
        }
        self.make_room().await?;
        let (files, origins) = (mem::take(&mut self.group), mem::take(&mut self.origins));
        self.group_bytes = 0;
        let session = self.session.clone();
        let make = async move { session.make_small_files(files).await };
        self.in_flight.push_back(InFlight::Group(origins, Pending::start(&self.tasks, "upload small files", make)));
        Ok(())
    }

    async fn make_room(&mut self) -> Result<(), CliError> {
        while self.in_flight.len() >= IN_FLIGHT {
            self.settle().await?;
        }
        Ok(())
    }

    /// Waits for the oldest in flight.
    async fn settle(&mut self) -> Result<(), CliError> {
        match self.in_flight.pop_front() {
            None => {}
            Some(InFlight::Group(origins, pending)) => {
                let results = pending.finish().await??;
                for (origin, result) in origins.into_iter().zip(results) {
                    self.count_small(&origin, result);
                }
            }
            Some(InFlight::Large(origin, pending)) => match pending.finish().await? {
                Ok(attributes) => {
                    if source::has_changed(&origin.path, origin.bytes, origin.mtime) {
                        self.changed(&origin.path);
                    }
                    self.count(&origin, &attributes);
                }
                Err(error) if error.is_about_one_file() => self.failed(&named(&origin.path, error)),
                Err(error) => return Err(error),
            },
            Some(InFlight::Finished(times)) => self.set_times(times).await?,
        }
        Ok(())
    }

    fn count_small(&mut self, origin: &Origin, result: ChangeResult) {
        match result {
            Ok(Outcome::Inode(attributes)) => {
                self.progress.add_bytes(origin.bytes);
                self.count(origin, &attributes);
            }
            Ok(_) => self.failed(&format!("{}: the answer makes no sense", origin.path.display())),
            Err(failure) => self.failed(&format!("{}: {failure}", origin.path.display())),
        }
    }

    fn count(&mut self, origin: &Origin, made: &Attributes) {
        self.progress.add_file();
        match origin.kind {
            FileKind::File => self.report.copied.files += 1,
            FileKind::Directory => self.report.copied.directories += 1,
            FileKind::Symlink => self.report.copied.symlinks += 1,
            FileKind::Pipe | FileKind::Socket | FileKind::CharDevice | FileKind::BlockDevice => {
                self.report.copied.specials += 1;
            }
        }
        self.report.copied.bytes += origin.bytes;
        if let Some(id) = origin.shared {
            self.links.made(id, made.lin);
        }
    }

    /// Notes something that could not be uploaded.
    fn failed(&mut self, error: &impl std::fmt::Display) {
        self.progress.warn(error);
        self.report.failed += 1;
    }

    fn changed(&mut self, path: &Path) {
        self.progress.warn(format!("{}: it changed while it was read", path.display()));
        self.report.changed += 1;
    }

    /// Makes directories; one that is there already is used, and becomes as the local one is.
    async fn make_directories(&mut self, new: Vec<NewDirectory>) -> Result<Vec<Directory>, CliError> {
        let create = |(_, parent, name, inode): &NewDirectory| {
            let (parent, name, inode) = (*parent, name.clone(), inode.clone());
            Change::Create(Create { parent, name, inode, replace: false })
        };
        let results = self.session.execute(new.iter().map(create).collect()).await?;
        let mut made = Vec::new();
        for ((path, parent, name, inode), result) in new.into_iter().zip(results) {
            let lin = match result {
                Ok(Outcome::Inode(attributes)) => Some(attributes.lin),
                Err(failure) if failure.kind == ErrorKind::AlreadyExists => {
                    self.use_directory(&path, parent, &name, &inode).await?
                }
                Ok(_) => None,
                Err(failure) => {
                    self.failed(&format!("{}: {failure}", path.display()));
                    None
                }
            };
            let Some(lin) = lin else { continue };
            self.report.copied.directories += 1;
            self.progress.add_file();
            made.push(Directory { path, lin, times: Some(times_of(&inode)) });
        }
        Ok(made)
    }

    async fn use_directory(
        &mut self,
        path: &Path,
        parent: Lin,
        name: &Name,
        inode: &NewInode,
    ) -> Result<Option<Lin>, CliError> {
        let steps = self.session.client().lookup(parent, std::slice::from_ref(name), None).await?;
        let Some(found) = steps.last().filter(|found| found.kind == FileKind::Directory && found.lin != parent) else {
            self.failed(&format!("{}: a file of that name is in the way", path.display()));
            return Ok(None);
        };
        let lin = found.lin;
        self.adopt(path, lin, inode).await?;
        Ok(Some(lin))
    }

    /// Makes a directory that is there as the local one is, but for its times.
    async fn adopt(&mut self, path: &Path, lin: Lin, inode: &NewInode) -> Result<(), CliError> {
        let parts = Parts { xattrs: true, content: false };
        let there = self.session.client().describe(lin, parts, None).await?;
        for failure in self.session.execute(adoption(&there, inode)).await?.into_iter().filter_map(Result::err) {
            self.failed(&format!("{}: {failure}", path.display()));
        }
        Ok(())
    }

    async fn set_times(&mut self, times: Vec<(Lin, AttributeChanges)>) -> Result<(), CliError> {
        let set =
            |(lin, changes): &(Lin, AttributeChanges)| Change::SetAttributes { lin: *lin, changes: changes.clone() };
        let results = self.session.execute(times.iter().map(set).collect()).await?;
        for ((lin, _), result) in times.iter().zip(results) {
            if let Err(failure) = result {
                self.failed(&format!("the times of directory {lin}: {failure}"));
            }
        }
        Ok(())
    }

    async fn make_links(&mut self) -> Result<(), CliError> {
        let mut links = self.links.take().into_iter().peekable();
        while links.peek().is_some() {
            let batch: Vec<_> = links.by_ref().take(CHANGES_MAX).collect();
            for (further, lin) in batch.iter().filter(|(_, lin)| lin.is_none()) {
                let FurtherName { name, parent, .. } = further;
                self.failed(&format!("{name} in directory {parent}: the file's first name failed ({lin:?})"));
            }
            let batch: Vec<_> = batch.into_iter().filter_map(|(further, lin)| Some((further, lin?))).collect();
            self.make_link_batch(batch).await?;
        }
        Ok(())
    }

    async fn make_link_batch(&mut self, batch: Vec<(FurtherName, Lin)>) -> Result<(), CliError> {
        let link = |(further, lin): &(FurtherName, Lin)| Change::Link {
            lin: *lin,
            parent: further.parent,
            name: further.name.clone(),
        };
        let results = self.session.execute(batch.iter().map(link).collect()).await?;
        for (further, result) in batch.iter().zip(results) {
            let result = match result {
                Err(failure) if failure.kind == ErrorKind::AlreadyExists => {
                    self.replace_by_link(link(further), further).await?
                }
                result => result,
            };
            match result {
                Ok(_) => {
                    self.report.copied.links += 1;
                    self.progress.add_file();
                }
                Err(failure) => {
                    let FurtherName { name, parent, .. } = &further.0;
                    self.failed(&format!("{name} in directory {parent}: {failure}"));
                }
            }
        }
        Ok(())
    }

    /// `link` never replaces, so what has the name is removed first.
    async fn replace_by_link(&self, link: Change, (further, _): &(FurtherName, Lin)) -> Result<ChangeResult, CliError> {
        let (parent, name) = (further.parent, further.name.clone());
        let remove = Change::Remove { parent, name, expect: Removal::NotDirectory };
        let results = self.session.execute(vec![remove, link]).await?;
        let last = results.into_iter().last();
        let missing = ClientError::AnswerCount { action: "make the link", found: 0, expected: 2 };
        last.ok_or_else(|| missing.into())
    }
}

type NewDirectory = (PathBuf, Lin, Name, NewInode);

fn times_of(inode: &NewInode) -> AttributeChanges {
    AttributeChanges { atime: inode.atime, mtime: inode.mtime, ..AttributeChanges::default() }
}

/// Copies a file, unless the program is told to stop; what was begun then goes away.
async fn copy_large(
    session: &Session,
    tasks: &Tasks,
    path: PathBuf,
    target: Target,
    progress: &Progress,
) -> Result<Attributes, CliError> {
    let size = target.inode.size;
    let mut writer = session.write_file(target);
    let mut pieces = source::read_large(tasks, path, size);
    let written = write_all(&mut writer, &mut pieces, &tasks.shutdown(), progress).await;
    if let Err(error) = written {
        writer.abandon().await;
        return Err(error);
    }
    writer.extend_to(size);
    Ok(writer.finish().await?)
}

/// Writes pieces as they come, until there are no more.
pub async fn write_all(
    writer: &mut FileWriter,
    pieces: &mut Pieces,
    shutdown: &Shutdown,
    progress: &Progress,
) -> Result<(), CliError> {
    while let Some(piece) = shutdown.unless_cancelled(pieces.recv()).await.ok_or(ClientError::Interrupted)? {
        let piece = piece?;
        writer.write(piece.offset, &piece.bytes).await?;
        progress.add_bytes(piece.bytes.len() as u64);
    }
    Ok(())
}

/// The error with the file's name, unless it has it already.
fn named(path: &Path, error: CliError) -> String {
    match error {
        CliError::Local { .. } => error.to_string(),
        error => format!("{}: {error}", path.display()),
    }
}
