//! Carries out a plan into a folder.
//!
//! Order: directories are made; files come window by window, a few windows at a time, each opened, filled, and only then
//! given its metadata and its names; directories get their metadata last, the deepest first. What concerns one file is
//! noted in the report and the restore goes on; it stops where nothing more can succeed: the site does not answer, the
//! key is missing, the disk is full. Of a file that failed nothing is left, and what was there before is there still. A
//! restore that was cut off is run again with [`crate::Existing::Overwrite`] and keeps what is identical.

mod fill;
mod open_file;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use repo::{Backup, WriterKeys};
use types::{ErrorKind, Lin};

use crate::plan::{Plan, Window, metadata};
use crate::report::Failure;
use crate::{LocalTarget, Progress, RelativePath, Report, RestoreError, RestoreOptions, TargetError};
use open_file::OpenFile;

/// Windows that are worked on at a time: while one waits for its last range, the next ones read.
const WINDOWS_MAX: usize = 3;

/// What all windows of a restore share.
struct Restore {
    backup: Backup,
    keys: WriterKeys,
    options: RestoreOptions,
    target: LocalTarget,
    progress: Arc<Progress>,
    report: Mutex<Report>,
}

/// Carries out a plan.
///
/// # Errors
/// The repository or the target as a whole failed. What concerns single files is in the report.
pub async fn run(plan: &Plan, target: LocalTarget, progress: Arc<Progress>) -> Result<Report, RestoreError> {
    let restore = Arc::new(Restore {
        backup: plan.backup.clone(),
        keys: plan.keys.clone(),
        options: plan.options.clone(),
        target,
        progress,
        report: Mutex::default(),
    });
    let paths = plan.directories.paths();
    for (path, adrift) in plan.directories.adrift() {
        restore.report().fail(&path, Failure::tables(adrift.what()));
    }
    let (making, made) = (Arc::clone(&restore), paths.clone());
    runtime::blocking(move || making.make_directories(&made)).await?;
    let directories = restore_files(&restore, plan).await?;
    let finishing = Arc::clone(&restore);
    runtime::blocking(move || finishing.finish_directories(&paths, directories)).await?;
    let report = restore.report().clone();
    Ok(report)
}

/// Restores all files, and gives the inodes of the directories.
async fn restore_files(restore: &Arc<Restore>, plan: &Plan) -> Result<Vec<(Lin, repo::InodeRecord)>, RestoreError> {
    let mut windows = plan.windows().await?;
    let mut running = FuturesUnordered::new();
    let mut carried: Option<OpenFile> = None;
    while let Some(window) = windows.next().await? {
        if window.is_cut() {
            while let Some(done) = running.next().await {
                done?;
            }
            carried = Arc::clone(restore).window(window, carried.take()).await?;
            continue;
        }
        running.push(Arc::clone(restore).window(window, None));
        if running.len() >= WINDOWS_MAX
            && let Some(done) = running.next().await
        {
            done?;
        }
    }
    while let Some(done) = running.next().await {
        done?;
    }
    windows.directory_inodes().await
}

impl Restore {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failure of one path, unless nothing more can succeed.
    fn note(&self, path: &RelativePath, error: TargetError) -> Result<(), RestoreError> {
        if error.kind() == ErrorKind::NoSpace {
            return Err(error.into());
        }
        self.report().fail(path, Failure::target(path, &error));
        Ok(())
    }

    fn make_directories(&self, paths: &[(RelativePath, Lin)]) -> Result<(), RestoreError> {
        for (path, _) in paths {
            if let Err(error) = self.make_with_ancestors(path) {
                self.note(path, error)?;
            }
        }
        Ok(())
    }

    /// Makes a directory; those above a root of the set are not in the backup and are made with it.
    fn make_with_ancestors(&self, path: &RelativePath) -> Result<(), TargetError> {
        self.within_ancestors(path, || self.target.make_directory(path))
    }

    /// Makes an entry, and the directories above it if they are not there.
    fn within_ancestors<T>(
        &self,
        path: &RelativePath,
        mut make: impl FnMut() -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        match make() {
            Err(TargetError::Entry { source: rustix::io::Errno::NOENT, .. }) => {
                if let Some((parent, _)) = path.split() {
                    self.make_with_ancestors(&parent)?;
                }
                make()
            }
            other => other,
        }
    }

    fn finish_directories(
        &self,
        paths: &[(RelativePath, Lin)],
        mut inodes: Vec<(Lin, repo::InodeRecord)>,
    ) -> Result<(), RestoreError> {
        inodes.sort_unstable_by_key(|(lin, _)| *lin);
        for (path, lin) in paths.iter().rev() {
            let found = inodes.binary_search_by_key(lin, |(lin, _)| *lin).ok().and_then(|at| inodes.get(at));
            let Some((_, inode)) = found else {
                self.report().fail(path, Failure::tables("its inode is missing"));
                continue;
            };
            match self.target.finish_directory(path, &metadata(inode.clone())) {
                Ok(warnings) => {
                    let mut report = self.report();
                    report.directories += 1;
                    report.warnings.add(warnings);
                }
                Err(error) => self.note(path, error)?,
            }
        }
        Ok(())
    }

    /// Restores a window. Gives its last file if that goes on in the next one.
    async fn window(
        self: Arc<Self>,
        window: Window,
        carried: Option<OpenFile>,
    ) -> Result<Option<OpenFile>, RestoreError> {
        let opening = Arc::clone(&self);
        let (parts, files) = runtime::blocking(move || opening.open_window(window, carried)).await?;
        let files = Arc::new(files);
        self.fill(&parts, &files).await?;
        let finishing = Arc::clone(&self);
        runtime::blocking(move || finishing.finish_window(&parts, files)).await
    }
}
