//! Extents and tails: within their file and their block, apart from each other.

use types::TAIL_LENGTH_MAX;

use super::{Checker, UNNOTED};
use crate::database::Rows;
use crate::error::StoreError;
use crate::extents::end_of;
use crate::family::Family;
use crate::history::{Moment, version, versions};
use crate::keys::{ExtentKey, Key as _, KeyRange};
use crate::meta;
use crate::orphans::Taken;
use crate::read::Read as _;
use crate::rows::{Body, ExtentRow, RunRow};
use crate::tables::{Extents, Inodes, Orphans, Pgs};

impl<R: Rows> Checker<'_, R> {
    /// Extents lie within their file, in order and apart; those of no file are orphans.
    pub(super) fn extents(&mut self) -> Result<(), StoreError> {
        let mut before: Option<(ExtentKey, u64)> = None;
        for row in versions::<Extents>(self.rows, Moment::Head, KeyRange::all()) {
            let (key, extent) = row?;
            let bytes = key.encode();
            let end = end_of(key.offset, &extent.row);
            let inode = version::<Inodes>(self.rows, Moment::Head, &key.content.lin)?;
            let orphan = Taken::of(self.rows, key.content)?.death(key.offset, extent.revision).is_some();
            match inode.filter(|inode| inode.row.body == Body::Extents(key.content.since)) {
                _ if orphan => {}
                Some(inode) => {
                    self.expect(end <= inode.row.size, Family::Extent, &bytes, "it reaches beyond its file");
                    self.expect(extent.revision <= inode.revision, Family::Extent, &bytes, UNNOTED);
                }
                None => self.fault(Family::Extent, &bytes, "it is of no file, and no orphan"),
            }
            let apart = before.is_none_or(|(before, end)| before.content != key.content || end <= key.offset);
            self.expect(apart, Family::Extent, &bytes, "it overlaps the one before it");
            match &extent.row {
                RunRow::Block(row) => self.extent(&bytes, row)?,
                RunRow::Tail(tail) => {
                    let fits = (1..=TAIL_LENGTH_MAX).contains(&tail.len());
                    self.expect(fits, Family::Extent, &bytes, "its bytes are none, or more than a tail has");
                }
            }
            before = Some((key, end));
        }
        let orphans = self.rows.rows::<Orphans>(KeyRange::all()).count() as u64;
        let counted = meta::progress(self.rows)?.orphans;
        let reason = format!("there are {orphans} orphans and not {counted}");
        self.expect(counted == orphans, Family::Meta, meta::PROGRESS_KEY, reason);
        Ok(())
    }

    fn extent(&mut self, key: &[u8], row: &ExtentRow) -> Result<(), StoreError> {
        let end = u64::from(row.block_offset) + u64::from(row.length);
        let fits = row.length > 0 && end <= u64::from(row.block_length);
        self.expect(fits, Family::Extent, key, "it does not lie within its block");
        let pg = self.rows.row::<Pgs>(&row.pg)?;
        self.expect(pg.is_some(), Family::Extent, key, "its placement group is not there");
        Ok(())
    }
}
