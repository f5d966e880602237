use std::ffi::OsString;

use clap::Args;
use client::{Client, Entry, FilePath, LastLink};
use serde_json::{Value, json};
use types::{Attributes, FileKind, Lin, Name, SnapshotId};

use super::{At, for_each_path, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::{Format, Output};
use crate::text;

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

#[derive(Clone, Copy)]
enum Style {
    Short,
    Long,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let client = invocation.connect().await?;
    let snapshot = arguments.at.find(&client).await?;
    let style = if arguments.long { Style::Long } else { Style::Short };
    let mut lister = Lister { client, output: &mut invocation.output, snapshot, style };
    for_each_path(&arguments.paths, lister.output.format(), async |text| {
        let path = path(text)?;
        let found = lister.client.resolve(&path, LastLink::Follow, snapshot).await?;
        if found.kind != FileKind::Directory {
            return lister.show(path.as_bytes(), &path, &found);
        }
        if arguments.recursive {
            lister.tree(path, found.lin).await
        } else {
            lister.directory(&path, found.lin).await.map(drop)
        }
    })
    .await
}

impl Lister<'_> {
    async fn directory(&mut self, path: &FilePath, lin: Lin) -> Result<Vec<(FilePath, Lin)>, CliError> {
        let mut directories = Vec::new();
        let mut after: Option<Name> = None;
        loop {
            let (entries, more) = self.client.read_directory(lin, after.as_ref(), self.snapshot).await?;
            for Entry { name, lin, kind, attributes } in &entries {
                let child = path.join(name);
                if let Some(attributes) = attributes {
                    self.show(name.as_bytes(), &child, attributes)?;
                }
                if *kind == FileKind::Directory {
                    directories.push((child, *lin));
                }
            }
            after = entries.last().map(|entry| entry.name.clone());
            if !more || after.is_none() {
                return Ok(directories);
            }
        }
    }

    /// Depth first, so that what is held are the directories along one path and their neighbours.
    async fn tree(&mut self, path: FilePath, lin: Lin) -> Result<(), CliError> {
        let mut left = vec![(path, lin)];
        while let Some((path, lin)) = left.pop() {
            if self.output.format() == Format::Text {
                self.output.name(path.as_bytes())?;
                self.output.bytes(b":\n")?;
            }
            let mut below = self.directory(&path, lin).await?;
            if self.output.format() == Format::Text {
                self.output.bytes(b"\n")?;
            }
            below.reverse();
            left.append(&mut below);
        }
        Ok(())
    }

    fn show(&mut self, name: &[u8], path: &FilePath, attributes: &Attributes) -> Result<(), CliError> {
        if self.output.format() == Format::Json {
            return self.output.result("", &entry(path, attributes));
        }
        if let Style::Long = self.style {
            self.output.bytes(long(attributes).as_bytes())?;
        }
        self.output.name(name)?;
        self.output.bytes(b"\n")
    }
}

fn entry(path: &FilePath, attributes: &Attributes) -> Value {
    let mut value = text::attributes(attributes);
    if let Some(object) = value.as_object_mut() {
        object.insert("path".to_owned(), text::name(path.as_bytes()));
        object.insert("name".to_owned(), path.last().map_or(json!("/"), |name| text::name(name.as_bytes())));
    }
    value
}

fn long(attributes: &Attributes) -> String {
    let Attributes { nlink, uid, gid, size, mtime, .. } = attributes;
    format!("{} {nlink:>3} {uid:>5} {gid:>5} {size:>12} {} ", text::mode(attributes), text::time(*mtime))
}
