//! Looks through the blocks for damage before somebody needs them.

use types::{BlockId, PgId};

use crate::BlockStoreError;
use crate::reader::{Reader, check};

/// How closely blocks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrubDepth {
    /// The CRC-32 of record and frames: finds what the disk did.
    Checksums,
    /// Also opens the block and takes its digest: finds what we did.
    Digests,
}

/// What one step of a scrub found.
#[derive(Debug)]
pub struct Scrubbed {
    /// Blocks that were read.
    pub blocks: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Those that are bad, which are quarantined, and those that the disk does not give.
    pub bad: Vec<BadBlock>,
    /// Where to go on; none at the end.
    pub next: Option<BlockId>,
}

/// A block that has to be fetched from another holder.
#[derive(Debug)]
pub struct BadBlock {
    /// The block.
    pub id: BlockId,
    /// The placement group whose holders have it; none if it was removed meanwhile.
    pub pg: Option<PgId>,
    /// What is wrong with it.
    pub error: BlockStoreError,
}

impl Reader {
    /// Checks up to `limit` blocks behind `after`, in order of their ids, which is about the order on the disk. Those in
    /// quarantine are looked at again, and held if they are good.
    pub(crate) fn scrub(
        &self,
        after: Option<BlockId>,
        limit: usize,
        depth: ScrubDepth,
    ) -> Result<Scrubbed, BlockStoreError> {
        let ids = self.index.all_ids(after, limit)?;
        let mut scrubbed = Scrubbed { blocks: 0, bytes: 0, bad: Vec::new(), next: None };
        for id in &ids {
            self.scrub_block(*id, depth, &mut scrubbed)?;
        }
        scrubbed.next = ids.last().copied().filter(|_| ids.len() == limit);
        Ok(scrubbed)
    }

    fn scrub_block(&self, id: BlockId, depth: ScrubDepth, scrubbed: &mut Scrubbed) -> Result<(), BlockStoreError> {
        let pg = self.index.row(id)?.map(|row| row.pg);
        match self.scrubbed_length(id, depth) {
            Ok(None) => {}
            Ok(Some(length)) => {
                scrubbed.blocks += 1;
                scrubbed.bytes += length;
            }
            Err(
                error @ (BlockStoreError::Damaged { .. }
                | BlockStoreError::Quarantined { .. }
                | BlockStoreError::Unreadable { .. }),
            ) => scrubbed.bad.push(BadBlock { id, pg, error }),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn scrubbed_length(&self, id: BlockId, depth: ScrubDepth) -> Result<Option<u64>, BlockStoreError> {
        let Some((row, stored)) = self.payload(id)? else { return Ok(None) };
        match check(&row, &stored, depth) {
            Ok(()) => Ok(Some(stored.len() as u64)),
            Err(damage) => Err(self.damaged(id, row, damage)),
        }
    }
}
