//! The directory of an object's footer: where slots and pages are, and which other objects its rows point to.

use serde::{Deserialize, Serialize};

use crate::Table;
use crate::names::Writer;

/// What an object holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Directory {
    /// The sealed slots, by their numbers.
    pub(crate) slots: Vec<SlotPlace>,
    /// The pages of rows, table by table in the order of [`Table::ALL`], within a table in the order of the rows.
    pub(crate) pages: Vec<PagePlace>,
    /// The objects to which rows point by the numbers 1, 2, …
    pub(crate) references: Vec<Writer>,
}

/// Where a sealed slot is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotPlace {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// Where a page of rows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PagePlace {
    pub(crate) table: Table,
    /// Offset in the object.
    pub(crate) offset: u64,
    /// Length of the sealed page.
    pub(crate) sealed_length: u32,
    /// Length of the opened and decompressed page.
    pub(crate) plain_length: u32,
    /// How many rows it holds.
    pub(crate) rows: u32,
}
