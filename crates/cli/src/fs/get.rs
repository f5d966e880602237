use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use client::{FilePath, LastLink};
use restore::{Existing, LocalTarget, RelativePath};
use serde_json::json;
use types::{FileKind, Name};

use super::{At, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::text;
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
    let client = invocation.connect().await?;
    let snapshot = arguments.at.find(&client).await?;
    let progress = Arc::new(Progress::new("got", invocation.output.format()));
    let mut total = DownloadReport::default();
    for source in from {
        let source = path(source)?;
        let found = client.resolve(&source, LastLink::Follow, snapshot).await?;
        let is_directory = found.kind == FileKind::Directory;
        if is_directory && !arguments.recursive {
            return Err(CliError::Usage { message: format!("{source} is a directory: use --recursive") });
        }
        let (folder, inside) = local_place(to, &source, is_directory)?;
        let target = LocalTarget::open(&folder, Existing::Overwrite)?;
        let download = Download::new(client.clone(), invocation.tasks.clone(), snapshot, target, Arc::clone(&progress));
        total.add(download.run(found.lin, inside).await?);
    }
    progress.finish();
    show(&total, &mut invocation.output)?;
    match total.failed {
        0 => Ok(()),
        failed => Err(CliError::Partial { failed, what: "the files" }),
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
    Ok((folder.to_owned(), below(&name)))
}

fn show(report: &DownloadReport, output: &mut Output) -> Result<(), CliError> {
    let value = json!({
        "files": report.files,
        "directories": report.directories,
        "symlinks": report.symlinks,
        "hard_links": report.links,
        "bytes": report.bytes,
        "owners_not_set": report.warnings.owners,
        "xattrs_not_set": report.warnings.xattrs,
        "set_id_bits_not_set": report.warnings.set_id_bits,
        "failed": report.failed,
    });
    let mut line = format!(
        "{} files, {} directories, {} symbolic links, {} further hard links, {}",
        report.files,
        report.directories,
        report.symlinks,
        report.links,
        text::bytes(report.bytes)
    );
    if report.warnings.total() > 0 {
        line.push_str(&format!(
            "; not permitted here: {} owners, {} extended attributes, {} set-id bits",
            report.warnings.owners, report.warnings.xattrs, report.warnings.set_id_bits
        ));
    }
    output.result(line, &value)
}
