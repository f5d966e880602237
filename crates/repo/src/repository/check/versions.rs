//! The versions of all keys of a table, each with the backups that see it.

use super::lines::{Lines, Span};
use crate::RepoError;
use crate::merge::Merge;
use crate::rows::{Row, Version};

/// A version that at least one backup sees. It may say that its key is gone.
pub(super) struct Seen<R> {
    pub(super) row: R,
    pub(super) span: Span,
}

/// Walks a table once for all backups, in the order of its keys.
pub(super) struct Versions<'a, R: Row> {
    merge: Merge<R>,
    lines: &'a Lines<'a>,
    next: Option<Seen<R>>,
    rows: u64,
}

impl<'a, R: Version> Versions<'a, R> {
    /// Begins with the first version.
    pub(super) async fn new(merge: Merge<R>, lines: &'a Lines<'a>) -> Result<Self, RepoError> {
        let mut versions = Self { merge, lines, next: None, rows: 0 };
        versions.advance().await?;
        Ok(versions)
    }

    /// The next version, without taking it.
    pub(super) fn peek(&self) -> Option<&R> {
        self.next.as_ref().map(|seen| &seen.row)
    }

    /// Takes the next version if it is one of those.
    pub(super) async fn take_if(&mut self, is_wanted: impl FnOnce(&R) -> bool) -> Result<Option<Seen<R>>, RepoError> {
        if !self.peek().is_some_and(is_wanted) {
            return Ok(None);
        }
        let taken = self.next.take();
        self.advance().await?;
        Ok(taken)
    }

    /// How many rows were read.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    async fn advance(&mut self) -> Result<(), RepoError> {
        while let Some(row) = self.merge.next().await? {
            self.rows += 1;
            self.pass_voids(&row).await?;
            let next = self.merge.peek().filter(|next| next.key() == row.key()).map(Row::from);
            let span = self.lines.span(row.set(), Row::from(&row), next);
            if let Some(span) = span.filter(|_| !self.lines.is_void(Row::from(&row))) {
                self.next = Some(Seen { row, span });
                break;
            }
        }
        Ok(())
    }

    /// Passes by versions of the same key that count for nothing: they end no other.
    async fn pass_voids(&mut self, row: &R) -> Result<(), RepoError> {
        let lines = self.lines;
        let is_void = |next: &R| lines.is_void(Row::from(next)) && next.key() == row.key();
        while self.merge.peek().is_some_and(is_void) {
            self.merge.next().await?;
            self.rows += 1;
        }
        Ok(())
    }
}
