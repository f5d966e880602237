//! Are the blocks of all extents where the extents say, by the table `blocks`?

use serde::{Deserialize, Serialize};

use super::lines::{Place, Span};
use super::misfit::Misfit;
use super::noted::Noted;
use super::objects::{Lost, Objects};
use super::report::CheckReport;
use super::sorter::{Sortable, SortedRows};
use crate::RepoError;
use crate::merge::Merge;
use crate::names::TABLES_PREFIX;
use crate::rows::{BlockRow, ExtentRecord, Location, Row, Table};

/// Where an extent says that its block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Use {
    /// The key that the row of `blocks` has.
    key: <BlockRow as Row>::Key,
    location: Location,
    place: Place,
    offset: u64,
    span: Span,
}

impl Sortable for Use {}

impl Use {
    pub(super) fn new(place: Place, offset: u64, extent: &ExtentRecord, span: Span) -> Self {
        let location = extent.location;
        let key = BlockRow { digest: extent.digest, location }.key();
        Self { key, location, place, offset, span }
    }
}

/// The join.
pub(super) struct Blocks<'a> {
    pub(super) rows: Merge<BlockRow>,
    pub(super) objects: &'a Objects,
    /// Epochs of whose rows of `blocks` not all can be read.
    pub(super) lost: &'a Lost,
    /// The row before the next.
    pub(super) last: Option<BlockRow>,
    pub(super) report: &'a mut CheckReport,
}

impl Blocks<'_> {
    /// Joins rows and uses, which are both in the order of digests.
    pub(super) async fn join(mut self, mut uses: SortedRows<'_, Use>, noted: &mut Noted) -> Result<(), RepoError> {
        while let Some(wanted) = uses.next().await? {
            while self.rows.peek().is_some_and(|row| row.key() < wanted.key) {
                self.pass().await?;
            }
            if let Some(misfit) = self.misfit(&wanted) {
                let (set, lin) = wanted.place;
                noted.inode(set, wanted.span, Table::Extents, lin, misfit);
            }
        }
        while self.rows.peek().is_some() {
            self.pass().await?;
        }
        Ok(())
    }

    async fn pass(&mut self) -> Result<(), RepoError> {
        self.last = self.rows.next().await?;
        self.report.rows += 1;
        if let Some(what) = self.last.as_ref().and_then(|row| self.objects.misplaced(row)) {
            self.report.finding(format!("{TABLES_PREFIX}{}/", Table::Blocks), what);
        }
        Ok(())
    }

    /// Compares a use with the row of its key, or with those before and after where that would be.
    fn misfit(&self, wanted: &Use) -> Option<Misfit> {
        let Use { key, location, offset, .. } = *wanted;
        let next = self.rows.peek();
        if let Some(row) = next.filter(|row| row.key() == key) {
            return (row.location != location).then_some(Misfit::Hint { offset });
        }
        let elsewhere = self.last.as_ref().into_iter().chain(next).find(|row| row.digest == key.0);
        match elsewhere {
            // Its own row may be in the run that cannot be read.
            _ if self.lost.holds(location.object.epoch()) => None,
            Some(BlockRow { location: Location { object, slot, .. }, .. }) => {
                Some(Misfit::Stale { offset, object: *object, slot: *slot })
            }
            None => Some(Misfit::NoBlock { offset }),
        }
    }
}
