//! Merging the footers of an epoch's objects into its runs (step 4 of a backup).
//!
//! Relies on: every object's rows are sorted, and the list of objects is final (Raft holds it once the job is sealed).
//! The numbers of the objects follow from that list alone, so another owner of the job comes to the same rows.
//!
//! The merge is streaming. In memory are, for one table at a time: a read-ahead of each object's footer, a row group of
//! rows, and one run of encoded bytes. A crash leaves runs that no commit names.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use runtime::Seed;
use site::Site;
use types::{Epoch, ObjectReport, RepositoryId};

use crate::merge::{Merge, NumberedFooter, Source};
use crate::names::{Name, Writer};
use crate::object::{Directory, FooterCursor, ObjectReader};
use crate::rows::{BlockRow, EntryRow, ExtentRow, InodeRow, ObjectNumber, ObjectRow, Row, Table};
use crate::run::{FinishedRun, RunOptions, RunReference, RunWriter};
use crate::{CommitTotals, RepoError, WriterKeys};

/// Objects that are opened at once.
const READS_MAX: usize = 16;

/// How a merge uses memory.
#[derive(Clone, Copy, Debug)]
pub struct CoalesceOptions {
    /// How runs are cut.
    pub runs: RunOptions,
    /// Bytes that the read-ahead of all objects together may take.
    pub read_ahead: u64,
}

impl Default for CoalesceOptions {
    fn default() -> Self {
        Self { runs: RunOptions::default(), read_ahead: 256 << 20 }
    }
}

/// What a merge has put.
#[derive(Clone, Debug, Default)]
pub struct Coalesced {
    /// The runs, all of them at the site.
    pub runs: Vec<RunReference>,
    /// What the commit says of the backup; `bytes_plain` is the sum of the reports.
    pub totals: CommitTotals,
}

/// The objects of one epoch, opened and numbered.
struct EpochMerge<'a> {
    site: &'a Site,
    keys: &'a WriterKeys,
    seed: &'a Seed,
    options: CoalesceOptions,
    objects: Vec<Numbered>,
    writer: Writer,
    coalesced: Coalesced,
}

struct Numbered {
    reader: ObjectReader,
    directory: Directory,
    row: ObjectRow,
    references: Vec<ObjectNumber>,
}

/// Merges the footers of all objects of an epoch and puts the runs, beginning with the sequence number of `writer`. A
/// caller that tries again begins with a number that it has not used: salts are random, so the bytes are others.
///
/// # Errors
/// An object is missing or damaged, a row points to an object that is not in the list, or the site failed.
pub async fn coalesce(
    site: &Site,
    repository: RepositoryId,
    keys: &WriterKeys,
    seed: &Seed,
    writer: Writer,
    objects: &[ObjectReport],
    options: CoalesceOptions,
) -> Result<Coalesced, RepoError> {
    let mut coalesced = Coalesced::default();
    coalesced.totals.bytes_plain = objects.iter().map(|report| report.bytes_plain).sum();
    let objects = open_all(site, repository, keys, writer.epoch, objects).await?;
    let mut epoch = EpochMerge { site, keys, seed, options, objects, writer, coalesced };
    epoch.merge::<InodeRow>().await?;
    epoch.merge::<EntryRow>().await?;
    epoch.merge::<ExtentRow>().await?;
    epoch.merge::<BlockRow>().await?;
    epoch.write_objects().await?;
    Ok(epoch.coalesced)
}

/// Numbers the objects by their names and opens them.
async fn open_all(
    site: &Site,
    repository: RepositoryId,
    keys: &WriterKeys,
    epoch: Epoch,
    reports: &[ObjectReport],
) -> Result<Vec<Numbered>, RepoError> {
    let mut by_writer = BTreeMap::new();
    for report in reports {
        let Ok(Name::Object(writer)) = report.name.parse() else {
            return Err(RepoError::damaged(&report.name, "it is not the name of an upload object"));
        };
        by_writer.insert(writer, report);
    }
    let mut numbers = BTreeMap::new();
    for (ordinal, (writer, report)) in by_writer.iter().enumerate() {
        let limit = || RepoError::Limit { name: report.name.clone(), limit: "2^24 objects in an epoch" };
        numbers.insert(*writer, ObjectNumber::new(epoch, ordinal).ok_or_else(limit)?);
    }
    let numbers = &numbers;
    let opened = by_writer.into_iter().map(|(writer, report)| async move {
        let reader = ObjectReader::open(site, writer, repository).await?;
        if reader.trailer().length != report.size {
            return Err(RepoError::damaged(&report.name, "its length is not what its writer reported"));
        }
        let directory = reader.directory(keys).await?;
        let number = |object: &Writer| {
            let unknown =
                || RepoError::Missing { name: Name::Object(*object).to_string(), needed_by: report.name.clone() };
            numbers.get(object).copied().ok_or_else(unknown)
        };
        let references = directory.references.iter().map(number).collect::<Result<_, _>>()?;
        let row = reader.row(number(&writer)?, report.hash);
        Ok(Numbered { reader, directory, row, references })
    });
    // Collected first: a closure over borrowed reports that is held across an await keeps callers from being `Send`.
    let opened: Vec<_> = opened.collect();
    stream::iter(opened).buffered(READS_MAX).try_collect().await
}

impl EpochMerge<'_> {
    fn sources<R: Row>(&self) -> Vec<Source<R>> {
        let read_ahead = self.options.read_ahead / (self.objects.len().max(1) as u64);
        let footer = |object: &Numbered| {
            Source::Footer(Box::new(NumberedFooter {
                cursor: FooterCursor::new(object.reader.clone(), self.keys, &object.directory, read_ahead),
                name: object.reader.name().to_owned(),
                number: object.row.number,
                references: object.references.clone(),
            }))
        };
        self.objects.iter().map(footer).collect()
    }

    /// Merges one table. Of rows with the same key only the last one counts: a work unit that was done twice gives equal
    /// rows in two objects.
    async fn merge<R: Row>(&mut self) -> Result<(), RepoError> {
        let mut merge = Merge::<R>::new(self.sources()).await?;
        let mut runs = RunWriter::new(self.writer, 0, self.keys, self.seed, self.options.runs);
        let mut finished = Vec::new();
        while let Some(row) = merge.next().await? {
            if merge.peek().is_some_and(|next| next.key() == row.key()) {
                continue;
            }
            finished.extend(runs.push(row).await?);
            self.put(&mut finished).await?;
        }
        finished.extend(runs.finish().await?);
        self.put(&mut finished).await
    }

    async fn write_objects(&mut self) -> Result<(), RepoError> {
        let mut runs = RunWriter::new(self.writer, 0, self.keys, self.seed, self.options.runs);
        let rows: Vec<ObjectRow> = self.objects.iter().map(|object| object.row.clone()).collect();
        let mut finished = Vec::new();
        for row in rows {
            self.coalesced.totals.objects += 1;
            self.coalesced.totals.bytes_uploaded += row.size;
            finished.extend(runs.push(row).await?);
        }
        finished.extend(runs.finish().await?);
        self.put(&mut finished).await
    }

    async fn put(&mut self, finished: &mut Vec<FinishedRun>) -> Result<(), RepoError> {
        for run in finished.drain(..) {
            self.site.put_same(&run.reference.name().to_string(), run.bytes).await?;
            let table = run.reference.table;
            let place = Table::ALL.iter().position(|known| *known == table);
            if let Some(rows) = place.and_then(|place| self.coalesced.totals.rows.get_mut(place)) {
                *rows += run.reference.rows;
            }
            self.writer = self.writer.with_sequence(run.reference.writer.sequence + 1);
            self.coalesced.runs.push(run.reference);
        }
        Ok(())
    }
}
