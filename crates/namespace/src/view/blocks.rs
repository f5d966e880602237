//! Which blocks are published, and which never will be (rule P10).

use std::collections::BTreeMap;

use types::{BlockId, SessionId};

use super::View;
use crate::error::StoreError;
use crate::read::Read as _;
use crate::tables::{Blocks, Sessions};

/// Which blocks of a session can still be published.
#[derive(Clone, Copy)]
enum Publishable {
    /// None: it has ended, or its lease has run out.
    None,
    /// Those from this number on.
    From(u64),
}

/// What the state knows of blocks. All calls block.
impl View {
    /// Those of some blocks that nothing in the head or in any snapshot uses, and that nothing ever will: their session
    /// has ended, or its mark has passed them.
    ///
    /// However old the view is, this does not change any more: a session that was over stays over, a mark never goes back,
    /// and a block whose last use is gone is not used again. A session that is not there counts as ended only if the view
    /// has seen its number go by; a younger one may just not have reached this node.
    ///
    /// # Errors
    /// The store failed.
    pub fn orphaned_blocks(&self, blocks: &[BlockId]) -> Result<Vec<BlockId>, StoreError> {
        let mut sessions = BTreeMap::new();
        let mut orphaned = Vec::new();
        for &block in blocks {
            let publishable = match sessions.get(&block.session) {
                Some(&known) => known,
                None => *sessions.entry(block.session).or_insert(self.publishable(block.session)?),
            };
            let over = match publishable {
                Publishable::None => true,
                Publishable::From(mark) => block.sequence < mark,
            };
            if over && self.rows.row::<Blocks>(&block)?.is_none() {
                orphaned.push(block);
            }
        }
        Ok(orphaned)
    }

    fn publishable(&self, session: SessionId) -> Result<Publishable, StoreError> {
        // A session's number is the revision of the operation that opened it.
        let known = session.0 <= self.progress.revision.0;
        Ok(match self.rows.row::<Sessions>(&session)? {
            Some(row) if !row.has_expired(self.progress.ticks) => Publishable::From(row.block_mark),
            None if !known => Publishable::From(0),
            Some(_) | None => Publishable::None,
        })
    }
}
