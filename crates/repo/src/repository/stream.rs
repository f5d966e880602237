//! The rows of one backup.

use std::sync::Arc;

use types::{Epoch, SetId};

use crate::RepoError;
use crate::merge::Merge;
use crate::rows::{Row, Version};

/// Which versions one backup sees.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) set: SetId,
    pub(super) epoch: Epoch,
    pub(super) voids: Arc<[Epoch]>,
}

impl Sight {
    fn sees<R: Version>(&self, row: &R) -> bool {
        row.set() == self.set && Row::from(row) <= self.epoch && !self.voids.contains(&Row::from(row))
    }
}

/// Gives the rows that one backup holds, in the order of their keys.
pub struct RowStream<R: Row> {
    merge: Merge<R>,
    sight: Sight,
}

impl<R: Version> RowStream<R> {
    pub(super) fn new(merge: Merge<R>, sight: Sight) -> Self {
        Self { merge, sight }
    }

    /// The next row: of each key the newest version that the backup sees, unless that says that the key is gone.
    ///
    /// # Errors
    /// A run is missing or damaged, or the site failed.
    pub async fn next(&mut self) -> Result<Option<R>, RepoError> {
        while let Some(mut newest) = self.merge.next().await? {
            let mut is_seen = self.sight.sees(&newest);
            while self.merge.peek().is_some_and(|row| row.key() == newest.key()) {
                let Some(row) = self.merge.next().await? else { break };
                if self.sight.sees(&row) {
                    (newest, is_seen) = (row, true);
                }
            }
            if is_seen && !newest.is_removal() {
                return Ok(Some(newest));
            }
        }
        Ok(None)
    }
}
