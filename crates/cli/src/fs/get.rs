use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use client::{Client, FilePath, LastLink};
use restore::{Existing, LocalTarget, RelativePath};
use runtime::Tasks;
use types::{FileKind, Name, SnapshotId};

use super::{At, each_in_turn, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::summary::add_warnings;
use crate::tree::{Download, DownloadReport};

/// Copy files from the cluster.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files in the cluster, and last the local place: a directory that is there, or a new name
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,
    /// Copy directories with all that is in them: mode, owner, times, extended attributes, links and holes are kept
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    at: At,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let Some((to, from)) = arguments.paths.split_last() else { return Ok(()) };
    let to = Path::new(to);
    if from.len() > 1 && !to.is_dir() {
        let message = format!("{} is not a directory, but there are several sources", to.display());
        return Err(CliError::Usage { message });
    }
    let reading = arguments.at.open("fs get", invocation).await?;
    let (client, snapshot) = (reading.client.clone(), reading.snapshot);
    let progress = Arc::new(Progress::new("got", &invocation.output));
    let tasks = invocation.tasks.clone();
    let get = Get { client, tasks, snapshot, to, recursive: arguments.recursive, progress: Arc::clone(&progress) };
    let mut total = DownloadReport::default();
    let get_one = async |source: &OsString| get.source(source).await.map(|report| total.add(report));
    let failed = each_in_turn(from, get_one, |error| progress.warn(error)).await?;
    total.failed += failed;
    progress.finish();
    show(&total, &mut invocation.output)?;
    match total.failed {
        0 => reading.finish().await,
        failed => Err(CliError::Partial { failed, what: "the files" }),
    }
}

/// A copy of several sources to one place.
struct Get<'a> {
    client: Client,
    tasks: Tasks,
    snapshot: Option<SnapshotId>,
    to: &'a Path,
    recursive: bool,
    progress: Arc<Progress>,
}

impl Get<'_> {
    async fn source(&self, source: &OsString) -> Result<DownloadReport, CliError> {
        let source = path(source)?;
        let found = self.client.resolve(&source, LastLink::Follow, self.snapshot).await?;
        let is_directory = found.kind == FileKind::Directory;
        if is_directory && !self.recursive {
            return Err(CliError::Usage { message: format!("{source} is a directory: use --recursive") });
        }
        let (folder, inside) = local_place(self.to, &source, is_directory)?;
        let target = LocalTarget::open(&folder, Existing::Overwrite)?;
        let (client, tasks) = (self.client.clone(), self.tasks.clone());
        let download = Download::new(client, tasks, self.snapshot, target, Arc::clone(&self.progress));
        download.run(found.lin, inside).await
    }
}

/// The folder to open, and the place of the copy below it.
fn local_place(to: &Path, source: &FilePath, is_directory: bool) -> Result<(PathBuf, RelativePath), CliError> {
    let below = |name: &Name| RelativePath::root().join(name);
    if to.is_dir() {
        return Ok((to.to_owned(), source.last().map_or_else(RelativePath::root, below)));
    }
    if is_directory {
        return Ok((to.to_owned(), RelativePath::root()));
    }
    let unusable = || CliError::Usage { message: format!("{} is not the name of a file", to.display()) };
    let name = to.file_name().ok_or_else(unusable)?;
    let name = Name::new(Bytes::copy_from_slice(name.as_bytes())).map_err(|_| unusable())?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder is made for a directory alone: that of a file is more likely misspelt than wanted.
    folder.metadata().map_err(|error| CliError::local("write into", folder, error))?;
    Ok((folder.to_owned(), below(&name)))
}

fn show(report: &DownloadReport, output: &mut Output) -> Result<(), CliError> {
    let (mut line, mut value) = (report.copied.line(), report.copied.value());
    add_warnings(&report.warnings, &mut line, &mut value);
    value.insert("failed".to_owned(), report.failed.into());
    output.summary(line, &value.into())
}
