//! What the writer is asked for.

use bytes::Bytes;
use runtime::BytePermit;
use tokio::sync::oneshot;
use types::BlockId;

use crate::BlockStoreError;
use crate::index::{Row, RowState};
use crate::record::RecordHeader;
use crate::segment::SegmentNumber;

/// One thing to do.
pub(crate) enum Command {
    /// Make blocks durable.
    Put(Put),
    /// Let go of blocks.
    Remove { ids: Vec<BlockId>, reply: Reply },
    /// Copy what is needed out of a segment.
    Carry(Carried),
    /// Forget that a segment has dead records of blocks: it is gone.
    FillGraves { segment: SegmentNumber, ids: Vec<BlockId>, reply: Reply },
    /// Forget a segment that is gone.
    Forget { segment: SegmentNumber, reply: Reply },
    /// Take a block out of those that are held, because its bytes are bad, or back, because they are good.
    Judge { id: BlockId, row: Row, state: RowState },
    /// Find the end of the log again after a write or sync has failed.
    Reopen { reply: Reply },
    /// Stop.
    Close,
}

/// Blocks that are made durable together.
pub(crate) struct Put {
    pub(crate) records: Vec<NewRecord>,
    /// The right to hold their bytes in memory.
    pub(crate) permit: BytePermit,
    pub(crate) reply: Reply,
}

/// What is copied out of a segment together.
pub(crate) struct Carried {
    pub(crate) from: SegmentNumber,
    /// With the rows that they were read by: one that is another by now is not copied.
    pub(crate) blocks: Vec<(Row, NewRecord)>,
    /// Blocks whose tombstones are there.
    pub(crate) tombstones: Vec<BlockId>,
    /// The right to hold the bytes in memory.
    pub(crate) permit: BytePermit,
    pub(crate) reply: Reply,
}

/// A checked block.
#[derive(Debug)]
pub(crate) struct NewRecord {
    pub(crate) header: RecordHeader,
    pub(crate) payload: Bytes,
}

/// Where the answer goes.
pub(crate) struct Reply(pub(crate) oneshot::Sender<Result<(), BlockStoreError>>);

impl Put {
    pub(crate) fn ids(&self) -> impl Iterator<Item = BlockId> {
        self.records.iter().map(|record| record.header.id)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.records.iter().map(|record| record.header.record_length()).sum()
    }
}

impl Reply {
    pub(crate) fn send(self, answer: Result<(), BlockStoreError>) {
        // Nobody waits any more if the caller was dropped.
        let _ = self.0.send(answer);
    }
}
