//! Changes of ranges of files.

use serde::{Deserialize, Serialize};

use crate::{Content, Lin, NewExtent, Revision, SnapshotId, Timestamp};

/// What becomes of the length of a file of which a range is cleared (`fallocate` of Linux).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clearing {
    /// It stays (`FALLOC_FL_PUNCH_HOLE`, and `FALLOC_FL_ZERO_RANGE` with `FALLOC_FL_KEEP_SIZE`).
    KeepLength,
    /// The file reaches at least to the end of the range (`FALLOC_FL_ZERO_RANGE`).
    Extend,
}

/// What offsets and lengths of a clone are multiples of.
pub const CLONE_ALIGNMENT: u64 = 4096;

/// Ranges of which the second is to hold what the first one does (`FICLONERANGE` of Linux). Both offsets are multiples of
/// [`CLONE_ALIGNMENT`], and so is the length, unless the first range ends with its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneRange {
    /// The file whose blocks are shared.
    pub from: Lin,
    /// As which snapshot has it; as it is now if there is none.
    pub snapshot: Option<SnapshotId>,
    /// Where the range begins in it.
    pub from_offset: u64,
    /// The file that is to hold the same. It may be the first one, if the ranges do not overlap.
    pub to: Lin,
    /// Where the range begins in it.
    pub to_offset: u64,
    /// How many bytes; the first file has them.
    pub length: u64,
    /// The new modification time of the second file; state time if there is none.
    pub mtime: Option<Timestamp>,
}

/// Content that is to follow what a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Append {
    /// The file.
    pub lin: Lin,
    /// At most [`crate::TAIL_LENGTH_MAX`] bytes, or extents whose offsets are counted from the end of the file.
    pub content: Content,
    /// The new modification time; state time if there is none.
    pub mtime: Option<Timestamp>,
}

/// A range of a file whose bytes are to lie in other blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// The file.
    pub lin: Lin,
    /// Where the range begins. It has no holes.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
    /// The last change of the file that its bytes were read with. If anything in the range is younger, it is refused.
    pub as_of: Revision,
    /// What covers the range, and no more.
    pub extents: Vec<NewExtent>,
}
