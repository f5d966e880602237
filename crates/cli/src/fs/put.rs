use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use client::{Session, Target};
use runtime::Tasks;
use serde_json::json;
use types::{Content, FileKind, NewInode};

use super::path;
use super::place::{Destination, Place};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::text;
use crate::tree::{Report, Upload, read_stream};

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
    let progress = Arc::new(Progress::new("put", invocation.output.format()));
    let mut streamed = Report::default();
    let mut upload = Upload::new(session.clone(), invocation.tasks.clone(), Arc::clone(&progress));
    for source in from {
        if source == "-" {
            let place = destination.place(None)?;
            streamed.bytes += put_standard_input(&session, &invocation.tasks, place, &progress).await?;
            streamed.files += 1;
            continue;
        }
        let source = Path::new(source);
        match (is_directory(source)?, arguments.recursive) {
            (true, false) => {
                return Err(CliError::Usage {
                    message: format!("{} is a directory: use --recursive", source.display()),
                });
            }
            (true, true) => put_directory(&mut upload, source, &destination).await?,
            (false, _) => {
                let place = destination.place(source.file_name().map(OsStrExt::as_bytes))?;
                upload.file(source, place.parent, place.name).await?;
            }
        }
    }
    let mut report = upload.finish().await?;
    report.files += streamed.files;
    report.bytes += streamed.bytes;
    progress.finish();
    session.close().await?;
    show(&report, &mut invocation.output)?;
    match report.failed {
        0 => Ok(()),
        failed => Err(CliError::Partial { failed, what: "the files" }),
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

async fn put_standard_input(
    session: &Session,
    tasks: &Tasks,
    place: Place,
    progress: &Progress,
) -> Result<u64, CliError> {
    let inode = NewInode {
        kind: FileKind::File,
        mode: 0o644,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content: Content::Empty,
        size: 0,
    };
    let target = Target { parent: place.parent, name: place.name, inode, replace: true };
    let mut writer = session.write_file(target);
    let mut pieces = read_stream(tasks, PathBuf::from("standard input"));
    while let Some(piece) = pieces.recv().await {
        let piece = piece?;
        writer.write(piece.offset, &piece.bytes).await?;
        progress.add_bytes(piece.bytes.len() as u64);
    }
    Ok(writer.finish().await?.size)
}

fn show(report: &Report, output: &mut Output) -> Result<(), CliError> {
    let value = json!({
        "files": report.files,
        "directories": report.directories,
        "symlinks": report.symlinks,
        "hard_links": report.links,
        "bytes": report.bytes,
        "special_files_skipped": report.special,
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
    if report.special > 0 {
        line.push_str(&format!("; {} special files skipped", report.special));
    }
    output.result(line, &value)
}
