//! Reads blocks and checks what it read.
//!
//! A block may be removed, and its bytes given back, between the look into the index and the read. So bytes that are bad
//! are damage only if the index still says that they should be there.

use std::sync::Arc;

use block::{BlockError, FrameTable};
use bytes::Bytes;
use tokio::sync::mpsc;
use types::{BlockId, ErrorKind};

use crate::index::{Index, Row};
use crate::record::{RECORD_HEADER_LENGTH, RecordHeader, RecordKind};
use crate::segment_files::SegmentFiles;
use crate::walk::Segment;
use crate::writer::Command;
use crate::{BlockStoreError, Damage};

/// What reads need.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) index: Arc<Index>,
    pub(crate) segments: Arc<SegmentFiles>,
    /// Where damage is reported to.
    pub(crate) writer: mpsc::Sender<Command>,
}

impl Reader {
    /// The stored bytes of a block, checked by the record's CRC-32.
    pub(crate) fn payload(&self, id: BlockId) -> Result<Option<(Row, Bytes)>, BlockStoreError> {
        self.attempt(id, |segment, row| whole_payload(segment, id, row).map(Ok))
    }

    /// A range of a block's plain bytes; only the frames that hold it are read, and checked by their CRC-32.
    pub(crate) fn range(&self, id: BlockId, offset: u32, length: u32) -> Result<Option<Bytes>, BlockStoreError> {
        let found = self.attempt(id, |segment, row| plain_range(segment, id, row, offset, length))?;
        Ok(found.map(|(_, plain)| plain))
    }

    /// Reads once more when the block was moved or removed meanwhile. The inner error is the caller's fault.
    fn attempt<T>(
        &self,
        id: BlockId,
        read: impl Fn(&Segment, &Row) -> Result<Result<T, BlockError>, Damage>,
    ) -> Result<Option<(Row, T)>, BlockStoreError> {
        while let Some(row) = self.index.row(id)? {
            if !row.is_held() {
                return Err(BlockStoreError::Quarantined { id });
            }
            match self.segment(&row)?.and_then(|segment| read(&segment, &row)) {
                Ok(Ok(value)) => return Ok(Some((row, value))),
                Ok(Err(source)) => return Err(BlockStoreError::Range { id, source }),
                Err(damage) if self.index.row(id)? == Some(row) => return Err(self.damaged(id, row, damage)),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// A segment that is not there is damage of its blocks; that it cannot be opened now says nothing about them.
    fn segment(&self, row: &Row) -> Result<Result<Segment, Damage>, BlockStoreError> {
        match self.segments.get(row.segment) {
            Ok(segment) => Ok(Ok(segment)),
            Err(error) if error.is_not_found() => Ok(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the writer, and makes the error.
    pub(crate) fn damaged(&self, id: BlockId, row: Row, source: Damage) -> BlockStoreError {
        tracing::error!(block = %id, segment = row.segment.0, offset = row.offset, error = %source, "a block is damaged");
        // If the queue is full, the next read or scrub finds the damage again.
        let _ = self.writer.try_send(Command::Quarantine { id, row });
        BlockStoreError::Damaged { id, segment: row.segment.0, offset: row.offset, source }
    }
}

fn whole_payload(segment: &Segment, id: BlockId, row: &Row) -> Result<Bytes, Damage> {
    let (header, payload) = front(segment, id, row, row.payload_length as usize)?;
    let (expected, found) = (header.payload_crc, crc32fast::hash(&payload));
    if expected == found { Ok(payload) } else { Err(Damage::Payload { expected, found }) }
}

fn plain_range(
    segment: &Segment,
    id: BlockId,
    row: &Row,
    offset: u32,
    length: u32,
) -> Result<Result<Bytes, BlockError>, Damage> {
    let head_length = FrameTable::head_length(row.plain_length).min(row.payload_length as usize);
    let (_, head) = front(segment, id, row, head_length)?;
    let table = FrameTable::parse(&head)?;
    let stored = match table.stored_range(offset, length) {
        Ok(stored) => stored,
        Err(error) if error.kind() == ErrorKind::InvalidRequest => return Ok(Err(error)),
        Err(error) => return Err(error.into()),
    };
    let begin = row.offset + (RECORD_HEADER_LENGTH + stored.start) as u64;
    let part = segment.file.read_exact_at(begin, stored.len())?;
    Ok(Ok(table.decode_range(offset, length, &part)?))
}

/// The header of a block's record, and the first bytes of its payload.
fn front(segment: &Segment, id: BlockId, row: &Row, length: usize) -> Result<(RecordHeader, Bytes), Damage> {
    let record = Bytes::from(segment.file.read_exact_at(row.offset, RECORD_HEADER_LENGTH + length)?);
    let header = RecordHeader::parse(&record, segment.place(row.offset)).ok_or(Damage::Header)?;
    if header.id != id || header.kind != RecordKind::Block {
        return Err(Damage::OtherBlock { found: header.id });
    }
    if header.payload_length != row.payload_length {
        return Err(Damage::Header);
    }
    Ok((header, record.slice(RECORD_HEADER_LENGTH..)))
}
