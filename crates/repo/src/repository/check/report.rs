//! What a check says.

use std::fmt;

use types::{Epoch, ErrorKind};

use super::Uncommitted;
use super::misfit::RowFinding;
use crate::RepoError;

/// How deep a check goes. Each depth includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckDepth {
    /// Every commit, run, object and configuration that is named is there with its length, and rows fit each other.
    Structure,
    /// Every byte is what was written, by CRC-32 and BLAKE3. Takes no private key, and reads everything.
    Bytes,
    /// Every block opens and has its digest. Takes the private key, and reads everything twice.
    Blocks,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An object of the repository is wrong.
    Object {
        /// The object.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Rows of a backup do not fit each other.
    Rows(RowFinding),
}

impl Finding {
    /// The object that is wrong; where rows are, the commit of the first backup that has them.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object { name, .. } => name,
            Self::Rows(rows) => &rows.commit,
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Object { what, .. } => what.clone(),
            Self::Rows(rows) => rows.misfit.to_string(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { name, what } => write!(f, "{name}: {what}"),
            Self::Rows(rows) => rows.fmt(f),
        }
    }
}

impl fmt::Display for RowFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, table, lin, name, path, misfit, .. } = self;
        if first == last {
            write!(f, "backup {first}, ")?;
        } else {
            write!(f, "backups {first} to {last}, ")?;
        }
        match (path, name) {
            (Some(path), _) => write!(f, "{table}, {}", path.escape_ascii())?,
            (None, Some(name)) => write!(f, "{table}, {} in inode {lin}", name.as_bytes().escape_ascii())?,
            (None, None) => write!(f, "{table}, inode {lin}")?,
        }
        write!(f, ": {misfit}")
    }
}

/// What a check did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Backups whose rows were joined.
    pub backups: u64,
    /// Runs that were looked at.
    pub runs: u64,
    /// Upload objects that were looked at.
    pub objects: u64,
    /// Rows that were read: each row of each run once, however many backups see it.
    pub rows: u64,
    /// Bytes that were compared with a CRC-32 and a BLAKE3.
    pub bytes: u64,
    /// Blocks that were opened and compared with their digests.
    pub blocks: u64,
    /// What is wrong; at most [`CheckReport::FINDINGS_MAX`] are told.
    pub findings: Vec<Finding>,
    /// How many things are wrong.
    pub findings_total: u64,
    /// Backups of which runs are damaged, but no object as far as was looked: [`Repository::rebuild`] makes the runs again.
    ///
    /// [`Repository::rebuild`]: crate::Repository::rebuild
    pub rebuildable: Vec<Epoch>,
    /// Backups that left objects and have no commit, oldest first. Those may be of a running job, so they are no finding.
    pub uncommitted: Vec<Uncommitted>,
}

impl CheckReport {
    /// Findings that a report tells. More of them tell nothing more.
    pub const FINDINGS_MAX: usize = 1000;

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.findings_total == 0
    }

    /// Notes what is wrong with an object, once.
    pub(super) fn finding(&mut self, name: impl ToString, what: impl ToString) {
        let finding = Finding::Object { name: name.to_string(), what: what.to_string() };
        if !self.findings.contains(&finding) {
            self.findings_total += 1;
            self.tell(finding);
        }
    }

    /// Notes what is wrong with rows; each is found once. `total` is how many there are, those that are told included.
    pub(super) fn rows_findings(&mut self, told: Vec<RowFinding>, total: u64) {
        self.findings_total += total;
        told.into_iter().for_each(|rows| self.tell(Finding::Rows(rows)));
    }

    fn tell(&mut self, finding: Finding) {
        if self.findings.len() < Self::FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    /// Notes an error as a finding if it says that the repository is wrong; `name` is what was looked at, if the error
    /// does not know better. An error that says that the site is not there now is given back: a check that could not look
    /// has found nothing.
    pub(super) fn note<T>(
        &mut self,
        name: impl ToString,
        outcome: Result<T, RepoError>,
    ) -> Result<Option<T>, RepoError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound | ErrorKind::Unsupported) => {
                match error.finding() {
                    Some((name, what)) => self.finding(name, what),
                    None => self.finding(name, error),
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
