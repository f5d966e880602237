//! Checking a repository.
//!
//! The listing that comes before has looked at the chain of commits. A check then looks at what the newest commit names:
//! the runs, the upload objects, and the rows of every backup; and at the configuration that each commit names. It goes
//! on after a finding, and gives all findings.

mod blocks;
mod report;
mod rows;

pub use report::{CheckDepth, CheckReport, Finding};

use std::collections::BTreeSet;

use bytes::Bytes;
use site::LIST_LIMIT_MAX;

use super::backup::{RunSet, Use};
use super::{Listed, Repository};
use crate::commit::StateReference;
use crate::names::{BOOTSTRAP_NAME, KEYS_PREFIX, Name, OBJECTS_PREFIX, OWNER_PREFIX, TABLES_PREFIX, Writer};
use crate::object::ObjectReader;
use crate::rows::{ObjectNumber, ObjectRow};
use crate::run::RunReference;
use crate::{KeyObject, OwnerObject, RepoError};

impl Repository<Listed> {
    /// Checks everything that the newest commit names.
    ///
    /// # Errors
    /// [`RepoError::NeedsPrivateKey`] if blocks are to be checked without it; or the site failed. What is wrong with the
    /// repository is no error but a finding.
    pub async fn check(&self, depth: CheckDepth) -> Result<CheckReport, RepoError> {
        let mut check = Check { repository: self, depth, report: CheckReport::default(), objects: BTreeSet::new() };
        check.heads().await?;
        for lost in self.lost() {
            check.report.finding(&lost.commit, &lost.what);
        }
        for stray in self.strays() {
            check.report.finding(stray, "it lies among the commits and is none of this repository");
        }
        let Some(head) = self.head() else { return Ok(check.report) };
        if depth == CheckDepth::Blocks && self.private_key().is_none() {
            return Err(RepoError::NeedsPrivateKey { name: head.name().to_string() });
        }
        let runs = check.runs(&head.runs).await?;
        check.states().await?;
        check.objects(&runs).await?;
        check.backups().await?;
        Ok(check.report)
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
    /// The objects that are there: eight bytes for each.
    objects: BTreeSet<ObjectNumber>,
}

impl Check<'_> {
    /// Looks at what a reader needs first: bootstrap, key objects, owner objects. A reader gets by without some of them.
    async fn heads(&mut self) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let bootstrap = super::open::bootstrap(&shared.site).await;
        self.report.note(BOOTSTRAP_NAME, bootstrap)?;
        for prefix in [KEYS_PREFIX, OWNER_PREFIX] {
            let listed = shared.site.list(prefix, None, LIST_LIMIT_MAX).await?;
            if listed.is_empty() {
                self.report.finding(prefix, "there is none");
            }
            for listed in listed {
                let looked_at = self.head(&listed.name).await;
                self.report.note(&listed.name, looked_at)?;
            }
        }
        Ok(())
    }

    async fn head(&self, name: &str) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let bytes = shared.site.get(name).await.map_err(|error| RepoError::missing(error, "a listing"))?;
        match name.parse() {
            Ok(Name::Owner { .. }) => OwnerObject::decode(name, &bytes, shared.id).map(drop),
            Ok(Name::Keys { .. }) => {
                let keys = KeyObject::decode(name, &bytes, shared.id)?;
                shared.private.as_ref().map_or(Ok(()), |private| keys.open(name, private).map(drop))
            }
            _ => Err(RepoError::damaged(name, "it has a name of another kind")),
        }
    }

    /// Looks at each run and gives those that open: what is wrong with a run is found once, not by every row.
    async fn runs(&mut self, references: &[RunReference]) -> Result<Vec<RunReference>, RepoError> {
        let shared = &self.repository.shared;
        let mut sound = Vec::new();
        for reference in references {
            self.report.runs += 1;
            let name = reference.name().to_string();
            let opened = RunSet::new(vec![*reference]).check(shared).await;
            let opens = self.report.note(&name, opened)?.is_some();
            if opens {
                sound.push(*reference);
            }
            if self.depth >= CheckDepth::Bytes && opens {
                let read = shared.site.get(&name).await.map_err(|error| RepoError::missing(error, "a commit"));
                let bytes = self.report.note(&name, read)?;
                self.compare(&name, bytes, reference.hash);
            }
        }
        Ok(sound)
    }

    /// Looks at the configurations that the commits name.
    async fn states(&mut self) -> Result<(), RepoError> {
        let repository = self.repository;
        for backup in repository.backups() {
            if let Some(state) = backup.state {
                self.state(&backup.commit, state).await?;
            }
        }
        Ok(())
    }

    async fn state(&mut self, commit: &str, state: StateReference) -> Result<(), RepoError> {
        let site = &self.repository.shared.site;
        let name = Name::State(state.writer).to_string();
        let missing = |error| RepoError::missing(error, commit);
        if self.depth >= CheckDepth::Bytes {
            let bytes = self.report.note(&name, site.get(&name).await.map_err(missing))?;
            self.compare(&name, bytes, state.hash);
        } else if let Some(size) = self.report.note(&name, site.size(&name).await.map_err(missing))?
            && size != state.size
        {
            self.report.finding(&name, "it has another length than it had");
        }
        Ok(())
    }

    fn compare(&mut self, name: &str, bytes: Option<Bytes>, hash: [u8; 32]) {
        let Some(bytes) = bytes else { return };
        self.report.bytes += bytes.len() as u64;
        if *blake3::hash(&bytes).as_bytes() != hash {
            self.report.finding(name, "its bytes are not what was written");
        }
    }

    /// Looks at each upload object that the table `objects` names.
    async fn objects(&mut self, runs: &[RunReference]) -> Result<(), RepoError> {
        let runs = RunSet::new(runs.to_vec());
        let merged = runs.merge::<ObjectRow>(&self.repository.shared, &[], Use::Scan).await;
        let Some(mut rows) = self.began(merged)? else { return Ok(()) };
        while let Some(row) = self.next(rows.next().await)? {
            self.report.objects += 1;
            self.objects.insert(row.number);
            let name = Name::Object(row.writer).to_string();
            let checked = self.object(&row).await;
            self.report.note(name, checked)?;
        }
        Ok(())
    }

    async fn object(&mut self, row: &ObjectRow) -> Result<(), RepoError> {
        let shared = &self.repository.shared;
        let reader = ObjectReader::open(&shared.site, row.writer, shared.id).await?;
        let damaged = |what| Err(RepoError::damaged(reader.name(), what));
        if reader.row(row.number, row.hash) != *row {
            return damaged("its trailer is not what the table of objects says");
        }
        if self.depth < CheckDepth::Bytes {
            return Ok(());
        }
        self.report.bytes += row.size;
        if reader.check().await? != row.hash {
            return damaged("its bytes are not what was written");
        }
        if self.depth == CheckDepth::Blocks { self.blocks(&reader, row).await } else { Ok(()) }
    }

    /// Passes a walk on, unless a run turns out to be damaged when its first rows are read.
    fn began<T>(&mut self, walk: Result<T, RepoError>) -> Result<Option<T>, RepoError> {
        self.report.note(TABLES_PREFIX, walk)
    }

    /// Passes a row on, and ends a walk whose run turns out to be damaged.
    fn next<T>(&mut self, row: Result<Option<T>, RepoError>) -> Result<Option<T>, RepoError> {
        let row = self.began(row)?.flatten();
        self.report.rows += u64::from(row.is_some());
        Ok(row)
    }

    fn object_name(writer: Writer) -> String {
        Name::Object(writer).to_string()
    }
}
