//! The segment that is being written.

use runtime::FileError;

use crate::record::{Place, RECORD_ALIGNMENT, RecordHeader};
use crate::segment::SegmentNumber;
use crate::walk::Segment;

/// Records are gathered up to this before they go to the file.
const BUFFER_BYTES: usize = 4 << 20;

/// The newest segment, and what of it is where.
#[derive(Debug)]
pub(crate) struct ActiveSegment {
    segment: Segment,
    /// Bytes that are not in the file yet; they belong behind `written`.
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
}

impl ActiveSegment {
    /// Goes on with a segment that is on the medium up to `length`, and has nothing behind it.
    pub(crate) const fn new(segment: Segment, length: u64) -> Self {
        Self { segment, buffer: Vec::new(), written: length, synced: length }
    }

    pub(crate) const fn number(&self) -> SegmentNumber {
        self.segment.id.number
    }

    /// How long the segment is with all that was appended.
    pub(crate) const fn length(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// How many bytes are not in the file yet.
    pub(crate) const fn unwritten(&self) -> u64 {
        self.buffer.len() as u64
    }

    /// Whether all that was appended is on the medium.
    pub(crate) const fn is_synced(&self) -> bool {
        self.synced == self.length()
    }

    /// Appends a record and gives where it begins. It is safe after [`ActiveSegment::sync`].
    pub(crate) fn append(&mut self, header: RecordHeader, payload: &[u8]) -> Result<u64, FileError> {
        let offset = self.length();
        let header = RecordHeader { synced_before: self.synced, ..header };
        self.buffer.extend_from_slice(&header.to_bytes(Place { segment: self.segment.id, offset }));
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(self.buffer.len().next_multiple_of(RECORD_ALIGNMENT as usize), 0);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        Ok(offset)
    }

    /// Brings all that was appended to the medium.
    pub(crate) fn sync(&mut self) -> Result<(), FileError> {
        self.write_out()?;
        self.segment.file.sync_data()?;
        self.synced = self.written;
        Ok(())
    }

    /// Forgets what was appended since the last sync.
    pub(crate) fn cut_back(&mut self) -> Result<(), FileError> {
        self.buffer.clear();
        self.segment.file.set_len(self.synced)?;
        self.segment.file.sync_data()?;
        self.written = self.synced;
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), FileError> {
        self.segment.file.write_all_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
