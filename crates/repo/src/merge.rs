//! Merging sorted sources of rows.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::RepoError;
use crate::coalesce::SpooledRows;
use crate::object::FooterCursor;
use crate::rows::{ObjectNumber, Row};
use crate::run::RunRows;

/// A source of rows in the order of key, `from` and number.
pub(crate) enum Source<R> {
    /// A run.
    Run(RunRows<R>),
    /// The footer of an object that has its number by now.
    Footer(Box<NumberedFooter<R>>),
    /// Rows that a merge has written to a file of this machine.
    Spooled(Box<SpooledRows<R>>),
    /// Rows in memory.
    Held(std::vec::IntoIter<R>),
}

/// The rows of a footer, with the numbers that coalescing gives.
pub(crate) struct NumberedFooter<R> {
    pub(crate) cursor: FooterCursor<R>,
    pub(crate) name: String,
    pub(crate) number: ObjectNumber,
    /// The numbers of the objects to which the footer's rows point by 1, 2, …
    pub(crate) references: Vec<ObjectNumber>,
}

impl<R: Row> Source<R> {
    async fn next(&mut self) -> Result<Option<R>, RepoError> {
        match self {
            Self::Run(rows) => rows.next().await,
            Self::Footer(footer) => footer.next().await,
            Self::Spooled(rows) => rows.next().await,
            Self::Held(rows) => Ok(rows.next()),
        }
    }
}

impl<R: Row> NumberedFooter<R> {
    async fn next(&mut self) -> Result<Option<R>, RepoError> {
        let Some(mut row) = self.cursor.next().await? else { return Ok(None) };
        let unknown = |number| RepoError::UnknownObject { name: self.name.clone(), number };
        row.number(self.number, &|number| self.global(number)).map_err(unknown)?;
        Ok(Some(row))
    }

    fn global(&self, number: ObjectNumber) -> Option<ObjectNumber> {
        if number == ObjectNumber::OWN {
            return Some(self.number);
        }
        if !number.is_local() {
            return Some(number);
        }
        let index = usize::try_from(number.0.checked_sub(1)?).ok()?;
        self.references.get(index).copied()
    }
}

/// Gives the rows of many sources in their order. It holds one row of each, besides what the sources hold.
pub(crate) struct Merge<R: Row> {
    sources: Vec<Source<R>>,
    heads: BinaryHeap<Reverse<Head<R>>>,
}

struct Head<R> {
    row: R,
    source: usize,
}

impl<R: Row> Head<R> {
    fn order(&self) -> (R::Key, types::Epoch, ObjectNumber, usize) {
        (self.row.key(), Row::from(&self.row), self.row.seq(), self.source)
    }
}

impl<R: Row> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<R: Row> Eq for Head<R> {}

impl<R: Row> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Row> Ord for Head<R> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl<R: Row> Merge<R> {
    /// Reads the first row of each source.
    pub(crate) async fn new(sources: Vec<Source<R>>) -> Result<Self, RepoError> {
        let mut merge = Self { sources, heads: BinaryHeap::new() };
        for source in 0..merge.sources.len() {
            merge.advance(source).await?;
        }
        Ok(merge)
    }

    /// The next row.
    pub(crate) async fn next(&mut self) -> Result<Option<R>, RepoError> {
        let Some(Reverse(Head { row, source })) = self.heads.pop() else { return Ok(None) };
        self.advance(source).await?;
        Ok(Some(row))
    }

    /// The next row that is the last of its key: a work unit that was done twice gives equal rows in two objects.
    pub(crate) async fn next_last(&mut self) -> Result<Option<R>, RepoError> {
        while let Some(row) = self.next().await? {
            if self.peek().is_none_or(|next| next.key() != row.key()) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The row after it.
    pub(crate) fn peek(&self) -> Option<&R> {
        self.heads.peek().map(|Reverse(head)| &head.row)
    }

    async fn advance(&mut self, source: usize) -> Result<(), RepoError> {
        let Some(rows) = self.sources.get_mut(source) else { return Ok(()) };
        if let Some(row) = rows.next().await? {
            self.heads.push(Reverse(Head { row, source }));
        }
        Ok(())
    }
}
