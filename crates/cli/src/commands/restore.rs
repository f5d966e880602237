//! `holdfast restore`: files back from a repository; no cluster has to live.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use restore::{Existing, LocalTarget, Plan, Report, RestoreError, RestoreOptions, Selection, Source, Summary};
use runtime::{Clock, Files};
use serde_json::json;

use super::repository::{BackupChoice, RepositoryChoice};
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::Output;
use crate::progress::Progress;
use crate::text;

/// How often the progress line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Get files back from a repository into a folder; needs no cluster
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    repository: RepositoryChoice,
    #[command(flatten)]
    backup: BackupChoice,
    /// Restore this directory or file alone, by its path in the cluster; a directory becomes the target itself
    #[arg(long)]
    path: Option<OsString>,
    /// Write into a folder that is not empty: identical files are kept, others of the same name replaced
    #[arg(long)]
    overwrite: bool,
    /// Only tell what would be restored
    #[arg(long)]
    dry_run: bool,
    /// The folder to restore into; made if it is not there
    target: PathBuf,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    // The spool holds what of the list of names does not fit in memory; it goes whether the restore succeeds or not.
    let spool = std::env::temp_dir().join(format!("holdfast-restore-{}", std::process::id()));
    let restored = restore(arguments, spool.clone(), invocation).await;
    Files::real().remove_dir_all(&spool)?;
    restored
}

async fn restore(arguments: Arguments, spool: PathBuf, invocation: &mut Invocation) -> Result<(), CliError> {
    let repository = arguments.repository.list().await?;
    let backup = arguments.backup.find(&repository)?;
    let source = Source { repository, set: backup.info().set, epoch: backup.info().epoch };
    let selection = match &arguments.path {
        Some(path) => Selection::Path(path.as_bytes().to_vec()),
        None => Selection::Everything,
    };
    let plan = Plan::make(&source, &selection, &Files::real(), RestoreOptions::new(spool)).await?;
    if arguments.dry_run {
        return show_plan(&plan.summary().await?, &mut invocation.output);
    }
    let existing = if arguments.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let target = LocalTarget::open(&arguments.target, existing)?;
    let progress = Progress::new("restored", invocation.output.format());
    let report = watched(&plan, target, &progress).await?;
    for failed in &report.failures {
        progress.warn(format!("{}: {}", failed.path, failed.reason));
    }
    progress.finish();
    show_report(&report, &mut invocation.output)?;
    match report.failed {
        0 => Ok(()),
        failed => Err(CliError::Partial { failed, what: "the paths" }),
    }
}

async fn watched(plan: &Plan, target: LocalTarget, progress: &Progress) -> Result<Report, RestoreError> {
    let (clock, state) = (Clock::real(), Arc::new(restore::Progress::default()));
    let mut running = Box::pin(restore::run(plan, target, Arc::clone(&state)));
    loop {
        tokio::select! {
            done = &mut running => return done,
            () = clock.sleep(TICK) => {
                progress.message(format!("restored {} files, {}", state.files(), text::bytes(state.bytes())));
            }
        }
    }
}

fn show_plan(summary: &Summary, output: &mut Output) -> Result<(), CliError> {
    let Summary { directories, files, symlinks, link_groups, bytes, requests, bytes_fetched } = summary;
    let value = json!({
        "directories": directories,
        "files": files,
        "symlinks": symlinks,
        "files_with_several_names": link_groups,
        "bytes": bytes,
        "requests": requests,
        "bytes_fetched": bytes_fetched,
    });
    let line = format!(
        "{directories} directories, {files} files ({link_groups} with several names), {symlinks} symbolic links, {}; \
         reads {} in {requests} requests",
        text::bytes(*bytes),
        text::bytes(*bytes_fetched)
    );
    output.result(line, &value)
}

fn show_report(report: &Report, output: &mut Output) -> Result<(), CliError> {
    let value = json!({
        "directories": report.directories,
        "files": report.files,
        "files_kept": report.files_kept,
        "symlinks": report.symlinks,
        "hard_links": report.links,
        "bytes_written": report.bytes_written,
        "bytes_kept": report.bytes_kept,
        "requests": report.requests,
        "bytes_fetched": report.bytes_fetched,
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
        text::bytes(report.bytes_written)
    );
    if report.files_kept > 0 {
        line.push_str(&format!("; kept {} files, {}", report.files_kept, text::bytes(report.bytes_kept)));
    }
    if report.warnings.total() > 0 {
        line.push_str(&format!(
            "; not permitted here: {} owners, {} extended attributes, {} set-id bits",
            report.warnings.owners, report.warnings.xattrs, report.warnings.set_id_bits
        ));
    }
    output.result(line, &value)
}
