//! Merging the footers of an epoch's objects into its runs (step 4 of a backup).
//!
//! Relies on: every object's rows are sorted, and the list of objects is final (Raft holds it once the job is sealed).
//! The numbers of the objects follow from that list alone, so another owner of the job comes to the same rows.
//!
//! The merge is streaming, and what it holds does not grow with the number of objects. So many objects as may be open at
//! once are merged directly: in memory are, for one table at a time, a read-ahead and a page of each object's footer, a
//! row group of rows, and one run of encoded bytes. More objects are merged part by part into sorted files of this
//! machine ([`spool`]), and those, as often as it takes, into the runs. A crash leaves runs that no commit names, and
//! files that the next merge in that folder removes.

mod spool;

use std::collections::BTreeMap;
use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use runtime::{Files, Seed};
use site::Site;
use types::{Epoch, ObjectReport, RepositoryId};

use self::spool::Spool;
pub(crate) use self::spool::SpooledRows;
use crate::merge::{Merge, NumberedFooter, Source};
use crate::names::{Name, Writer};
use crate::object::{Directory, FooterCursor, ObjectReader};
use crate::rows::{BlockRow, EntryRow, ExtentRow, InodeRow, ObjectNumber, ObjectRow, Row, Table};
use crate::run::{FinishedRun, RunOptions, RunReference, RunWriter};
use crate::{CommitTotals, RepoError, WriterKeys};

/// Objects that are opened at once.
const READS_MAX: usize = 16;
/// Inputs that are merged at once however long their pages are: with fewer a merge would not get to an end.
const INPUTS_LEAST: usize = 2;

/// Where a merge reads and writes, and with which keys.
#[derive(Clone, Copy, Debug)]
pub struct CoalesceContext<'a> {
    /// The site.
    pub site: &'a Site,
    /// The repository at the site.
    pub repository: RepositoryId,
    /// The keys of its footers and runs.
    pub keys: &'a WriterKeys,
    /// Where the salts of runs come from.
    pub seed: &'a Seed,
    /// The files of this machine.
    pub files: &'a Files,
    /// A folder for this merge alone, used if there are more objects than may be open at once. Whatever is in it is
    /// removed before and after.
    pub folder: &'a Path,
}

/// How a merge uses memory.
#[derive(Clone, Copy, Debug)]
pub struct CoalesceOptions {
    /// How runs are cut.
    pub runs: RunOptions,
    /// Bytes that the read-ahead of all inputs together may take.
    pub read_ahead: u64,
    /// Objects, or sorted files, that are open at once: some 10 KiB each, besides their pages.
    pub inputs_max: usize,
    /// Bytes that the longest pages of all inputs together may have, plain. A page is longer than 64 KiB only where an
    /// inode's extended attributes are.
    pub pages_length: u64,
}

impl Default for CoalesceOptions {
    fn default() -> Self {
        Self { runs: RunOptions::default(), read_ahead: 256 << 20, inputs_max: 1024, pages_length: 512 << 20 }
    }
}

impl CoalesceOptions {
    /// How many of the next inputs, with pages of these lengths, may be open at once.
    fn fitting(&self, lengths: impl Iterator<Item = u64>) -> usize {
        let mut total = 0_u64;
        let within = |length: &u64| {
            total = total.saturating_add(*length);
            total <= self.pages_length
        };
        lengths.take(self.inputs_max).take_while(within).count().max(INPUTS_LEAST)
    }
}

/// What a merge has put.
#[derive(Clone, Debug, Default)]
pub struct Coalesced {
    /// The runs, all of them at the site.
    pub runs: Vec<RunReference>,
    /// What the commit says of the backup; `bytes_plain` is the sum of the reports.
    pub totals: CommitTotals,
    /// The most objects, or sorted files, that were open at once.
    pub open_max: usize,
}

/// The runs of one epoch in the making.
struct EpochMerge<'a> {
    context: CoalesceContext<'a>,
    /// Where runs go.
    to: &'a Site,
    options: CoalesceOptions,
    writer: Writer,
    coalesced: Coalesced,
}

/// The objects of an epoch, sorted by their names, with the numbers that follow from that.
struct Listed<'a> {
    objects: Vec<(Writer, &'a ObjectReport)>,
    numbers: BTreeMap<Writer, ObjectNumber>,
}

/// An opened object.
struct Numbered {
    reader: ObjectReader,
    directory: Directory,
    row: ObjectRow,
    references: Vec<ObjectNumber>,
}

/// The rows of some inputs, by table. Sources of one table are sorted, and those of later objects come later.
#[derive(Default)]
struct Sources {
    inodes: Vec<Source<InodeRow>>,
    entries: Vec<Source<EntryRow>>,
    extents: Vec<Source<ExtentRow>>,
    blocks: Vec<Source<BlockRow>>,
    objects: Vec<Source<ObjectRow>>,
}

/// Merges the footers of all objects of an epoch and puts the runs, beginning with the sequence number of `writer`. A
/// caller that tries again begins with a number that it has not used: salts are random, so the bytes are others.
///
/// # Errors
/// An object is missing or damaged, a row points to an object that is not in the list, or the site failed; or the folder
/// cannot be used.
pub async fn coalesce(
    context: CoalesceContext<'_>,
    writer: Writer,
    objects: &[ObjectReport],
    options: CoalesceOptions,
) -> Result<Coalesced, RepoError> {
    coalesce_into(context, context.site, writer, objects, options).await
}

/// The same, with the runs put elsewhere.
pub(crate) async fn coalesce_into(
    context: CoalesceContext<'_>,
    to: &Site,
    writer: Writer,
    objects: &[ObjectReport],
    options: CoalesceOptions,
) -> Result<Coalesced, RepoError> {
    let listed = Listed::number(writer.epoch, objects)?;
    let mut epoch = EpochMerge { context, to, options, writer, coalesced: Coalesced::default() };
    let totals = &mut epoch.coalesced.totals;
    totals.bytes_plain = objects.iter().map(|report| report.bytes_plain).sum();
    totals.bytes_uploaded = listed.objects.iter().map(|(_, report)| report.size).sum();
    totals.objects = listed.objects.len() as u64;
    let mut spool = Spool::create(context.files, context.folder).await?;
    for listed_part in listed.objects.chunks(options.inputs_max.max(INPUTS_LEAST)) {
        let mut opened = open(&context, &listed, listed_part).await?;
        while !opened.is_empty() {
            let fitting = options.fitting(opened.iter().map(Numbered::longest_page)).min(opened.len());
            let rest = opened.split_off(fitting);
            epoch.opened(opened.len());
            let sources = epoch.footers(&opened);
            if opened.len() == listed.objects.len() {
                return epoch.write(sources).await;
            }
            spool.add(sources).await?;
            opened = rest;
        }
    }
    loop {
        let fitting = options.fitting(spool.lengths()).min(spool.parts());
        epoch.opened(fitting);
        if fitting == spool.parts() {
            return epoch.write(spool.sources(0..fitting, options.read_ahead)).await;
        }
        spool = spool.reduce(&options, |open| epoch.opened(open)).await?;
    }
}

impl<'a> Listed<'a> {
    fn number(epoch: Epoch, reports: &'a [ObjectReport]) -> Result<Self, RepoError> {
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
        Ok(Self { objects: by_writer.into_iter().collect(), numbers })
    }

    fn of(&self, object: &Writer, needed_by: &ObjectReport) -> Result<ObjectNumber, RepoError> {
        let unknown =
            || RepoError::Missing { name: Name::Object(*object).to_string(), needed_by: needed_by.name.clone() };
        self.numbers.get(object).copied().ok_or_else(unknown)
    }
}

/// Opens objects, in their order.
async fn open(
    context: &CoalesceContext<'_>,
    listed: &Listed<'_>,
    part: &[(Writer, &ObjectReport)],
) -> Result<Vec<Numbered>, RepoError> {
    let opened = part.iter().map(|(writer, report)| async move {
        let reader = ObjectReader::open(context.site, *writer, context.repository).await?;
        if reader.trailer().length != report.size {
            return Err(RepoError::damaged(&report.name, "its length is not what its writer reported"));
        }
        let directory = reader.directory(context.keys).await?;
        let references = directory.references.iter().map(|object| listed.of(object, report));
        let references = references.collect::<Result<_, _>>()?;
        let row = reader.row(listed.of(writer, report)?, report.hash);
        Ok(Numbered { reader, directory, row, references })
    });
    // Collected first: a closure over borrowed reports that is held across an await keeps callers from being `Send`.
    let opened: Vec<_> = opened.collect();
    stream::iter(opened).buffered(READS_MAX).try_collect().await
}

impl Numbered {
    fn longest_page(&self) -> u64 {
        self.directory.pages.iter().map(|page| u64::from(page.plain_length)).max().unwrap_or(0)
    }

    fn footer<R: Row>(&self, keys: &WriterKeys, read_ahead: u64) -> Source<R> {
        Source::Footer(Box::new(NumberedFooter {
            cursor: FooterCursor::new(self.reader.clone(), keys, &self.directory, read_ahead),
            name: self.reader.name().to_owned(),
            number: self.row.number,
            references: self.references.clone(),
        }))
    }
}

impl EpochMerge<'_> {
    fn opened(&mut self, inputs: usize) {
        self.coalesced.open_max = self.coalesced.open_max.max(inputs);
    }

    fn footers(&self, objects: &[Numbered]) -> Sources {
        let (keys, read_ahead) = (self.context.keys, self.options.read_ahead / (objects.len().max(1) as u64));
        let rows: Vec<ObjectRow> = objects.iter().map(|object| object.row.clone()).collect();
        Sources {
            inodes: objects.iter().map(|object| object.footer(keys, read_ahead)).collect(),
            entries: objects.iter().map(|object| object.footer(keys, read_ahead)).collect(),
            extents: objects.iter().map(|object| object.footer(keys, read_ahead)).collect(),
            blocks: objects.iter().map(|object| object.footer(keys, read_ahead)).collect(),
            objects: vec![Source::Held(rows.into_iter())],
        }
    }

    /// Merges all tables into runs.
    async fn write(mut self, sources: Sources) -> Result<Coalesced, RepoError> {
        self.write_table(sources.inodes).await?;
        self.write_table(sources.entries).await?;
        self.write_table(sources.extents).await?;
        self.write_table(sources.blocks).await?;
        self.write_table(sources.objects).await?;
        Ok(self.coalesced)
    }

    async fn write_table<R: Row>(&mut self, sources: Vec<Source<R>>) -> Result<(), RepoError> {
        let mut merge = Merge::new(sources).await?;
        let (keys, seed) = (self.context.keys, self.context.seed);
        let mut runs = RunWriter::new(self.writer, 0, keys, seed, self.options.runs);
        while let Some(row) = merge.next_last().await? {
            if let Some(run) = runs.push(row).await? {
                self.put(run).await?;
            }
        }
        if let Some(run) = runs.finish().await? {
            self.put(run).await?;
        }
        Ok(())
    }

    async fn put(&mut self, run: FinishedRun) -> Result<(), RepoError> {
        self.to.put_same(&run.reference.name().to_string(), run.bytes).await?;
        let table = run.reference.table;
        let place = Table::ALL.iter().position(|known| *known == table);
        if let Some(rows) = place.and_then(|place| self.coalesced.totals.rows.get_mut(place)) {
            *rows += run.reference.rows;
        }
        self.writer = self.writer.with_sequence(run.reference.writer.sequence + 1);
        self.coalesced.runs.push(run.reference);
        Ok(())
    }
}
