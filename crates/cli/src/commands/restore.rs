//! `holdfast restore`: files back from a repository; no cluster has to live.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use repo::{Listed, RebuildOptions, Rebuilt, Repository};
use restore::{Existing, LocalTarget, Plan, Report, RestoreError, RestoreOptions, Selection, Source, Summary};
use runtime::{Clock, Files, Seed};
use serde_json::json;

use super::repository::BackupSource;
use crate::error::CliError;
use crate::invocation::Invocation;
use crate::output::{Output, complain};
use crate::progress::Progress;
use crate::summary::{Copied, add_warnings};
use crate::text;

/// How often the progress line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// Get files back from a repository into a folder; needs no cluster
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    source: BackupSource,
    /// Restore this directory or file alone, by its path in the cluster; a directory becomes the target itself
    #[arg(long)]
    path: Option<OsString>,
    /// Write into a folder that is not empty: identical files are kept, others of the same name replaced
    #[arg(long)]
    overwrite: bool,
    /// Read all tables first, and make those that are damaged again from the objects of their backups
    #[arg(long)]
    rebuild_tables: bool,
    /// Only tell what would be restored
    #[arg(long)]
    dry_run: bool,
    /// The folder to restore into; made if it is not there
    target: PathBuf,
}

pub async fn run(arguments: Arguments, invocation: &mut Invocation) -> Result<(), CliError> {
    // Nobody can have put anything there before.
    let name = format!("holdfast-restore-{}", Seed::from_os().uuid());
    let spool = Spool(std::env::temp_dir().join(name));
    let is_told = arguments.rebuild_tables;
    restore(arguments, spool.0.clone(), invocation).await.map_err(|error| if is_told { error } else { way_out(error) })
}

/// Names the way past a damaged table.
fn way_out(error: CliError) -> CliError {
    match error {
        CliError::Repository(source) | CliError::Restore(RestoreError::Repository(source))
            if source.is_about_a_table() =>
        {
            CliError::DamagedTable { source }
        }
        error => error,
    }
}

/// What of the list of names does not fit in memory, and tables that were made again. It goes with the restore, however
/// that ends: done, failed, or interrupted.
struct Spool(PathBuf);

impl Drop for Spool {
    fn drop(&mut self) {
        // It lies among temporary files, and is cleared away with those if it cannot be removed now.
        let _ = Files::real().remove_dir_all(&self.0);
    }
}

async fn restore(arguments: Arguments, spool: PathBuf, invocation: &mut Invocation) -> Result<(), CliError> {
    let (mut repository, backup) = arguments.source.open().await?;
    if arguments.rebuild_tables {
        repository = rebuilt(repository, spool.join("tables"), invocation).await?;
    }
    let source = Source { repository, set: backup.info().set, epoch: backup.info().epoch };
    let selection = match &arguments.path {
        Some(path) => Selection::Path(path.as_bytes().to_vec()),
        None => Selection::Everything,
    };
    let plan = Plan::make(&source, &selection, &Files::real(), RestoreOptions::new(spool.join("names"))).await?;
    for root in plan.displaced() {
        complain(invocation.output.format(), "warning", root);
    }
    if arguments.dry_run {
        return show_plan(&plan.summary().await?, &mut invocation.output);
    }
    let existing = if arguments.overwrite { Existing::Overwrite } else { Existing::Refuse };
    let target = LocalTarget::open(&arguments.target, existing)?;
    let progress = Progress::new("restored", &invocation.output);
    let report = watched(&plan, target, &progress).await?;
    for failed in &report.failures {
        progress.warn(format!("{}: {}", failed.path, failed.reason));
    }
    progress.finish();
    show_report(&report, &mut invocation.output)?;
    outcome(&report)
}

/// Makes damaged tables again, and tells which.
async fn rebuilt(
    repository: Repository<Listed>,
    folder: PathBuf,
    invocation: &Invocation,
) -> Result<Repository<Listed>, CliError> {
    let options = RebuildOptions { files: Files::real(), seed: Seed::from_os(), folder };
    let (repository, told) = repository.rebuild(&options).await?;
    for Rebuilt { epoch, runs, failure } in told {
        let (tables, are) =
            (text::count(runs.len() as u64, "table", "tables"), if runs.len() == 1 { "is" } else { "are" });
        let damage = format!("{tables} of backup {epoch} {are} damaged");
        let line = match failure {
            None => format!("{damage}, and made again from its objects"),
            Some(failure) => format!("{damage}, and cannot be made again: {failure}"),
        };
        complain(invocation.output.format(), "warning", &line);
    }
    Ok(repository)
}

/// Tells a restore that may succeed another time from one that cannot: the repository is damaged, and nothing else is
/// wrong.
const fn outcome(report: &Report) -> Result<(), CliError> {
    match (report.failed, report.damaged) {
        (0, _) => Ok(()),
        (failed, damaged) if failed == damaged => Err(CliError::Damaged { failed }),
        (failed, _) => Err(CliError::Partial { failed, what: "the paths" }),
    }
}

async fn watched(plan: &Plan, target: LocalTarget, progress: &Progress) -> Result<Report, RestoreError> {
    let (clock, state) = (Clock::real(), Arc::new(restore::Progress::default()));
    let mut running = Box::pin(restore::run(plan, target, Arc::clone(&state)));
    // How much it is in all is counted beside the work, and only for somebody who sees it: it reads the tables again.
    let mut counting = progress.is_shown().then(|| Box::pin(plan.summary()));
    loop {
        tokio::select! {
            done = &mut running => return done,
            summary = async { counting.as_mut()?.await.ok() }, if counting.is_some() => {
                counting = None;
                progress.expect(summary.map(|summary| summary.bytes));
            }
            () = clock.sleep(TICK) => progress.reach(state.files(), state.bytes()),
        }
    }
}

fn show_plan(summary: &Summary, output: &mut Output) -> Result<(), CliError> {
    let Summary { directories, files, symlinks, specials, link_groups, bytes, requests, bytes_fetched } = summary;
    let value = json!({
        "directories": directories,
        "files": files,
        "symlinks": symlinks,
        "special_files": specials,
        "files_with_several_names": link_groups,
        "bytes": bytes,
        "requests": requests,
        "bytes_fetched": bytes_fetched,
    });
    let line = format!(
        "{directories} directories, {files} files ({link_groups} with several names), {symlinks} symbolic links, \
         {specials} special files, {}; reads {} in {requests} requests",
        text::bytes(*bytes),
        text::bytes(*bytes_fetched)
    );
    output.result(line, &value)
}

fn show_report(report: &Report, output: &mut Output) -> Result<(), CliError> {
    let copied = Copied {
        files: report.files,
        directories: report.directories,
        symlinks: report.symlinks,
        specials: report.specials,
        links: report.links,
        bytes: report.bytes_written,
    };
    let (mut line, mut value) = (copied.line(), copied.value());
    if report.files_kept > 0 {
        let files = text::count(report.files_kept, "file", "files");
        line.push_str(&format!("; kept {files}, {}", text::bytes(report.bytes_kept)));
    }
    add_warnings(&report.warnings, &mut line, &mut value);
    let counts = [
        ("files_kept", report.files_kept),
        ("bytes_kept", report.bytes_kept),
        ("requests", report.requests),
        ("bytes_fetched", report.bytes_fetched),
        ("failed", report.failed),
    ];
    value.extend(counts.map(|(name, count)| (name.to_owned(), count.into())));
    output.summary(line, &value.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn only_damage_is_damage_and_all_else_is_done_in_part() {
        let outcome = |failed, damaged| outcome(&Report { failed, damaged, ..Report::default() });
        assert!(outcome(0, 0).is_ok());
        let exits = [(3, 3), (3, 2), (3, 0)].map(|(failed, damaged)| outcome(failed, damaged).unwrap_err().exit());
        assert_eq!(exits, [Exit::Corrupt, Exit::Failed, Exit::Failed]);
    }
}
