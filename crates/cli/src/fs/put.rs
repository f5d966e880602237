use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use client::{Session, Target};
use runtime::Tasks;
use types::FileKind;

use super::place::{Destination, Place};
use super::{each_in_turn, own_inode, path};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::text;
use crate::tree::{Report, Upload, read_stream, write_all};

/// Copy local files into the cluster.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Local files (`-` is standard input), and last where to: a directory that is there, or a new name
    #[arg(required = true, num_args = 2.., value_name = "PATH")]
    paths: Vec<OsString>,
    /// Copy directories with all that is in them: mode, owner, times, extended attributes, links and holes are kept
    #[arg(short, long)]
    recursive: bool,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    let Some((to, from)) = arguments.paths.split_last() else { return Ok(()) };
    let session = invocation.open_session().await?;
    let destination = Destination::find(session.client(), &path(to)?).await?;
    destination.check_count(from.len())?;
    let progress = Arc::new(Progress::new("put", &invocation.output));
    progress.expect(bytes_of_files(from));
    let upload = Upload::new(session.clone(), invocation.tasks.clone(), Arc::clone(&progress));
    let tasks = invocation.tasks.clone();
    let shown = Arc::clone(&progress);
    let mut put = Put { session, tasks, upload, destination, recursive: arguments.recursive, progress };
    let mut streamed = 0;
    let put_one = async |source: &OsString| put.source(source).await.map(|bytes| streamed += bytes);
    let failed = each_in_turn(from, put_one, |error| shown.warn(error)).await?;
    let Put { session, upload, progress, .. } = put;
    let mut report = upload.finish().await?;
    report.copied.files += from.iter().filter(|source| *source == "-").count() as u64;
    report.copied.bytes += streamed;
    report.failed += failed;
    progress.finish();
    session.close().await?;
    show(&report, &mut invocation.output)?;
    match report.failed {
        0 => Ok(()),
        failed => Err(CliError::Partial { failed, what: "the files" }),
    }
}

/// How many bytes the sources have together, if all of them are files.
fn bytes_of_files(sources: &[OsString]) -> Option<u64> {
    let size = |source: &OsString| {
        let metadata = Path::new(source).symlink_metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    };
    sources.iter().map(size).sum()
}

/// A copy of several sources to one place.
struct Put {
    session: Session,
    tasks: Tasks,
    upload: Upload,
    destination: Destination,
    recursive: bool,
    progress: Arc<Progress>,
}

impl Put {
    /// Puts one source, and gives the bytes that came from standard input.
    async fn source(&mut self, source: &OsString) -> Result<u64, CliError> {
        if source == "-" {
            return self.standard_input().await;
        }
        let source = Path::new(source);
        match (is_directory(source)?, self.recursive) {
            (true, false) => {
                let message = format!("{} is a directory: use --recursive", source.display());
                return Err(CliError::Usage { message });
            }
            (true, true) => put_directory(&mut self.upload, source, &self.destination).await?,
            (false, _) => {
                let place = self.destination.place(source.file_name().map(OsStrExt::as_bytes))?;
                self.upload.file(source, place.parent, place.name).await?;
            }
        }
        Ok(0)
    }

    async fn standard_input(&self) -> Result<u64, CliError> {
        let Place { parent, name } = self.destination.place(None)?;
        let inode = own_inode(FileKind::File, 0o644);
        let mut writer = self.session.write_file(Target { parent, name, inode, replace: true });
        let tasks = &self.tasks;
        let mut pieces = read_stream(tasks, PathBuf::from("standard input"));
        match write_all(&mut writer, &mut pieces, &tasks.shutdown(), &self.progress).await {
            Ok(()) => Ok(writer.finish().await?.size),
            Err(error) => {
                writer.abandon().await;
                Err(error)
            }
        }
    }
}

async fn put_directory(upload: &mut Upload, source: &Path, destination: &Destination) -> Result<(), CliError> {
    match (destination, own_name(source)) {
        // `put -r . /here`: the content goes into the directory, since the source has no name of its own.
        (Destination::Into(directory), None) => upload.entries(source.to_owned(), *directory).await,
        (destination, name) => {
            let Place { parent, name } = destination.place(name)?;
            upload.directory(source.to_owned(), parent, name).await
        }
    }
}

/// The name of a source; none of `/`, `.`, `..` and of paths that end so.
fn own_name(source: &Path) -> Option<&[u8]> {
    let bytes = source.as_os_str().as_bytes();
    let ends_in_dot = bytes == b"." || bytes.ends_with(b"/.") || bytes.ends_with(b"/./");
    source.file_name().filter(|_| !ends_in_dot).map(OsStrExt::as_bytes)
}

fn is_directory(path: &Path) -> Result<bool, CliError> {
    let metadata = path.symlink_metadata().map_err(|error| CliError::local("read", path, error))?;
    Ok(metadata.is_dir())
}

fn show(report: &Report, output: &mut Output) -> Result<(), CliError> {
    let (mut line, mut value) = (report.copied.line(), report.copied.value());
    value.insert("changed_while_read".to_owned(), report.changed.into());
    value.insert("failed".to_owned(), report.failed.into());
    if report.changed > 0 {
        line.push_str(&format!("; {} changed while being read", text::count(report.changed, "file", "files")));
    }
    output.summary(line, &value.into())
}
