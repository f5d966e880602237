//! The values of the index, as functions of bytes: for the fuzzer.

use types::{Digest, PgId, VolumeId};
use uuid::Uuid;

use super::row::{Covered, Row, RowState, SegmentUse, has_version, parse_tombstone, tombstone_to_bytes};
use crate::segment::SegmentNumber;

/// A value of any kind: one that is read has one encoding, and nothing behind it.
pub fn value(bytes: &[u8]) {
    let as_kinds = [
        Row::parse(bytes).map(Row::to_bytes),
        SegmentUse::parse(bytes).map(SegmentUse::to_bytes),
        Covered::parse(bytes).map(Covered::to_bytes),
        parse_tombstone(bytes).map(tombstone_to_bytes),
    ];
    for again in as_kinds.into_iter().flatten() {
        assert_eq!(again, bytes, "a value comes back as it was");
        assert!(has_version(bytes));
    }
}

/// A value of each kind.
#[must_use]
pub fn value_examples() -> Vec<Vec<u8>> {
    let (segment, volume) = (SegmentNumber(2), VolumeId(Uuid::from_u128(7)));
    let (state, pg, digest) = (RowState::Held, PgId(6), Digest([7; 32]));
    vec![
        Row { state, segment, offset: 56, payload_length: 4, plain_length: 5, pg, digest }.to_bytes(),
        SegmentUse { live_blocks: 1, live_bytes: 200, quarantined: 3, tombstones: 4, length: 500 }.to_bytes(),
        Covered { volume, segment, offset: 9 }.to_bytes(),
        tombstone_to_bytes(segment),
    ]
}
