//! Finds the records of a segment, and what is between them that is none.

use std::ops::Range;

use runtime::{File, FileError};

use crate::index::Row;
use crate::record::{Place, RECORD_ALIGNMENT, RECORD_HEADER_LENGTH, RECORD_MAGIC, RecordHeader};
use crate::segment::SegmentId;

/// How much is read at once while a record is searched behind damage.
const SEARCH_BYTES: usize = 1 << 20;
/// What file systems allocate in.
const PAGE_BYTES: u64 = 4096;

/// An open segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) file: File,
}

/// What a segment holds, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Where each record begins, and its header.
    pub(crate) records: Vec<(u64, RecordHeader)>,
    /// Ranges that hold no record.
    pub(crate) damage: Vec<Range<u64>>,
}

impl Segment {
    /// Walks from a place where a record begins, or should, to the end of the file. Payloads are not looked at.
    pub(crate) fn walk(&self, from: u64) -> Result<Walk, FileError> {
        let end = self.file.len()?;
        let mut walk = Walk::default();
        let mut offset = from;
        while offset < end {
            offset = match self.header(offset)? {
                Some(header) if header.record_length() <= end - offset => {
                    walk.records.push((offset, header));
                    offset + header.record_length()
                }
                _ => {
                    let next = self.next_record(offset + RECORD_ALIGNMENT, end)?.unwrap_or(end);
                    walk.damage.push(offset..next);
                    next
                }
            };
        }
        Ok(walk)
    }

    /// The header of the record that begins there, if one does.
    pub(crate) fn header(&self, offset: u64) -> Result<Option<RecordHeader>, FileError> {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        self.file.read_at(offset, &mut bytes)?;
        Ok(RecordHeader::parse(&bytes, self.place(offset)))
    }

    /// Whether the payload behind a header is the one that was written.
    pub(crate) fn payload_is_whole(&self, offset: u64, header: &RecordHeader) -> Result<bool, FileError> {
        let mut payload = vec![0; header.payload_length as usize];
        let read = self.file.read_at(offset + RECORD_HEADER_LENGTH as u64, &mut payload)?;
        Ok(read == payload.len() && crc32fast::hash(&payload) == header.payload_crc)
    }

    pub(crate) const fn place(&self, offset: u64) -> Place {
        Place { segment: self.id, offset }
    }

    /// Gives the whole pages of a record's payload back to the file system. Its header stays, so that a walk finds the
    /// next record.
    pub(crate) fn punch_payload(&self, row: &Row) -> Result<(), FileError> {
        let begin = (row.offset + RECORD_HEADER_LENGTH as u64).next_multiple_of(PAGE_BYTES);
        let end = (row.offset + row.record_length()) / PAGE_BYTES * PAGE_BYTES;
        if begin < end { self.file.punch_hole(begin, end - begin) } else { Ok(()) }
    }

    fn next_record(&self, from: u64, end: u64) -> Result<Option<u64>, FileError> {
        let mut buffer = vec![0; SEARCH_BYTES + RECORD_HEADER_LENGTH];
        for offset in (from..end).step_by(SEARCH_BYTES) {
            let read = self.file.read_at(offset, &mut buffer)?;
            let found = buffer.get(..read).and_then(|bytes| self.first_record(offset, bytes));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Where the first record begins in bytes read from `offset`.
    fn first_record(&self, offset: u64, bytes: &[u8]) -> Option<u64> {
        let begins = (0..bytes.len()).step_by(RECORD_ALIGNMENT as usize);
        begins
            .filter_map(|skipped| Some((offset + skipped as u64, bytes.get(skipped..)?)))
            .filter(|(_, rest)| rest.starts_with(&RECORD_MAGIC))
            .find(|(offset, rest)| RecordHeader::parse(rest, self.place(*offset)).is_some())
            .map(|(offset, _)| offset)
    }
}

impl Walk {
    /// Up to where the records themselves say that the segment was synced.
    pub(crate) fn synced_end(&self) -> u64 {
        self.records.iter().map(|(_, header)| header.synced_before).max().unwrap_or(0)
    }

    /// Where the tail was cut by a crash, if it was: the first thing behind the synced part that is not whole.
    pub(crate) fn tail_cut(&self, segment: &Segment, synced_end: u64) -> Result<Option<u64>, FileError> {
        let damage = self.damage.iter().map(|range| range.start).find(|begin| *begin >= synced_end);
        for (offset, header) in self.records.iter().filter(|(offset, _)| *offset >= synced_end) {
            if damage.is_some_and(|damage| damage < *offset) {
                break;
            }
            if !segment.payload_is_whole(*offset, header)? {
                return Ok(Some(*offset));
            }
        }
        Ok(damage)
    }

    /// Forgets what begins at or behind that offset.
    pub(crate) fn forget_from(&mut self, offset: u64) {
        self.records.retain(|(begin, _)| *begin < offset);
        self.damage.retain(|range| range.start < offset);
    }
}
