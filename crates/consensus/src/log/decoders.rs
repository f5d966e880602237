//! What the log reads from the disk, as functions of bytes: for the fuzzer.
//!
//! Chance finds no checksum that fits. So each reader also gets the bytes with the checksums mended, as one gets them who
//! writes the files on purpose.

use std::path::PathBuf;

use bytes::Bytes;
use runtime::Files;
use types::NodeId;

use super::committed_file::{self, SLOT_LENGTH};
use super::entry::from_record;
use super::fields::take_u32;
use super::record::{BODY_LENGTH_MAX, HEADER_LENGTH, Header, Kind, Record};
use super::segment::{self, Origin, SEGMENT_HEADER_LENGTH};
use super::vote_file::{VoteFile, VoteRecord};
use crate::position::Position;

const NODE: NodeId = NodeId(3);
const CRC_LENGTH: usize = 4;

/// A segment of the log.
pub fn segment(bytes: &[u8]) {
    read_segment(&Bytes::copy_from_slice(bytes));
    read_segment(&Bytes::from(with_checksums(bytes)));
}

/// A segment with one record of each kind.
#[must_use]
pub fn segment_example() -> Vec<u8> {
    let position = |index| Position { term: 2, leader: 1, index };
    let mut bytes = segment::encode_header(NODE, Some(position(4)), Origin::Continues);
    let bodies = [(Kind::Blank, Bytes::new()), (Kind::Batch, Bytes::from_static(b"a batch"))];
    for (index, (kind, body)) in (5..).zip(bodies) {
        let durable = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Record { position: position(index), kind, body }.encode(durable, &mut bytes);
    }
    bytes
}

/// The file of the vote, and the one that says how far the log is committed.
pub fn small_files(bytes: &[u8]) {
    let vote = VoteFile::new(&Files::real(), PathBuf::new(), NODE);
    for bytes in [bytes.to_vec(), with_last_checksum(bytes)] {
        if let Some(Some(read)) = vote.decode(&bytes) {
            assert_eq!(vote.decode(&vote.encode(Some(read))), Some(Some(read)));
        }
    }
    for slot in bytes.chunks(SLOT_LENGTH) {
        let _ = committed_file::decode(slot);
        let _ = committed_file::decode(&with_last_checksum(slot));
    }
}

/// The small files with something in them.
#[must_use]
pub fn small_file_examples() -> Vec<Vec<u8>> {
    let vote = VoteFile::new(&Files::real(), PathBuf::new(), NODE);
    let voted = VoteRecord { term: 7, leader: 3, elected: true };
    let slot = committed_file::encode(9, Position { term: 2, leader: 1, index: 40 });
    vec![vote.encode(None), vote.encode(Some(voted)), slot]
}

fn read_segment(bytes: &Bytes) {
    let _ = segment::decode_header(bytes, NODE);
    let mut offset = SEGMENT_HEADER_LENGTH as u64;
    while let Some((header, record)) = segment::record_at(bytes, offset) {
        let mut again = Vec::new();
        record.encode(header.durable, &mut again);
        assert_eq!(Header::decode(&again), Some(header), "a header comes back as it was");
        offset += record.length() as u64;
        let _ = from_record(record);
    }
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    segment::was_durable(rest, offset);
}

/// The bytes with the checksums of header and records as they have to be.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let (head, mut rest) = bytes.split_at(SEGMENT_HEADER_LENGTH.min(bytes.len()));
    let mut mended = with_last_checksum(head);
    while rest.len() >= HEADER_LENGTH {
        let (header, body) = rest.split_at(HEADER_LENGTH);
        let length = take_u32(header, 32).map_or(0, |length| length as usize).min(BODY_LENGTH_MAX);
        let (body, after) = body.split_at(length.min(body.len()));
        let mut header = header.to_vec();
        header.splice(36..40, crc32fast::hash(body).to_le_bytes());
        mended.extend(with_last_checksum(&header));
        mended.extend_from_slice(body);
        rest = after;
    }
    mended.extend_from_slice(rest);
    mended
}

/// The bytes, the last four of which are the CRC-32 of those before.
fn with_last_checksum(bytes: &[u8]) -> Vec<u8> {
    let checked = bytes.get(..bytes.len().saturating_sub(CRC_LENGTH)).unwrap_or_default();
    [checked, &crc32fast::hash(checked).to_le_bytes()].concat()
}
