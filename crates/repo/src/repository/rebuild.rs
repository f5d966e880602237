//! Tables made again from the footers of upload objects.
//!
//! The runs of a backup are the footers of its objects, merged, and nothing else: rows that say that a key is gone are in
//! footers too, and the numbers of objects follow from their sorted names (rule P24). So runs that are damaged can be made
//! again, if it is certain which objects are the backup's. The table `objects` tells; if that is damaged itself, the
//! listing does, if it has as many objects and bytes as the commit says. What comes out has to have as many rows of each
//! table as the runs that the commit names.
//!
//! Nothing is put into the repository: the runs that are made are read from a folder of this machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use runtime::{Files, Seed, blocking};
use site::{LIST_LIMIT_MAX, Site};
use types::{Epoch, ErrorKind, NodeId, ObjectReport};

use super::backup::{RunSet, Use};
use super::list::Head;
use super::{Listed, Repository};
use crate::coalesce::coalesce_into;
use crate::names::{Name, OBJECTS_PREFIX, Writer};
use crate::object::ObjectReader;
use crate::rows::{ObjectRow, Table};
use crate::run::RunReference;
use crate::{CoalesceContext, CoalesceOptions, Coalesced, RepoError};

/// How tables are made again.
#[derive(Clone, Debug)]
pub struct RebuildOptions {
    /// The files of this machine.
    pub files: Files,
    /// Where the salts of runs come from.
    pub seed: Seed,
    /// A folder for the runs, which has to stay as long as the repository is read. They are sealed as those at the site.
    pub folder: PathBuf,
}

/// A backup with damaged runs.
#[derive(Debug)]
pub struct Rebuilt {
    /// The backup.
    pub epoch: Epoch,
    /// The runs that are damaged or missing.
    pub runs: Vec<String>,
    /// Why its tables could not be made again, if they could not.
    pub failure: Option<RepoError>,
}

/// Runs that are read instead of those that the newest commit names.
#[derive(Debug)]
pub(super) struct LocalRuns {
    /// All runs, those at the site too.
    pub(super) runs: Vec<RunReference>,
    site: Site,
    names: BTreeSet<Name>,
}

impl LocalRuns {
    /// Where a run is, if it is not at the site of the repository.
    pub(super) fn site_of(&self, run: &RunReference) -> Option<&Site> {
        self.names.contains(&run.name()).then_some(&self.site)
    }
}

impl Repository<Listed> {
    /// Reads every run, and makes those of backups again in which one is damaged. The repository that comes back reads
    /// through them.
    ///
    /// # Errors
    /// The site failed, or the folder cannot be used. What cannot be made again is told, and stays as it is.
    pub async fn rebuild(mut self, options: &RebuildOptions) -> Result<(Self, Vec<Rebuilt>), RepoError> {
        let Some(head) = self.state.head.clone() else { return Ok((self, Vec::new())) };
        let damaged = self.damaged_runs(&head).await?;
        let (files, folder) = (options.files.clone(), options.folder.clone());
        if damaged.is_empty() {
            return Ok((self, Vec::new()));
        }
        blocking(move || files.create_dirs(&folder)).await?;
        let site = Site::open(&format!("file://{}", options.folder.display()))?;
        let mut local = LocalRuns { runs: head.commit.runs.clone(), site, names: BTreeSet::new() };
        let mut told = Vec::new();
        let epochs: BTreeSet<Epoch> = damaged.iter().map(|run| run.writer.epoch).collect();
        for epoch in epochs {
            let of_epoch = |run: &&RunReference| run.writer.epoch == epoch;
            let failure = match self.rebuild_one(&head, epoch, &damaged, &local.site, options).await {
                Ok(made) => {
                    local.runs.retain(|run| run.level > 0 || !of_epoch(&run));
                    local.names.extend(made.runs.iter().map(RunReference::name));
                    local.runs.extend(made.runs);
                    None
                }
                Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => Some(error),
                Err(error) => return Err(error),
            };
            let runs = damaged.iter().filter(of_epoch).map(|run| run.name().to_string()).collect();
            told.push(Rebuilt { epoch, runs, failure });
        }
        self.state.local = Some(Arc::new(local));
        Ok((self, told))
    }

    /// Reads all runs and compares their bytes.
    async fn damaged_runs(&self, head: &Head) -> Result<Vec<RunReference>, RepoError> {
        let mut damaged = Vec::new();
        for run in &head.commit.runs {
            let read = self.shared.site.get(&run.name().to_string()).await;
            match read.map_err(|error| RepoError::missing(error, head.commit.name())) {
                Ok(bytes) if *blake3::hash(&bytes).as_bytes() == run.hash => {}
                Ok(_) => damaged.push(*run),
                Err(error) if error.kind() == ErrorKind::Corrupt => damaged.push(*run),
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    async fn rebuild_one(
        &self,
        head: &Head,
        epoch: Epoch,
        damaged: &[RunReference],
        to: &Site,
        options: &RebuildOptions,
    ) -> Result<Coalesced, RepoError> {
        let runs: Vec<_> = head.commit.runs.iter().filter(|run| run.writer.epoch == epoch).copied().collect();
        let Some(writer) = runs.iter().map(|run| run.writer).max() else { return Ok(Coalesced::default()) };
        let merged = runs.iter().find(|run| run.level > 0);
        if let Some(run) = merged {
            return Err(RepoError::damaged(
                run.name(),
                "it was merged from several backups: no object has all its rows",
            ));
        }
        let is_lost = damaged.iter().any(|run| run.table == Table::Objects && run.writer.epoch == epoch);
        let objects = if is_lost { self.listed_objects(writer).await? } else { self.named_objects(&runs).await? };
        self.expect_all(epoch, &objects, is_lost)?;
        let context = CoalesceContext {
            site: &self.shared.site,
            repository: self.shared.id,
            keys: &self.shared.keys,
            seed: &options.seed,
            files: &options.files,
            folder: &options.folder.join("merge"),
        };
        let writer = writer.with_sequence(writer.sequence + 1);
        let made = coalesce_into(context, to, writer, &objects, CoalesceOptions::default()).await?;
        for table in Table::ALL {
            let rows =
                |of: &[RunReference]| of.iter().filter(|run| run.table == table).map(|run| run.rows).sum::<u64>();
            if rows(&runs) != rows(&made.runs) {
                let what = "the objects of its backup do not hold as many rows as its runs did";
                return Err(RepoError::damaged(head.commit.name(), what));
            }
        }
        Ok(made)
    }

    /// The objects of a backup, by the table of objects.
    async fn named_objects(&self, runs: &[RunReference]) -> Result<Vec<ObjectReport>, RepoError> {
        let runs = RunSet::new(runs.to_vec(), None);
        let mut rows = runs.merge_some::<ObjectRow>(&self.shared, &[], Use::Scan, |_| true).await?;
        let mut objects = Vec::new();
        while let Some(row) = rows.next().await? {
            objects.push(report(row.writer, row.size, row.hash));
        }
        Ok(objects)
    }

    /// The objects that lie at the site under a backup's number. Each is read whole: its hash is in no table.
    async fn listed_objects(&self, writer: Writer) -> Result<Vec<ObjectReport>, RepoError> {
        let prefix = format!("{OBJECTS_PREFIX}{:016x}-{:016x}-", writer.generation.0, writer.epoch.0);
        let mut objects = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let listed = self.shared.site.list(&prefix, after.as_deref(), LIST_LIMIT_MAX).await?;
            let is_last = listed.len() < LIST_LIMIT_MAX;
            after = listed.last().map(|listed| listed.name.clone());
            for listed in listed {
                let Ok(Name::Object(writer)) = listed.name.parse() else { continue };
                let reader = ObjectReader::open(&self.shared.site, writer, self.shared.id).await?;
                objects.push(report(writer, listed.size, reader.check().await?));
            }
            if is_last {
                return Ok(objects);
            }
        }
    }

    /// Refuses objects that are not certainly all of the backup's and no others: of a job that was handed on, objects may
    /// lie at the site that no table names.
    fn expect_all(&self, epoch: Epoch, objects: &[ObjectReport], is_listed: bool) -> Result<(), RepoError> {
        let count = objects.len() as u64;
        let bytes = objects.iter().map(|object| object.size).sum::<u64>();
        match self.backups().iter().find(|backup| backup.epoch == epoch) {
            Some(backup) if (backup.totals.objects, backup.totals.bytes_uploaded) == (count, bytes) => Ok(()),
            Some(backup) => {
                Err(RepoError::damaged(&backup.commit, "the objects of its backup are not those that it counts"))
            }
            // Its commit is lost, or does not count; the table of objects tells all the same.
            None if !is_listed => Ok(()),
            None => Err(RepoError::damaged(OBJECTS_PREFIX, "nothing tells which objects are those of the backup")),
        }
    }
}

fn report(writer: Writer, size: u64, hash: [u8; 32]) -> ObjectReport {
    let name = Name::Object(writer).to_string();
    ObjectReport { name, size, hash, node: NodeId(0), bytes_plain: 0, units: Vec::new() }
}
