//! Reads blocks and checks what it read.
//!
//! A block may be removed, and its bytes given back, between the look into the index and the read. So bytes that are bad
//! are damage only if the index still says that they should be there. A disk that gives no bytes is no damage at all: the
//! caller asks another holder, and the copy stays; it is in doubt until it has been read.

use std::sync::Arc;

use block::{BlockError, FrameTable};
use bytes::Bytes;
use runtime::FileError;
use tokio::sync::mpsc;
use types::{BlockId, ErrorKind, PgId};

use crate::doubts::Doubts;
use crate::index::{Index, Row, RowState};
use crate::record::{RECORD_HEADER_LENGTH, RecordHeader, RecordKind};
use crate::segment_files::SegmentFiles;
use crate::walk::Segment;
use crate::writer::Command;
use crate::{BlockStoreError, Damage, ScrubDepth};

/// What reads need.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) index: Arc<Index>,
    pub(crate) segments: Arc<SegmentFiles>,
    pub(crate) doubts: Arc<Doubts>,
    /// Who is told what was found.
    pub(crate) writer: mpsc::Sender<Command>,
}

impl Reader {
    /// The stored bytes of a block, checked by the record's CRC-32.
    pub(crate) fn payload(&self, id: BlockId) -> Result<Option<(Row, Bytes)>, BlockStoreError> {
        let found = self.attempt(id, |segment, row| whole_payload(segment, id, row))?;
        if let Some((row, _)) = &found {
            self.doubts.end(row);
        }
        Ok(found)
    }

    /// Whether the block is here and can be counted on. One in doubt is read again.
    pub(crate) fn holds(&self, id: BlockId) -> Result<bool, BlockStoreError> {
        let Some(row) = self.index.row(id)?.filter(Row::is_held) else { return Ok(false) };
        if !self.doubts.has(&row) {
            return Ok(true);
        }
        match self.payload(id) {
            Ok(found) => Ok(found.is_some()),
            Err(BlockStoreError::Unreadable { .. } | BlockStoreError::Damaged { .. }) => Ok(false),
            Err(BlockStoreError::Quarantined { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Up to `limit` blocks of a placement group behind `after` that are here and can be counted on.
    pub(crate) fn ids(&self, pg: PgId, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        let (mut ids, mut after) = (Vec::new(), after);
        while ids.len() < limit {
            let part = self.index.ids(pg, after, limit - ids.len())?;
            let Some(last) = part.last() else { break };
            after = Some(*last);
            for id in part {
                if !self.is_in_doubt(id)? {
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }

    fn is_in_doubt(&self, id: BlockId) -> Result<bool, BlockStoreError> {
        if self.doubts.is_empty() {
            return Ok(false);
        }
        Ok(self.index.row(id)?.is_some_and(|row| self.doubts.has(&row)))
    }

    /// A range of a block's plain bytes; only the frames that hold it are read, and checked by their CRC-32.
    pub(crate) fn range(&self, id: BlockId, offset: u32, length: u32) -> Result<Option<Bytes>, BlockStoreError> {
        let found = self.attempt(id, |segment, row| plain_range(segment, id, row, offset, length))?;
        Ok(found.map(|(_, plain)| plain))
    }

    /// Reads once more when the block was moved or removed meanwhile.
    fn attempt<T>(
        &self,
        id: BlockId,
        read: impl Fn(&Segment, &Row) -> Result<T, ReadFailure>,
    ) -> Result<Option<(Row, T)>, BlockStoreError> {
        while let Some(row) = self.index.row(id)? {
            match self.read_row(id, &row, &read) {
                Ok(value) => return Ok(Some((row, value))),
                Err(ReadFailure::Refused(source)) => return Err(BlockStoreError::Range { id, source }),
                Err(failure) if self.index.row(id)? == Some(row) => return Err(self.failed(id, row, failure)),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Reads a record. One in quarantine is looked at as a whole before: what was wrong may have been the cable or the
    /// memory on the way.
    fn read_row<T>(
        &self,
        id: BlockId,
        row: &Row,
        read: impl Fn(&Segment, &Row) -> Result<T, ReadFailure>,
    ) -> Result<T, ReadFailure> {
        let segment = self.segments.get(row.segment)?;
        if !row.is_held() {
            check(row, &whole_payload(&segment, id, row)?, ScrubDepth::Digests)?;
            tracing::info!(block = %id, segment = row.segment.0, offset = row.offset, "a quarantined block is good");
            self.judge(id, *row, RowState::Held);
        }
        read(&segment, row)
    }

    pub(crate) fn failed(&self, id: BlockId, row: Row, failure: ReadFailure) -> BlockStoreError {
        match failure {
            ReadFailure::Damage(_) if !row.is_held() => BlockStoreError::Quarantined { id },
            ReadFailure::Damage(damage) => self.damaged(id, row, damage),
            ReadFailure::Disk(source) => {
                self.doubts.begin(&row);
                BlockStoreError::Unreadable { id, source }
            }
            ReadFailure::Refused(source) => BlockStoreError::Range { id, source },
        }
    }

    /// Tells the writer, and makes the error.
    pub(crate) fn damaged(&self, id: BlockId, row: Row, source: Damage) -> BlockStoreError {
        tracing::error!(block = %id, segment = row.segment.0, offset = row.offset, error = %source, "a block is damaged");
        self.judge(id, row, RowState::Quarantined);
        BlockStoreError::Damaged { id, segment: row.segment.0, offset: row.offset, source }
    }

    fn judge(&self, id: BlockId, row: Row, state: RowState) {
        // If the queue is full, the next read or scrub finds the same again.
        let _ = self.writer.try_send(Command::Judge { id, row, state });
    }
}

/// Why a record did not give what was asked for.
#[derive(Debug)]
pub(crate) enum ReadFailure {
    /// Its bytes are wrong.
    Damage(Damage),
    /// The disk did not answer, which says nothing about the bytes: another read may get them.
    Disk(FileError),
    /// What was asked for is not in the block.
    Refused(BlockError),
}

impl From<FileError> for ReadFailure {
    fn from(error: FileError) -> Self {
        if error.is_not_found() || error.is_too_short() {
            Self::Damage(Damage::Missing(error))
        } else {
            Self::Disk(error)
        }
    }
}

impl From<Damage> for ReadFailure {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<BlockError> for ReadFailure {
    fn from(error: BlockError) -> Self {
        Self::Damage(error.into())
    }
}

/// Looks at the stored bytes of a block.
pub(crate) fn check(row: &Row, stored: &[u8], depth: ScrubDepth) -> Result<(), Damage> {
    match depth {
        ScrubDepth::Checksums => block::check(stored)?,
        ScrubDepth::Digests => drop(block::decode(stored, &row.digest)?),
    }
    Ok(())
}

/// The stored bytes of a record, checked by its CRC-32.
pub(crate) fn whole_payload(segment: &Segment, id: BlockId, row: &Row) -> Result<Bytes, ReadFailure> {
    let (header, payload) = front(segment, id, row, row.payload_length as usize)?;
    let (expected, found) = (header.payload_crc, crc32fast::hash(&payload));
    if expected == found { Ok(payload) } else { Err(Damage::Payload { expected, found }.into()) }
}

fn plain_range(segment: &Segment, id: BlockId, row: &Row, offset: u32, length: u32) -> Result<Bytes, ReadFailure> {
    let head_length = FrameTable::head_length(row.plain_length).min(row.payload_length as usize);
    let (_, head) = front(segment, id, row, head_length)?;
    let table = FrameTable::parse(&head)?;
    let stored = table.stored_range(offset, length).map_err(|error| match error.kind() {
        ErrorKind::InvalidRequest => ReadFailure::Refused(error),
        _ => error.into(),
    })?;
    let begin = row.offset + (RECORD_HEADER_LENGTH + stored.start) as u64;
    let part = segment.file.read_exact_at(begin, stored.len())?;
    Ok(table.decode_range(offset, length, &part)?)
}

/// The header of a block's record, and the first bytes of its payload.
fn front(segment: &Segment, id: BlockId, row: &Row, length: usize) -> Result<(RecordHeader, Bytes), ReadFailure> {
    let record = Bytes::from(segment.file.read_exact_at(row.offset, RECORD_HEADER_LENGTH + length)?);
    let header = RecordHeader::parse(&record, segment.place(row.offset)).ok_or(Damage::Header)?;
    if header.id != id || header.kind != RecordKind::Block {
        return Err(Damage::OtherBlock { found: header.id }.into());
    }
    if header.payload_length != row.payload_length {
        return Err(Damage::Header.into());
    }
    Ok((header, record.slice(RECORD_HEADER_LENGTH..)))
}
