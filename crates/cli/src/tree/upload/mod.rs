//! A local tree into the cluster.
//!
//! Directories are taken in windows: a thread lists them and reads their small files, which go out in groups, several
//! groups in flight; then their subdirectories are made in one request and wait for their own window. Large files are
//! streamed beside the groups. A directory gets its times when everything in it is there, since each new entry moves
//! them; further names of hard-linked files come last. What fails for one file is printed and counted, and the rest goes
//! on.

mod directories;
mod further_names;
mod large;
mod tally;

pub use large::write_all;
pub use tally::Report;

use std::collections::VecDeque;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use client::{CHANGES_MAX, ChangeResult, ClientError, Pending, Session, SmallFile, Target};
use runtime::Tasks;
use types::{AttributeChanges, Attributes, FileKind, Lin, Name, Outcome, Timestamp};

use self::directories::{Directory, NewDirectory, times_of};
use self::tally::Tally;
use super::links::{FurtherName, Links};
use super::scan::{Found, Met, scan};
use super::source::{self, Body, FileId, LocalInode};
use crate::error::CliError;
use crate::progress::Progress;

/// Directories that are listed together.
const WINDOW: usize = 128;
/// Bytes of a group of small files, their metadata included.
const GROUP_LENGTH: u64 = 8 << 20;
/// Groups and large files in flight.
const IN_FLIGHT: usize = 4;

/// An upload that goes on.
pub struct Upload {
    session: Session,
    tasks: Tasks,
    tally: Tally,
    group: Vec<SmallFile>,
    origins: Vec<Origin>,
    group_bytes: u64,
    in_flight: VecDeque<InFlight>,
    links: Links,
    met: Met,
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

impl Upload {
    pub fn new(session: Session, tasks: Tasks, progress: Arc<Progress>) -> Self {
        Self {
            session,
            tasks,
            tally: Tally::new(progress),
            group: Vec::new(),
            origins: Vec::new(),
            group_bytes: 0,
            in_flight: VecDeque::new(),
            links: Links::default(),
            met: Met::default(),
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
        let made =
            directories::make(&self.session, vec![NewDirectory { path, parent, name, inode }], &mut self.tally).await?;
        self.trees(made).await
    }

    /// Uploads the entries of a directory into one that is there, and makes that as the local one is.
    pub async fn entries(&mut self, path: PathBuf, lin: Lin) -> Result<(), CliError> {
        let LocalInode { inode, .. } = source::inspect(&path)?;
        directories::adopt(&self.session, &path, lin, &inode, &mut self.tally).await?;
        self.trees(vec![Directory { path, lin, times: times_of(&inode) }]).await
    }

    /// Waits for everything in flight and makes the further names.
    pub async fn finish(mut self) -> Result<Report, CliError> {
        self.flush().await?;
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        further_names::make(&self.session, &mut self.links, &mut self.tally).await?;
        directories::set_times(&self.session, self.links.take_times(), &mut self.tally).await?;
        Ok(self.tally.report)
    }

    async fn trees(&mut self, mut waiting: Vec<Directory>) -> Result<(), CliError> {
        while !waiting.is_empty() {
            let window = waiting.split_off(waiting.len().saturating_sub(WINDOW));
            let subdirectories = self.window(&window).await?;
            self.flush().await?;
            waiting.extend(directories::make(&self.session, subdirectories, &mut self.tally).await?);
            let times = window.into_iter().map(|directory| (directory.lin, directory.times)).collect();
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
                    self.tally.failed(&error);
                    continue;
                }
            };
            let Some(directory) = window.get(directory) else { continue };
            match result {
                Err(error) => self.tally.failed(&error),
                Ok(found) if found.inode.kind == FileKind::Directory => {
                    subdirectories.push(NewDirectory { path, parent: directory.lin, name, inode: found.inode });
                }
                Ok(found) => self.add(path, directory.lin, name, found, Some(directory.times.clone())).await?,
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
            self.tally.changed(&path);
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
        let (session, progress) = (self.session.clone(), Arc::clone(&self.tally.progress));
        let (tasks, path) = (self.tasks.clone(), origin.path.clone());
        let copy = async move { large::copy(&session, &tasks, path, target, &progress).await };
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
                        self.tally.changed(&origin.path);
                    }
                    self.count(&origin, &attributes);
                }
                Err(error) if error.is_about_one_file() => self.tally.failed(&named(&origin.path, error)),
                Err(error) => return Err(error),
            },
            Some(InFlight::Finished(times)) => directories::set_times(&self.session, times, &mut self.tally).await?,
        }
        Ok(())
    }

    fn count_small(&mut self, origin: &Origin, result: ChangeResult) {
        match result {
            Ok(Outcome::Inode(attributes)) => {
                self.tally.progress.add_bytes(origin.bytes);
                self.count(origin, &attributes);
            }
            Ok(_) => self.tally.failed(&format!("{}: the answer makes no sense", origin.path.display())),
            Err(failure) => self.tally.failed(&format!("{}: {failure}", origin.path.display())),
        }
    }

    fn count(&mut self, origin: &Origin, made: &Attributes) {
        self.tally.made(origin.kind, origin.bytes);
        if let Some(id) = origin.shared {
            self.links.made(id, made.lin);
        }
    }
}

/// The error with the file's name, unless it has it already.
fn named(path: &Path, error: CliError) -> String {
    match error {
        CliError::Local { .. } => error.to_string(),
        error => format!("{}: {error}", path.display()),
    }
}
