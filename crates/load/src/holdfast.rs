//! Clients of a Holdfast cluster: those that make small files, and those that change the ones they have.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use client::{Client, Options, Session};
use runtime::{Seed, Tasks};
use types::{AttributeChanges, Change, Content, Create, FileKind, Lin, Name, NewInode, Outcome, Rename, RenameMode};
use wire::Endpoint;

use crate::load::Writer;

/// A client that makes files in a directory of its own.
pub struct FileWriter {
    session: Session,
    directory: Lin,
    value: Bytes,
}

/// A client that makes, writes, changes and renames files in a directory of its own, which never has more of them than
/// `files` and one.
pub struct ChurningWriter {
    session: Session,
    directory: Lin,
    value: Bytes,
    files: u64,
    /// The file that was made last.
    made: Lin,
}

/// Connects clients that make files.
pub async fn writers(
    sockets: &[PathBuf],
    clients: usize,
    value: &Bytes,
    seed: &Seed,
    tasks: &Tasks,
) -> Result<Vec<FileWriter>> {
    let opened = open(sockets, clients, seed, tasks).await?;
    Ok(opened.into_iter().map(|(session, directory)| FileWriter { session, directory, value: value.clone() }).collect())
}

/// Connects clients that change the files which they have.
pub async fn churning_writers(
    sockets: &[PathBuf],
    clients: usize,
    (value, files): (&Bytes, u64),
    seed: &Seed,
    tasks: &Tasks,
) -> Result<Vec<ChurningWriter>> {
    let writer = |(session, directory)| {
        let (value, files) = (value.clone(), files.max(1));
        ChurningWriter { session, directory, value, files, made: Lin::ROOT }
    };
    Ok(open(sockets, clients, seed, tasks).await?.into_iter().map(writer).collect())
}

/// Opens sessions, each with a directory of its own below a new one. Each begins with another node, and turns to the
/// next when that one fails.
async fn open(sockets: &[PathBuf], clients: usize, seed: &Seed, tasks: &Tasks) -> Result<Vec<(Session, Lin)>> {
    let mut opened = Vec::with_capacity(clients);
    let mut parent = None;
    for number in 0..clients {
        let nodes = sockets.iter().cycle().skip(number % sockets.len().max(1)).take(sockets.len());
        let session = connect(nodes, tasks).await?.open_session("load").await?;
        let parent = match parent {
            Some(parent) => parent,
            None => *parent.insert(make_directory(&session, Lin::ROOT, &format!("load-{}", seed.uuid())).await?),
        };
        let directory = make_directory(&session, parent, &number.to_string()).await?;
        opened.push((session, directory));
    }
    Ok(opened)
}

/// Connects to the first of these nodes that answers.
pub async fn connect<'a>(sockets: impl Iterator<Item = &'a PathBuf>, tasks: &Tasks) -> Result<Client> {
    let endpoints = sockets.map(|socket| Endpoint::Unix(socket.clone())).collect();
    Ok(Client::connect(Options::new(endpoints, tasks.clone())).await?)
}

async fn make_directory(session: &Session, parent: Lin, name: &str) -> Result<Lin> {
    let create = create(parent, name, FileKind::Directory, Content::Empty)?;
    lin_of(&session.execute_one("make a directory", Change::Create(create)).await?)
}

fn lin_of(outcome: &Outcome) -> Result<Lin> {
    match outcome {
        Outcome::Inode(attributes) => Ok(attributes.lin),
        other => bail!("a change of one file gave {other:?}"),
    }
}

fn create(parent: Lin, name: &str, kind: FileKind, content: Content) -> Result<Create> {
    let size = if let Content::Inline(bytes) = &content { bytes.len() as u64 } else { 0 };
    let inode = NewInode {
        kind,
        mode: if kind == FileKind::Directory { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content,
        size,
    };
    Ok(Create { parent, name: named(name)?, inode, replace: false })
}

fn named(name: &str) -> Result<Name> {
    Name::new(name.to_owned()).context("a name of ours")
}

impl Writer for FileWriter {
    async fn write(&mut self, number: u64) -> Result<()> {
        let content = Content::Inline(self.value.clone());
        let create = create(self.directory, &number.to_string(), FileKind::File, content)?;
        self.session.execute_one("make a file", Change::Create(create)).await?;
        Ok(())
    }
}

/// What a new file is called until it takes the place of an older one.
const NEW: &str = "new";

impl ChurningWriter {
    /// The four changes of which each file is the outcome.
    fn change(&self, number: u64) -> Result<Change> {
        let directory = self.directory;
        Ok(match number % 4 {
            0 => Change::Create(Create { replace: true, ..create(directory, NEW, FileKind::File, Content::Empty)? }),
            1 => Change::Write { lin: self.made, content: Content::Inline(self.value.clone()), mtime: None },
            2 => {
                let changes = AttributeChanges { mode: Some(0o600), ..AttributeChanges::default() };
                Change::SetAttributes { lin: self.made, changes }
            }
            _ => Change::Rename(Rename {
                from_parent: directory,
                from_name: named(NEW)?,
                to_parent: directory,
                to_name: named(&(number / 4 % self.files).to_string())?,
                mode: RenameMode::Replace,
            }),
        })
    }
}

impl Writer for ChurningWriter {
    async fn write(&mut self, number: u64) -> Result<()> {
        let outcome = self.session.execute_one("change a file", self.change(number)?).await?;
        if number.is_multiple_of(4) {
            self.made = lin_of(&outcome)?;
        }
        Ok(())
    }
}
