//! Copies of blocks: those that are to be deleted, and those that are to be made.

use super::Checker;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::{Key as _, KeyRange, ShortKey};
use crate::read::Read as _;
use crate::tables::{Blocks, Freed, Pgs, Short};

impl<R: Rows> Checker<'_, R> {
    /// A copy to be deleted is not also to be made, and of no block in use.
    pub(super) fn freed(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Freed>(KeyRange::all()) {
            let (key, freed) = row?;
            let short = ShortKey { pg: freed.pg, block: key.block, holder: key.holder };
            let short = self.rows.row::<Short>(&short)?;
            self.expect(short.is_none(), Family::Freed, &key.encode(), "the copy is also missing");
            let in_use = self.rows.row::<Blocks>(&key.block)?.is_some();
            self.expect(!in_use, Family::Freed, &key.encode(), "its block is in use");
        }
        Ok(())
    }

    /// A copy to be made is one of a block in use, and whoever lacks it has a seat.
    pub(super) fn short(&mut self) -> Result<(), StoreError> {
        for row in self.rows.rows::<Short>(KeyRange::all()) {
            let (key, _) = row?;
            let in_use = self.rows.row::<Blocks>(&key.block)?.is_some();
            self.expect(in_use, Family::Short, &key.encode(), "its block is not in use");
            let group = self.rows.row::<Pgs>(&key.pg)?;
            let seated = group.is_some_and(|group| group.seats.iter().any(|seat| seat.node == key.holder));
            self.expect(seated, Family::Short, &key.encode(), "the node has no seat in the placement group");
        }
        Ok(())
    }
}
