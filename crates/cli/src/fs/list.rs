use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::Args;
use client::{Client, Entry, FilePath, Inode, LastLink, Parts};
use types::{FileKind, Lin, Name, SnapshotId};

use super::{At, for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::listing::{self, Listed, Style};
use crate::output::{Format, Output};

/// LINs that one call describes.
const DESCRIBED: usize = 256;

/// List directories.
#[derive(Debug, Args)]
pub struct Arguments {
    /// What to list
    #[arg(default_value = "/")]
    paths: Vec<OsString>,
    /// Show mode, links, owner, group, size and time
    #[arg(short, long)]
    long: bool,
    /// List what is below, too
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    at: At,
}

struct Lister<'a> {
    client: Client,
    output: &'a mut Output,
    snapshot: Option<SnapshotId>,
    style: Style,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let reading = arguments.at.open("fs ls", invocation).await?;
    let (client, snapshot) = (reading.client.clone(), reading.snapshot);
    let style = if arguments.long { Style::Long } else { Style::Short };
    let mut lister = Lister { client, output: &mut invocation.output, snapshot, style };
    for_each_path(&arguments.paths, lister.output.format(), async |text| {
        let path = path(text)?;
        let found = lister.client.resolve(&path, LastLink::Follow, snapshot).await?;
        if found.kind != FileKind::Directory {
            let device = match found.kind.is_device() {
                true => lister.client.describe(found.lin, Parts::default(), snapshot).await?.device,
                false => None,
            };
            let (path, attributes) = (path.as_bytes(), &found);
            return Listed { path, name: path, attributes, target: None, device }.show(style, lister.output);
        }
        if arguments.recursive {
            lister.tree(path, found.lin).await
        } else {
            // What is below is not entered, so its names are not kept either: there may be millions.
            lister.directory(&path, found.lin, |_, _| {}).await
        }
    })
    .await?;
    reading.finish().await
}

impl Lister<'_> {
    /// Shows a directory page by page, and gives the directories in it one by one.
    async fn directory(
        &mut self,
        path: &FilePath,
        lin: Lin,
        mut below: impl FnMut(FilePath, Lin),
    ) -> Result<(), CliError> {
        let mut after: Option<Name> = None;
        loop {
            let (entries, more) = self.client.read_directory(lin, after.as_ref(), self.snapshot).await?;
            let leads = self.leads(&entries).await?;
            for Entry { name, lin, kind, attributes } in &entries {
                let child = path.join(name);
                if let Some(attributes) = attributes {
                    let lead = leads.get(lin);
                    let target = lead.filter(|_| *kind == FileKind::Symlink).map(|inode| &inode.target[..]);
                    let device = lead.and_then(|inode| inode.device);
                    let (path, name) = (child.as_bytes(), name.as_bytes());
                    Listed { path, name, attributes, target, device }.show(self.style, self.output)?;
                }
                if *kind == FileKind::Directory {
                    below(child, *lin);
                }
            }
            after = entries.last().map(|entry| entry.name.clone());
            if !more || after.is_none() {
                return Ok(());
            }
        }
    }

    /// Those of some entries that stand for something else, symbolic links and devices, if it is shown for what.
    async fn leads(&self, entries: &[Entry]) -> Result<BTreeMap<Lin, Inode>, CliError> {
        if self.style == Style::Short && self.output.format() == Format::Text {
            return Ok(BTreeMap::new());
        }
        let is_lead = |entry: &&Entry| entry.kind == FileKind::Symlink || entry.kind.is_device();
        let lins: Vec<_> = entries.iter().filter(is_lead).map(|entry| entry.lin).collect();
        let mut leads = BTreeMap::new();
        for lins in lins.chunks(DESCRIBED) {
            let inodes = self.client.describe_all(lins, Parts::default(), self.snapshot).await?;
            // One that went away meanwhile stands for nothing any more.
            leads.extend(inodes.into_iter().flatten().map(|inode| (inode.attributes.lin, inode)));
        }
        Ok(leads)
    }

    /// Depth first, so that what is held are the directories along one path and their neighbours.
    async fn tree(&mut self, path: FilePath, lin: Lin) -> Result<(), CliError> {
        let mut left = vec![(path, lin)];
        while let Some((path, lin)) = left.pop() {
            listing::head(path.as_bytes(), self.output)?;
            let mut below = Vec::new();
            self.directory(&path, lin, |path, lin| below.push((path, lin))).await?;
            listing::foot(self.output)?;
            below.reverse();
            left.append(&mut below);
        }
        Ok(())
    }
}
