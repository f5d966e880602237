//! Checking a repository.
//!
//! The listing that comes before has looked at the chain of commits. A check then looks at what the newest commit names:
//! the runs, the upload objects, and the rows of every backup; and at the configuration that each commit names. It goes
//! on after a finding, and gives all findings.
//!
//! Rows are read once for all backups ([`versions`]). Names are sorted by what they name ([`names`]), so that names,
//! inodes and extents can be joined LIN by LIN ([`tree`]), and followed upwards ([`circles`]); where the extents say that blocks are is sorted by digest and
//! joined with `blocks` ([`places`]), and both are compared with the objects ([`objects`]). What is sorted is in files of
//! this machine as soon as it is long ([`sorter`]). Findings get their paths at the end ([`noted`]).
//!
//! A run that cannot be read to its end is left out, and the walk begins again without it: for those backups that need no
//! such run.

mod blocks;
mod circles;
mod content;
mod heads;
mod lines;
mod misfit;
mod names;
mod noted;
mod objects;
mod places;
mod report;
mod runs;
mod sorter;
mod tables;
mod tree;
mod uncommitted;
mod versions;

pub use misfit::{Misfit, RowFinding};
pub use report::{CheckDepth, CheckReport, Finding};
pub use uncommitted::Uncommitted;

use std::path::PathBuf;

use runtime::Files;
use site::LIST_LIMIT_MAX;

use self::sorter::Workspace;
use super::{Listed, Repository};
use crate::RepoError;
use crate::names::{Name, OBJECTS_PREFIX};
use crate::object::ObjectReader;

/// How a check goes about it.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// How deep it goes.
    pub depth: CheckDepth,
    /// The files of this machine.
    pub files: Files,
    /// A folder for this check alone, used if there is more to sort than fits in memory. Whatever is in it is removed
    /// before and after. It holds names in clear.
    pub folder: PathBuf,
    /// Bytes that each sort may hold in memory.
    pub memory: usize,
}

impl CheckOptions {
    /// The usual: 64 MiB for each sort.
    #[must_use]
    pub const fn new(depth: CheckDepth, files: Files, folder: PathBuf) -> Self {
        Self { depth, files, folder, memory: 64 << 20 }
    }
}

impl Repository<Listed> {
    /// Checks everything that the newest commit names.
    ///
    /// # Errors
    /// [`RepoError::NeedsPrivateKey`] if blocks are to be checked without it; the site failed; or the folder cannot be
    /// used. What is wrong with the repository is no error but a finding.
    pub async fn check(&self, options: &CheckOptions) -> Result<CheckReport, RepoError> {
        let mut check = Check { repository: self, depth: options.depth, report: CheckReport::default() };
        check.heads().await?;
        for lost in self.lost() {
            check.report.finding(&lost.commit, &lost.what);
        }
        for stray in self.strays() {
            check.report.finding(stray, "it lies among the commits and is none of this repository");
        }
        check.uncommitted().await?;
        let Some(head) = self.head() else { return Ok(check.report) };
        if options.depth == CheckDepth::Blocks && self.private_key().is_none() {
            return Err(RepoError::NeedsPrivateKey { name: head.name().to_string() });
        }
        let space = Workspace::create(&options.files, options.folder.clone(), options.memory).await?;
        let mut runs = check.runs(head).await?;
        check.states().await?;
        loop {
            let before = check.report.clone();
            let Err(error) = check.tables(&runs, &space).await else { return Ok(check.report) };
            // What was found through a damaged run is found again without it, as far as it does not come from that.
            check.report = before;
            if !runs.leave_out(&error) {
                return Err(error);
            }
            check.report.note(head.name(), Err::<(), _>(error))?;
        }
    }
}

/// Checks the bytes of every upload object at a site, named by a commit or not, with no key at all (rule P30).
///
/// # Errors
/// The site failed, or has no repository.
pub async fn check_without_key(site: &site::Site) -> Result<CheckReport, RepoError> {
    let repository = super::open::bootstrap(site).await?.repository;
    let mut report = CheckReport::default();
    let mut after: Option<String> = None;
    loop {
        let listed = site.list(OBJECTS_PREFIX, after.as_deref(), LIST_LIMIT_MAX).await?;
        let is_last = listed.len() < LIST_LIMIT_MAX;
        after = listed.last().map(|listed| listed.name.clone());
        for listed in listed {
            report.objects += 1;
            let Ok(Name::Object(writer)) = listed.name.parse() else {
                report.finding(&listed.name, "it lies among the objects and has another name");
                continue;
            };
            let opened = ObjectReader::open(site, writer, repository).await;
            let Some(reader) = report.note(&listed.name, opened)? else { continue };
            let checked = reader.check().await;
            report.note(&listed.name, checked)?;
            report.bytes += listed.size;
        }
        if is_last {
            return Ok(report);
        }
    }
}

/// A check that goes on.
struct Check<'a> {
    repository: &'a Repository<Listed>,
    depth: CheckDepth,
    report: CheckReport,
}
