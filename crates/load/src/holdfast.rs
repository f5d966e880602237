//! Small files in a Holdfast cluster.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use client::{Client, Options, Session};
use runtime::{Seed, Tasks};
use types::{Change, Content, Create, FileKind, Lin, Name, NewInode, Outcome};
use wire::Endpoint;

use crate::load::Writer;

/// A client that makes files in a directory of its own.
pub struct FileWriter {
    session: Session,
    directory: Lin,
    value: Bytes,
}

/// Connects clients, each with a session and a directory of its own, below a new directory.
pub async fn writers(
    sockets: &[PathBuf],
    clients: usize,
    value: &Bytes,
    seed: &Seed,
    tasks: &Tasks,
) -> Result<Vec<FileWriter>> {
    let mut writers = Vec::with_capacity(clients);
    let mut parent = None;
    for (number, socket) in (0..clients).zip(sockets.iter().cycle()) {
        let client = Client::connect(Options::new(vec![Endpoint::Unix(socket.clone())], tasks.clone())).await?;
        let session = client.open_session("load").await?;
        let parent = match parent {
            Some(parent) => parent,
            None => *parent.insert(make_directory(&session, Lin::ROOT, &format!("load-{}", seed.uuid())).await?),
        };
        let directory = make_directory(&session, parent, &number.to_string()).await?;
        writers.push(FileWriter { session, directory, value: value.clone() });
    }
    Ok(writers)
}

async fn make_directory(session: &Session, parent: Lin, name: &str) -> Result<Lin> {
    let create = create(parent, name, FileKind::Directory, Content::Empty, 0)?;
    match session.execute_one("make a directory", create).await? {
        Outcome::Inode(attributes) => Ok(attributes.lin),
        other => bail!("making a directory gave {other:?}"),
    }
}

fn create(parent: Lin, name: &str, kind: FileKind, content: Content, size: u64) -> Result<Change> {
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
    let name = Name::new(name.to_owned()).context("a name of ours")?;
    Ok(Change::Create(Create { parent, name, inode, replace: false }))
}

impl Writer for FileWriter {
    async fn write(&mut self, number: u64) -> Result<()> {
        let content = Content::Inline(self.value.clone());
        let create = create(self.directory, &number.to_string(), FileKind::File, content, self.value.len() as u64)?;
        self.session.execute_one("make a file", create).await?;
        Ok(())
    }
}
