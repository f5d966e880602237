//! Finds the records of a segment, and what is between them that is none.

use std::ops::Range;

use runtime::{File, FileError};

use crate::index::Row;
use crate::record::{Place, RECORD_ALIGNMENT, RECORD_HEADER_LENGTH, RECORD_MAGIC, RecordHeader};
use crate::segment::{SEGMENT_HEADER_LENGTH, SegmentHeader, SegmentId};

/// How much is read at once while a record is searched behind damage, or bytes are written again.
const SEARCH_BYTES: usize = 1 << 20;
/// What file systems allocate in.
const PAGE_BYTES: u64 = 4096;

/// An open segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) id: SegmentId,
    pub(crate) file: File,
}

/// One thing that a walk finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A record; its payload was not looked at.
    Record { offset: u64, header: RecordHeader },
    /// A range that holds no record.
    Damage(Range<u64>),
}

/// A walk from record to record; it ends at the first error of the disk.
pub(crate) struct Walk<'a> {
    segment: &'a Segment,
    offset: u64,
    end: u64,
}

impl Segment {
    /// Walks from a place where a record begins, or should, to the end of the file.
    pub(crate) fn walk(&self, from: u64) -> Result<Walk<'_>, FileError> {
        Ok(Walk { segment: self, offset: from, end: self.file.len()? })
    }

    /// Where the tail was cut by a crash, if it was: the first thing behind the synced part that is not whole.
    pub(crate) fn tail_cut(&self, known_synced: u64) -> Result<Option<u64>, FileError> {
        for found in self.unsynced(known_synced)? {
            if !self.is_whole(found.begin())? {
                return Ok(Some(found.begin()));
            }
        }
        Ok(None)
    }

    /// Makes durable what no record says was synced. These bytes may have come from the page cache alone: the process was
    /// killed before its sync, or the sync failed, after which the kernel takes the pages for clean and no later sync
    /// writes them. So they are written again, the same bytes, before anything is built on them. Space that was given
    /// back in there is taken again; the replay gives it back.
    pub(crate) fn make_durable(&self, known_synced: Option<u64>) -> Result<(), FileError> {
        let end = self.file.len()?;
        if known_synced.is_none() {
            self.rewrite(0..SEGMENT_HEADER_LENGTH.min(end))?;
        }
        let unsynced = self.unsynced(known_synced.unwrap_or(SEGMENT_HEADER_LENGTH))?;
        if let Some(first) = unsynced.first() {
            self.rewrite(first.begin()..end)?;
        }
        self.file.sync_data()
    }

    fn rewrite(&self, range: Range<u64>) -> Result<(), FileError> {
        let mut begin = range.start;
        while begin < range.end {
            let length = (range.end - begin).min(SEARCH_BYTES as u64);
            let bytes = self.file.read_exact_at(begin, length as usize)?;
            self.file.write_all_at(begin, &bytes)?;
            begin += length;
        }
        Ok(())
    }

    /// What lies behind the part that the records themselves say was synced: at most one batch.
    fn unsynced(&self, known_synced: u64) -> Result<Vec<Found>, FileError> {
        let mut synced = known_synced;
        let mut unsynced = Vec::new();
        for found in self.walk(known_synced)? {
            let found = found?;
            if found.synced_before() > synced {
                synced = found.synced_before();
                unsynced.retain(|earlier: &Found| earlier.begin() >= synced);
            }
            unsynced.push(found);
        }
        Ok(unsynced)
    }

    /// Whether a whole record begins there. A medium that does not give the bytes is an error here: what was not seen is
    /// not cut off.
    fn is_whole(&self, offset: u64) -> Result<bool, FileError> {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        self.file.read_at(offset, &mut bytes)?;
        let Some(header) = RecordHeader::parse(&bytes, self.place(offset)) else { return Ok(false) };
        let mut payload = vec![0; header.payload_length as usize];
        let read = self.file.read_at(offset + RECORD_HEADER_LENGTH as u64, &mut payload)?;
        let is_padded = self.file.len()? >= offset + header.record_length();
        Ok(is_padded && read == payload.len() && crc32fast::hash(&payload) == header.payload_crc)
    }

    /// What the segment says of itself; none if that is damaged.
    pub(crate) fn own_header(&self) -> Result<Option<SegmentHeader>, FileError> {
        let mut bytes = [0; SEGMENT_HEADER_LENGTH as usize];
        self.read(0, &mut bytes)?;
        Ok(SegmentHeader::parse(&bytes))
    }

    /// Gives the whole pages of a record's payload back to the file system. Its header stays, so that a walk finds the
    /// next record.
    pub(crate) fn punch_payload(&self, row: &Row) -> Result<(), FileError> {
        let begin = (row.offset + RECORD_HEADER_LENGTH as u64).next_multiple_of(PAGE_BYTES);
        let end = (row.offset + row.record_length()) / PAGE_BYTES * PAGE_BYTES;
        if begin < end { self.file.punch_hole(begin, end - begin) } else { Ok(()) }
    }

    pub(crate) const fn place(&self, offset: u64) -> Place {
        Place { segment: self.id, offset }
    }

    /// Reads up to the buffer's length. Pages that the medium does not give read as zeros: one bad sector is damage like
    /// any other, and must not keep the whole volume closed.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
        match self.file.read_at(offset, buffer) {
            Err(error) if error.is_medium() => self.read_pages(offset, buffer),
            done => done,
        }
    }

    fn read_pages(&self, mut offset: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
        buffer.fill(0);
        let begin = offset;
        for page in buffer.chunks_mut(PAGE_BYTES as usize) {
            offset += match self.file.read_at(offset, page) {
                Err(error) if error.is_medium() => page.len(),
                done => done?,
            } as u64;
        }
        Ok(usize::try_from(offset - begin).expect("no more was read than the buffer has"))
    }

    fn record_header(&self, offset: u64) -> Result<Option<RecordHeader>, FileError> {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        self.read(offset, &mut bytes)?;
        Ok(RecordHeader::parse(&bytes, self.place(offset)))
    }

    fn next_record(&self, from: u64, end: u64) -> Result<Option<u64>, FileError> {
        let mut buffer = vec![0; SEARCH_BYTES + RECORD_HEADER_LENGTH];
        for offset in (from..end).step_by(SEARCH_BYTES) {
            let read = self.read(offset, &mut buffer)?;
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

impl Walk<'_> {
    fn look(&self) -> Result<Found, FileError> {
        let Self { segment, offset, end } = *self;
        match segment.record_header(offset)? {
            Some(header) if header.record_length() <= end - offset => Ok(Found::Record { offset, header }),
            _ => {
                let next = segment.next_record(offset + RECORD_ALIGNMENT, end)?;
                Ok(Found::Damage(offset..next.unwrap_or(end)))
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Found, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.end {
            return None;
        }
        let found = self.look();
        self.offset = found.as_ref().map_or(self.end, Found::end);
        Some(found)
    }
}

impl Found {
    pub(crate) const fn begin(&self) -> u64 {
        match self {
            Self::Record { offset, .. } => *offset,
            Self::Damage(range) => range.start,
        }
    }

    pub(crate) const fn end(&self) -> u64 {
        match self {
            Self::Record { offset, header } => *offset + header.record_length(),
            Self::Damage(range) => range.end,
        }
    }

    const fn synced_before(&self) -> u64 {
        match self {
            Self::Record { header, .. } => header.synced_before,
            Self::Damage(_) => 0,
        }
    }
}
