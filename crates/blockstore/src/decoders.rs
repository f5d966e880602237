//! What this crate reads from its files, as functions of bytes: for the fuzzer (crate `fuzz`), and for nobody else.
//!
//! Chance finds no checksum that fits. So each reader also gets the bytes with the checksums mended, as one gets them who
//! writes the files on purpose.

use types::{BlockId, Digest, PgId, SessionId, VolumeId};
use uuid::Uuid;

use crate::gone::Gone;
use crate::record::{Place, RECORD_HEADER_LENGTH, RecordHeader, RecordKind};
use crate::segment::{SEGMENT_HEADER_LENGTH, SegmentHeader, SegmentId, SegmentNumber};
use crate::{ScrubProgress, identity};

pub use crate::index::decoders::{value as index_value, value_examples as index_value_examples};

const SEGMENT: SegmentId = SegmentId { volume: VolumeId(Uuid::from_u128(7)), number: SegmentNumber(2) };
const PLACE: Place = Place { segment: SEGMENT, offset: SEGMENT_HEADER_LENGTH };
const CRC_LENGTH: usize = 4;

/// The header of a record.
pub fn record(bytes: &[u8]) {
    let head = bytes.get(..RECORD_HEADER_LENGTH).unwrap_or(bytes);
    for bytes in [head.to_vec(), with_checksum(head, |covered| PLACE.checksum(covered))] {
        if let Some(header) = RecordHeader::parse(&bytes, PLACE) {
            assert!(header.record_length() % 8 == 0 && header.record_length() < 5 << 20, "{header:?}");
            assert_eq!(RecordHeader::parse(&header.to_bytes(PLACE), PLACE), Some(header), "it comes back as it was");
        }
    }
}

/// The headers of a block and of a tombstone.
#[must_use]
pub fn record_examples() -> Vec<Vec<u8>> {
    let id = BlockId { session: SessionId(3), sequence: 4 };
    let block = RecordHeader {
        kind: RecordKind::Block,
        pg: PgId(5),
        digest: Digest([6; 32]),
        plain_length: 7000,
        payload_length: 800,
        payload_crc: 9,
        synced_before: 4096,
        ..RecordHeader::tombstone(id)
    };
    [block, RecordHeader::tombstone(id)].map(|header| header.to_bytes(PLACE).to_vec()).into()
}

/// The header of a segment, and the small files of a volume: its identity, the segments that are gone, how far the scrub is.
pub fn segment(bytes: &[u8]) {
    for bytes in [bytes.to_vec(), with_checksum(bytes, crc32fast::hash)] {
        if let Some(header) = SegmentHeader::parse(&bytes) {
            assert_eq!(SegmentHeader::parse(&header.to_bytes()), Some(header), "it comes back as it was");
        }
        if let Ok(volume) = identity::parse(&bytes) {
            assert_eq!(identity::parse(&identity::encode(volume)), Ok(volume));
        }
        if let Some(gone) = Gone::parse(&bytes, SEGMENT.volume) {
            assert_eq!(Gone::parse(&gone.to_bytes(SEGMENT.volume), SEGMENT.volume), Some(gone));
        }
        if let Some(progress) = ScrubProgress::parse(&bytes, SEGMENT.volume) {
            assert_eq!(ScrubProgress::parse(&progress.to_bytes(SEGMENT.volume), SEGMENT.volume), Some(progress));
        }
    }
}

/// One of each.
#[must_use]
pub fn segment_examples() -> Vec<Vec<u8>> {
    let header = SegmentHeader { id: SEGMENT, previous_length: 4096 };
    let mut gone = Gone::default();
    [1, 2, 5].into_iter().for_each(|number| gone.insert(SegmentNumber(number)));
    let after = Some(BlockId { session: SessionId(3), sequence: 4 });
    let progress = ScrubProgress { after, bytes: 5, began_seconds: 6, completed_seconds: Some(7) };
    vec![
        header.to_bytes().to_vec(),
        identity::encode(SEGMENT.volume),
        gone.to_bytes(SEGMENT.volume),
        progress.to_bytes(SEGMENT.volume),
    ]
}

/// The bytes, the last four of which are the checksum of those before.
fn with_checksum(bytes: &[u8], checksum: impl FnOnce(&[u8]) -> u32) -> Vec<u8> {
    let covered = bytes.get(..bytes.len().saturating_sub(CRC_LENGTH)).unwrap_or_default();
    [covered, &checksum(covered).to_le_bytes()].concat()
}
