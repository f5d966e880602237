//! The content of a file at one moment, piece by piece.

use std::collections::VecDeque;

use bytes::Bytes;
use namespace::{Failure, Runs, StoredContent, View};
use types::{Extent, Lin, Run, Tail};

use crate::plan::Item;

/// Extents and tails that are read at a time.
const PAGE: usize = 1024;

/// A range of a file and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that lie in the state: the beginning of the file, kept in its inode, or a tail that is not cut yet.
    Inline {
        /// Where they begin in the file.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// A range of a block.
    Block(Extent),
}

impl Piece {
    /// Where it begins in the file, in bytes.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Inline { offset, .. } => *offset,
            Self::Block(extent) => extent.offset,
        }
    }
}

/// The pieces of a file that belong to an item, in their order.
pub struct Pieces {
    view: View,
    item: Item,
    page: VecDeque<Piece>,
    next: Option<u64>,
}

impl Pieces {
    /// Begins with the first piece of the item.
    ///
    /// # Errors
    /// The LIN is not there, or the store failed.
    pub fn new(view: &View, item: Item) -> Result<Self, Failure> {
        let (mut page, mut next) = (VecDeque::new(), None);
        match view.content(item.lin)? {
            StoredContent::Inline(bytes) if item.holds(0) && !bytes.is_empty() => {
                page.push_back(Piece::Inline { offset: 0, bytes });
            }
            StoredContent::Extents => next = Some(item.from),
            StoredContent::Inline(_)
            | StoredContent::Entries
            | StoredContent::Target(_)
            | StoredContent::Nothing
            | StoredContent::Device(_) => {}
        }
        Ok(Self { view: view.clone(), item, page, next })
    }

    /// No pieces: those of a LIN that is not there, or not in the set.
    #[must_use]
    pub fn none(view: &View, lin: Lin) -> Self {
        Self { view: view.clone(), item: Item::whole(lin), page: VecDeque::new(), next: None }
    }

    /// The next piece, without taking it.
    ///
    /// # Errors
    /// The store failed.
    pub fn peek(&mut self) -> Result<Option<&Piece>, Failure> {
        while self.page.is_empty() && self.next.is_some() {
            self.read_page()?;
        }
        Ok(self.page.front())
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// The store failed.
    pub fn take(&mut self) -> Result<Option<Piece>, Failure> {
        self.peek()?;
        Ok(self.page.pop_front())
    }

    fn read_page(&mut self) -> Result<(), Failure> {
        let Some(from) = self.next.take() else { return Ok(()) };
        let Runs { runs, next, .. } = self.view.runs(self.item.lin, from, PAGE)?;
        self.next = next.filter(|&next| self.item.until.is_none_or(|until| next < until));
        self.page.extend(runs.into_iter().map(Piece::from).filter(|piece| self.item.holds(piece.offset())));
        Ok(())
    }
}

impl From<Run> for Piece {
    fn from(run: Run) -> Self {
        match run {
            Run::Block(extent) => Self::Block(extent),
            Run::Tail(Tail { offset, bytes }) => Self::Inline { offset, bytes },
        }
    }
}
