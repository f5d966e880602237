//! Keys of the index: big-endian, so that they sort by number.

use types::{BlockId, PgId};

use crate::segment::SegmentNumber;

pub(super) const BLOCKS: &[u8] = b"b";
pub(super) const QUARANTINED: &[u8] = b"q";
pub(super) const SEGMENTS: &[u8] = b"s";
pub(super) const COVERED: &[u8] = b"mcovered";

pub(super) const TOMBSTONES: &[u8] = b"t";

const GROUPS: &[u8] = b"p";
const GRAVES: &[u8] = b"g";

pub(super) fn block(id: BlockId) -> Vec<u8> {
    [BLOCKS, &id.to_bytes()].concat()
}

pub(super) fn quarantined(id: BlockId) -> Vec<u8> {
    [QUARANTINED, &id.to_bytes()].concat()
}

pub(super) fn group(pg: PgId) -> Vec<u8> {
    [GROUPS, &pg.0.to_be_bytes()].concat()
}

pub(super) fn in_group(pg: PgId, id: BlockId) -> Vec<u8> {
    [GROUPS, &pg.0.to_be_bytes(), &id.to_bytes()].concat()
}

pub(super) fn segment(number: SegmentNumber) -> Vec<u8> {
    [SEGMENTS, &number.0.to_be_bytes()].concat()
}

pub(super) fn tombstone(id: BlockId) -> Vec<u8> {
    [TOMBSTONES, &id.to_bytes()].concat()
}

pub(super) fn graves(id: BlockId) -> Vec<u8> {
    [GRAVES, &id.to_bytes()].concat()
}

pub(super) fn grave(id: BlockId, number: SegmentNumber) -> Vec<u8> {
    [GRAVES, &id.to_bytes(), &number.0.to_be_bytes()].concat()
}

/// The segment that a key ends with.
pub(super) fn segment_of(key: &[u8]) -> Option<SegmentNumber> {
    key.last_chunk().copied().map(u64::from_be_bytes).map(SegmentNumber)
}

/// The block that a key ends with.
pub(super) fn block_of(key: &[u8]) -> Option<BlockId> {
    key.last_chunk().copied().map(BlockId::from_bytes)
}
