//! `holdfast fs`: work with files in the cluster.

mod append;
mod cat;
mod clone;
mod df;
mod get;
mod link;
mod list;
mod locks;
mod mkdir;
mod place;
mod put;
mod remove;
mod rename;
mod stat;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;
use clap::{Args, Subcommand};
use client::{Client, FilePath, Session};
use types::{Content, FileKind, NewInode, SnapshotId, SnapshotState};

use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::{Format, complain};

/// What to do with files. Paths in the cluster begin at its root directory.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List directories
    Ls(list::Arguments),
    /// Show all that is known of a file
    Stat(stat::Arguments),
    /// Make directories
    Mkdir(mkdir::Arguments),
    /// Copy local files into the cluster, in place of those that are there
    Put(put::Arguments),
    /// Copy files from the cluster to local ones, in place of those that are there
    Get(get::Arguments),
    /// Print files
    Cat(cat::Arguments),
    /// Append standard input to a file
    Append(append::Arguments),
    /// Remove files
    Rm(remove::Arguments),
    /// Move or rename files
    Mv(rename::Arguments),
    /// Make files that share the blocks of others: at once, however large they are, and without taking any room
    Clone(clone::Arguments),
    /// Make links
    Ln(link::Arguments),
    /// Show how full the file system is
    Df(df::Arguments),
    /// Show who has locked files, or ranges of them
    Locks(locks::Arguments),
}

/// The state of the file system that is read.
#[derive(Clone, Debug, Default, Args)]
pub struct At {
    /// Read the file system as it was at this snapshot
    #[arg(long = "at", value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

pub async fn run(command: Command, invocation: &mut Invocation) -> Result<(), CliError> {
    match command {
        Command::Ls(arguments) => list::run(arguments, invocation).await,
        Command::Stat(arguments) => stat::run(arguments, invocation).await,
        Command::Mkdir(arguments) => mkdir::run(arguments, invocation).await,
        Command::Put(arguments) => Box::pin(put::run(arguments, invocation)).await,
        Command::Get(arguments) => Box::pin(get::run(arguments, invocation)).await,
        Command::Cat(arguments) => cat::run(arguments, invocation).await,
        Command::Append(arguments) => append::run(arguments, invocation).await,
        Command::Rm(arguments) => remove::run(arguments, invocation).await,
        Command::Mv(arguments) => rename::run(arguments, invocation).await,
        Command::Clone(arguments) => clone::run(arguments, invocation).await,
        Command::Ln(arguments) => link::run(arguments, invocation).await,
        Command::Df(arguments) => df::run(arguments, invocation).await,
        Command::Locks(arguments) => locks::run(arguments, invocation).await,
    }
}

/// The state of the file system that a command reads for a while: a snapshot is pinned until it is done.
struct Reading {
    client: Client,
    snapshot: Option<SnapshotId>,
    /// What pins the snapshot.
    session: Option<Session>,
}

impl Reading {
    /// Ends what pins the snapshot. After a failure the invocation does so.
    async fn finish(self) -> Result<(), CliError> {
        match self.session {
            Some(session) => Ok(session.close().await?),
            None => Ok(()),
        }
    }
}

impl At {
    /// Connects; nobody deletes the snapshot while the command, which says what it is, reads it.
    async fn open(&self, command: &str, invocation: &mut Invocation) -> Result<Reading, CliError> {
        if self.snapshot.is_none() {
            return Ok(Reading { client: invocation.connect().await?, snapshot: None, session: None });
        }
        let session = invocation.open_session().await?;
        let client = session.client().clone();
        let snapshot = self.find(&client).await?;
        if let Some(snapshot) = snapshot {
            session.pin_snapshot(snapshot, &format!("holdfast {command}, process {}", std::process::id())).await?;
        }
        Ok(Reading { client, snapshot, session: Some(session) })
    }

    async fn find(&self, client: &Client) -> Result<Option<SnapshotId>, CliError> {
        let Some(name) = &self.snapshot else { return Ok(None) };
        let snapshots = client.snapshots().await?;
        let found = snapshots.iter().find(|snapshot| snapshot.name == *name && snapshot.state == SnapshotState::Live);
        found.map(|found| Some(found.id)).ok_or_else(|| CliError::NoRecord { what: "snapshot", name: name.clone() })
    }
}

/// A path in the cluster as it was typed.
fn path(text: &OsString) -> Result<FilePath, CliError> {
    Ok(FilePath::new(Bytes::copy_from_slice(text.as_bytes()))?)
}

/// Something new and empty that belongs to whoever runs the program.
fn own_inode(kind: FileKind, mode: u32) -> NewInode {
    NewInode {
        kind,
        mode,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content: Content::Empty,
        size: 0,
    }
}

/// Does something for each path. What fails for one of several is told, and the others go on; the error of a lone one is
/// the command's, with the exit code that says what it was.
async fn for_each_path(
    paths: &[OsString],
    format: Format,
    act: impl AsyncFnMut(&OsString) -> Result<(), CliError>,
) -> Result<(), CliError> {
    match each_in_turn(paths, act, |error| complain(format, "warning", error)).await? {
        0 => Ok(()),
        failed => Err(CliError::Partial { failed, what: "the paths" }),
    }
}

/// The same for a command that tells in its own way what failed, and has more to do after; gives how many failed.
async fn each_in_turn(
    paths: &[OsString],
    mut act: impl AsyncFnMut(&OsString) -> Result<(), CliError>,
    tell: impl Fn(&CliError),
) -> Result<u64, CliError> {
    let mut failed = 0;
    for path in paths {
        match act(path).await {
            Err(error) if paths.len() > 1 && error.is_about_one_file() => {
                tell(&error);
                failed += 1;
            }
            done => done?,
        }
    }
    Ok(failed)
}
