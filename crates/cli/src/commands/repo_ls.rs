//! `holdfast repo ls`: the files of a backup, listed as `holdfast fs ls` lists those of the cluster.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use repo::{Backup, InodeRecord, RootRecord};
use types::{Attributes, FileKind, Lin, Name};

use super::repository::BackupSource;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::listing::{self, Listed, Style};
use crate::output::Output;

/// List files of a backup.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: BackupSource,
    /// What to list, by its path in the cluster [default: the roots of the backup]
    paths: Vec<OsString>,
    /// Show mode, links, owner, group, size and time
    #[arg(short, long)]
    long: bool,
    /// List what is below, too
    #[arg(short = 'R', long)]
    recursive: bool,
}

struct Lister<'a> {
    backup: Backup,
    output: &'a mut Output,
    style: Style,
}

/// Whether what is in a directory is listed with what is below it.
#[derive(Clone, Copy, Debug)]
enum Depth {
    One,
    Tree,
}

/// Where a path leads in a backup.
enum Place {
    /// To something that was backed up.
    Inside(Lin),
    /// To a directory above roots, of which the backup knows no more than their paths.
    Above(Vec<RootRecord>),
}

impl Arguments {
    pub async fn run(self, invocation: &mut Invocation) -> Result<(), CliError> {
        let (_, backup) = self.source.open().await?;
        let style = if self.long { Style::Long } else { Style::Short };
        let depth = if self.recursive { Depth::Tree } else { Depth::One };
        let mut lister = Lister { backup, output: &mut invocation.output, style };
        if self.paths.is_empty() {
            return lister.roots(lister.backup.info().roots.clone()).await;
        }
        for path in &self.paths {
            match find(&lister.backup, path.as_bytes()).await? {
                Place::Above(roots) => lister.roots(roots).await?,
                Place::Inside(lin) => lister.path(path.as_bytes(), lin, depth).await?,
            }
        }
        Ok(())
    }
}

impl Lister<'_> {
    async fn roots(&mut self, roots: Vec<RootRecord>) -> Result<(), CliError> {
        for root in roots {
            self.show(&root.path, &root.path, root.lin).await?;
        }
        Ok(())
    }

    /// A directory's entries, or a file itself.
    async fn path(&mut self, path: &[u8], lin: Lin, depth: Depth) -> Result<(), CliError> {
        let record = self.backup.inode(lin).await?.and_then(|row| row.inode);
        if record.is_some_and(|record| record.kind != FileKind::Directory) {
            return self.show(path, path, lin).await.map(drop);
        }
        match depth {
            Depth::One => self.directory(path, lin).await.map(drop),
            Depth::Tree => self.tree(path, lin).await,
        }
    }

    /// Depth first, so that what is held are the directories along one path and their neighbours.
    async fn tree(&mut self, path: &[u8], lin: Lin) -> Result<(), CliError> {
        let mut left = vec![(path.to_vec(), lin)];
        while let Some((path, lin)) = left.pop() {
            listing::head(&path, self.output)?;
            let mut below = self.directory(&path, lin).await?;
            listing::foot(self.output)?;
            below.reverse();
            left.append(&mut below);
        }
        Ok(())
    }

    async fn directory(&mut self, path: &[u8], lin: Lin) -> Result<Vec<(Vec<u8>, Lin)>, CliError> {
        let mut directories = Vec::new();
        let mut entries = self.backup.directory(lin).await?;
        while let Some(row) = entries.next().await? {
            let Some(entry) = row.entry else { continue };
            let name = row.name.as_bytes();
            let child = [path.strip_suffix(b"/").unwrap_or(path), name].join(&b'/');
            if self.show(&child, name, entry.lin).await? == Some(FileKind::Directory) {
                directories.push((child, entry.lin));
            }
        }
        Ok(directories)
    }

    /// Shows a file and tells what it is.
    async fn show(&mut self, path: &[u8], name: &[u8], lin: Lin) -> Result<Option<FileKind>, CliError> {
        let Some(record) = self.backup.inode(lin).await?.and_then(|row| row.inode) else { return Ok(None) };
        let attributes = attributes(lin, &record);
        let target = (record.kind == FileKind::Symlink).then_some(&record.target[..]);
        let device = record.kind.is_device().then(|| std::str::from_utf8(&record.target).ok()?.parse().ok()).flatten();
        Listed { path, name, attributes: &attributes, target, device }.show(self.style, self.output)?;
        Ok(Some(record.kind))
    }
}

/// Goes down from the root in which the path lies.
async fn find(backup: &Backup, wanted: &[u8]) -> Result<Place, CliError> {
    let missing = || CliError::NoRecord { what: "path in the backup", name: wanted.escape_ascii().to_string() };
    let (roots, wanted_names) = (&backup.info().roots, names(wanted));
    let lies_in = |root: &&RootRecord| wanted_names.starts_with(&names(&root.path));
    let Some(root) = roots.iter().filter(lies_in).max_by_key(|root| names(&root.path).len()) else {
        let below: Vec<_> = roots.iter().filter(|root| names(&root.path).starts_with(&wanted_names)).cloned().collect();
        return if below.is_empty() { Err(missing()) } else { Ok(Place::Above(below)) };
    };
    let mut lin = root.lin;
    for &bytes in wanted_names.iter().skip(names(&root.path).len()) {
        let name = Name::new(bytes.to_vec()).map_err(|_| missing())?;
        let entry = backup.entry(lin, &name).await?.and_then(|row| row.entry);
        lin = entry.ok_or_else(missing)?.lin;
    }
    Ok(Place::Inside(lin))
}

fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect()
}

const fn attributes(lin: Lin, record: &InodeRecord) -> Attributes {
    Attributes {
        lin,
        kind: record.kind,
        mode: record.mode,
        uid: record.uid,
        gid: record.gid,
        nlink: record.nlink,
        size: record.size,
        atime: record.atime,
        mtime: record.mtime,
        ctime: record.ctime,
    }
}
