//! Where the bytes of a file are.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{BlockId, Digest, NodeId, PgId, PgVersion, Revision};

/// The most plain bytes of a block.
pub const BLOCK_LENGTH_MAX: u32 = 4 << 20;
/// The longest content that is kept in the inode itself, in bytes.
pub const INLINE_LENGTH_MAX: usize = 4096;
/// The most bytes at the end of a file that lie in the state until they are cut into blocks (rule P16).
pub const TAIL_LENGTH_MAX: usize = 64 << 10;

/// A range of a file mapped to a range of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length of the range, in bytes; never zero.
    pub length: u32,
    /// The block that holds the bytes.
    pub block: BlockId,
    /// Where the range begins within the block's plain bytes.
    pub block_offset: u32,
    /// The plain length of the whole block, in bytes.
    pub block_length: u32,
    /// The digest of the whole block's plain bytes.
    pub digest: Digest,
    /// The placement group whose seats hold the block.
    pub pg: PgId,
}

/// Seats of one placement group, one bit a seat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SeatSet(pub u16);

impl SeatSet {
    /// The set with the seat of that index added. Seats beyond the sixteenth do not exist.
    #[must_use]
    pub const fn with(self, seat: usize) -> Self {
        if seat < 16 { Self(self.0 | (1 << seat)) } else { self }
    }

    /// Whether the seat of that index is in the set.
    #[must_use]
    pub const fn contains(self, seat: usize) -> bool {
        seat < 16 && self.0 & (1 << seat) != 0
    }
}

/// An extent that a client asks to publish, with the proof that its block is on disk (rule P12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewExtent {
    /// What is to be published.
    pub extent: Extent,
    /// The membership of the placement group that the block was put to.
    pub pg_version: PgVersion,
    /// The seats that acknowledged the put.
    pub acknowledged: SeatSet,
}

/// An extent as the state store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedExtent {
    /// The mapping.
    pub extent: Extent,
    /// The revision at which the block was first published; only this decides which snapshots see it (rule P7).
    pub block_born: Revision,
}

/// Bytes of a file that lie in the state itself: small appends, until they are cut into a block (rule P16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// The bytes; never none, at most [`TAIL_LENGTH_MAX`].
    pub bytes: Bytes,
}

/// A range of a file that is no hole, and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// In a block.
    Block(Extent),
    /// Here.
    Tail(Tail),
}

impl Run {
    /// Where it begins in the file, in bytes.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Block(extent) => extent.offset,
            Self::Tail(tail) => tail.offset,
        }
    }

    /// Where it ends in the file, in bytes.
    #[must_use]
    pub const fn end(&self) -> u64 {
        let length = match self {
            Self::Block(extent) => extent.length as u64,
            Self::Tail(tail) => tail.bytes.len() as u64,
        };
        self.offset().saturating_add(length)
    }

    /// Whether some byte of the file lies in both.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.offset() < other.end() && other.offset() < self.end()
    }

    /// What of it lies in a range of the file, the end excluded.
    #[must_use]
    pub fn part(&self, start: u64, end: u64) -> Option<Self> {
        let (start, end) = (start.max(self.offset()), end.min(self.end()));
        let skipped = u32::try_from(start - self.offset()).ok()?;
        let length = u32::try_from(end.checked_sub(start)?).ok().filter(|&length| length > 0)?;
        Some(match self {
            Self::Block(extent) => {
                let block_offset = extent.block_offset.checked_add(skipped)?;
                Self::Block(Extent { offset: start, length, block_offset, ..extent.clone() })
            }
            Self::Tail(tail) => {
                let begin = skipped as usize;
                Self::Tail(Tail { offset: start, bytes: tail.bytes.slice(begin..begin + length as usize) })
            }
        })
    }
}

/// What a search in a file is for (`lseek` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The first byte that is in no hole (`SEEK_DATA`).
    Data,
    /// The first byte in a hole; there is one at the end of every file (`SEEK_HOLE`).
    Hole,
}

/// A copy that a holder should have and did not acknowledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortCopy {
    /// The placement group.
    pub pg: PgId,
    /// The block.
    pub block: BlockId,
    /// Who lacks it.
    pub holder: NodeId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionId;

    #[test]
    fn the_part_of_a_run_keeps_its_bytes() {
        let block = BlockId { session: SessionId(1), sequence: 2 };
        let extent = Extent {
            offset: 100,
            length: 10,
            block,
            block_offset: 7,
            block_length: 20,
            digest: Digest::default(),
            pg: PgId(1),
        };
        let (block, tail) = (Run::Block(extent.clone()), Run::Tail(Tail { offset: 100, bytes: "0123456789".into() }));
        let inside = Extent { offset: 103, length: 4, block_offset: 10, ..extent };
        assert_eq!(block.part(103, 107), Some(Run::Block(inside)));
        assert_eq!(tail.part(103, 107), Some(Run::Tail(Tail { offset: 103, bytes: "3456".into() })));
        for run in [block, tail] {
            assert_eq!(run.part(0, u64::MAX), Some(run.clone()));
            assert_eq!([run.part(0, 100), run.part(110, 200), run.part(105, 105)], [None, None, None]);
        }
    }
}
