//! Gives back segments of which less than half is needed: what is needed is copied to the end of the log, and the file is
//! removed.
//!
//! It goes in rounds through the closed segments, oldest first, in steps that the caller paces. What is needed of a segment
//! is the blocks whose row points there, and the tombstones that are the last word on their block while an older segment
//! still has a record of it. Each copied block is read as a whole and checked by its CRC-32. One that is bad goes into
//! quarantine, one that the disk does not give stays in doubt; either keeps its segment, which is met again in the next
//! round, after a put has written the block anew or another read has got it.
//!
//! # Order of durable steps, and a crash at each
//!
//! 1. Copies are appended and synced, then the rows change, then the old records get holes: as for any put that replaces a
//!    block. A crash leaves both; the copy is the later record, and the rest is copied in another round.
//! 2. When nothing in the segment is needed, the index is flushed. From here on no index that a crash leaves needs it.
//! 3. The segment is recorded as gone. From here on nobody reads it; the next open goes on with what follows.
//! 4. The index forgets the segment, and which dead records it had; tombstones that only kept those from counting are
//!    needless now. It is flushed, so that nothing of the segment is in an index whose segment is removed.
//! 5. The file is removed.
//!
//! A reader that looked up a block before it was copied finds a hole or no file, looks again, and finds the copy.
//!
//! # Limits
//!
//! A step reads so many bytes and so many records; the bytes count among those that wait to be written. Copying may use
//! half of the reserve.

use types::BlockId;

use crate::BlockStoreError;
use crate::index::{Index, Row};
use crate::reader::{Reader, whole_payload};
use crate::record::{RecordHeader, RecordKind};
use crate::segment::{SEGMENT_HEADER_LENGTH, SegmentNumber};
use crate::segment_files::SegmentFiles;
use crate::store::BlockStore;
use crate::walk::{Found, Segment};
use crate::writer::{Carried, Command, NewRecord};

/// Records that one step looks at.
const STEP_RECORDS: usize = 4096;

/// How far a round is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionPoint(Phase);

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of the records that it copied.
    pub copied_bytes: u64,
    /// Segments that it removed.
    pub segments_removed: u64,
    /// Where to go on; none at the end of the round.
    pub next: Option<CompactionPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Looks for the next segment that is worth it.
    Search { after: Option<SegmentNumber> },
    /// Copies what is needed.
    Copy { segment: SegmentNumber, offset: u64 },
    /// Nobody reads the segment any more; its dead records are forgotten.
    Forget { segment: SegmentNumber, offset: u64 },
}

/// What one step found to be needed.
#[derive(Default)]
struct Part {
    blocks: Vec<(Row, NewRecord)>,
    tombstones: Vec<BlockId>,
    bytes: u64,
    /// Where to go on; none at the end of the segment.
    next: Option<u64>,
    /// A block that cannot be copied.
    bad: Option<BlockStoreError>,
}

impl BlockStore {
    /// Does one step of a round that copies what is needed out of segments of which less than half is, about so many
    /// bytes, and removes them. A round begins without a point. A step that fails can be done again; a round that is not
    /// brought to its end costs nothing.
    ///
    /// # Errors
    /// There is no room even in the reserve, the volume takes no writes, or the disk failed.
    pub async fn compact(&self, point: Option<CompactionPoint>, bytes_max: u64) -> Result<Compacted, BlockStoreError> {
        let _alone = self.compactions().acquire_owned().await;
        match point.map_or(Phase::Search { after: None }, |point| point.0) {
            Phase::Search { after } => self.search(after).await,
            Phase::Copy { segment, offset } => self.copy(segment, offset, bytes_max).await,
            Phase::Forget { segment, offset } => self.forget(segment, offset).await,
        }
    }

    async fn search(&self, after: Option<SegmentNumber>) -> Result<Compacted, BlockStoreError> {
        let found = self.read(move |reader| next_sparse(&reader.index, after)).await?;
        Ok(found.map_or_else(Compacted::default, |segment| {
            Compacted::next(Phase::Copy { segment, offset: SEGMENT_HEADER_LENGTH })
        }))
    }

    async fn copy(&self, segment: SegmentNumber, offset: u64, bytes_max: u64) -> Result<Compacted, BlockStoreError> {
        let permit = self.in_flight().acquire(bytes_max).await;
        let read = self.read(move |reader| Part::read(reader, segment, offset, bytes_max)).await;
        let Some(part) = self.unless_unreadable(segment, read)? else { return Ok(Compacted::behind(segment)) };
        let Part { blocks, tombstones, bytes, next, bad } = part;
        if !blocks.is_empty() || !tombstones.is_empty() {
            self.ask(|reply| Command::Carry(Carried { from: segment, blocks, tombstones, permit, reply })).await?;
        }
        let next = match (bad, next) {
            (Some(error), _) => {
                tracing::warn!(volume = %self.volume(), segment = segment.0, %error, "a segment is kept for a block in it");
                Phase::Search { after: Some(segment) }
            }
            (None, Some(offset)) => Phase::Copy { segment, offset },
            (None, None) => self.give_up(segment).await?,
        };
        Ok(Compacted { copied_bytes: bytes, ..Compacted::next(next) })
    }

    /// Records a segment as gone, unless something in it is needed that the walk did not meet.
    async fn give_up(&self, segment: SegmentNumber) -> Result<Phase, BlockStoreError> {
        let is_gone = self.read(move |reader| reader.give_up(segment)).await?;
        if is_gone {
            return Ok(Phase::Forget { segment, offset: SEGMENT_HEADER_LENGTH });
        }
        self.rescue(segment).await?;
        Ok(Phase::Search { after: Some(segment) })
    }

    /// Handles what is needed and lies behind damaged headers, where no walk finds it. Each block is read once more, which
    /// puts it into quarantine if it is bad; tombstones need no reading.
    async fn rescue(&self, segment: SegmentNumber) -> Result<(), BlockStoreError> {
        let tombstones = self
            .read(move |reader| {
                for id in reader.index.blocks_in(segment)? {
                    if let Err(error) = reader.payload(id) {
                        tracing::warn!(segment = segment.0, %error, "a segment is kept for a block in it");
                    }
                }
                reader.index.tombstones_in(segment)
            })
            .await?;
        let permit = self.in_flight().acquire(0).await;
        self.ask(|reply| Command::Carry(Carried { from: segment, blocks: Vec::new(), tombstones, permit, reply })).await
    }

    async fn forget(&self, segment: SegmentNumber, offset: u64) -> Result<Compacted, BlockStoreError> {
        let read = self.read(move |reader| dead_blocks(&reader.segments, segment, offset)).await;
        let Some((ids, next)) = self.unless_unreadable(segment, read)? else { return Ok(Compacted::behind(segment)) };
        self.ask(|reply| Command::FillGraves { segment, ids, reply }).await?;
        if let Some(offset) = next {
            return Ok(Compacted::next(Phase::Forget { segment, offset }));
        }
        self.ask(|reply| Command::Forget { segment, reply }).await?;
        self.read(move |reader| remove(&reader.index, &reader.segments, segment)).await?;
        tracing::debug!(volume = %self.volume(), segment = segment.0, "a segment is removed");
        Ok(Compacted { segments_removed: 1, ..Compacted::behind(segment) })
    }

    /// A segment that cannot be read, or is lost, is no reason to leave the others as they are.
    fn unless_unreadable<T>(
        &self,
        segment: SegmentNumber,
        read: Result<T, BlockStoreError>,
    ) -> Result<Option<T>, BlockStoreError> {
        match read {
            Err(BlockStoreError::File(error)) => {
                tracing::warn!(volume = %self.volume(), segment = segment.0, %error, "a segment is kept: it cannot be read");
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}

impl Compacted {
    fn next(phase: Phase) -> Self {
        Self { next: Some(CompactionPoint(phase)), ..Self::default() }
    }

    fn behind(segment: SegmentNumber) -> Self {
        Self::next(Phase::Search { after: Some(segment) })
    }
}

impl Part {
    fn read(reader: &Reader, number: SegmentNumber, from: u64, bytes_max: u64) -> Result<Self, BlockStoreError> {
        let segment = reader.segments.get(number)?;
        let mut part = Self::default();
        for found in segment.walk(from)?.take(STEP_RECORDS) {
            let found = found?;
            if let Found::Record { offset, header } = &found {
                part.take(reader, &segment, *offset, header)?;
            }
            part.next = Some(found.end());
            if part.bytes >= bytes_max || part.bad.is_some() {
                return Ok(part);
            }
        }
        let end = segment.file.len()?;
        part.next = part.next.filter(|next| *next < end);
        Ok(part)
    }

    /// Takes a record if it is needed.
    fn take(
        &mut self,
        reader: &Reader,
        segment: &Segment,
        offset: u64,
        header: &RecordHeader,
    ) -> Result<(), BlockStoreError> {
        let (id, number) = (header.id, segment.id.number);
        if header.kind == RecordKind::Tombstone {
            self.tombstones.extend(reader.index.tombstone(id)?.filter(|place| *place == number).map(|_| id));
            return Ok(());
        }
        let is_needed = |row: &Row| row.is_held() && row.place() == (number, offset);
        let Some(row) = reader.index.row(id)?.filter(is_needed) else { return Ok(()) };
        match whole_payload(segment, id, &row) {
            Ok(payload) => {
                self.bytes += row.record_length();
                self.blocks.push((row, NewRecord { header: *header, payload }));
            }
            // Otherwise it was removed or replaced meanwhile.
            Err(failure) if reader.index.row(id)? == Some(row) => self.bad = Some(reader.failed(id, row, failure)),
            Err(_) => {}
        }
        Ok(())
    }
}

impl Reader {
    /// Records a segment as gone if nothing in it is needed. Nothing in a closed segment is ever needed again.
    fn give_up(&self, number: SegmentNumber) -> Result<bool, BlockStoreError> {
        if !self.index.segment_use(number)?.is_vacant() {
            return Ok(false);
        }
        self.index.flush()?;
        self.segments.record_gone(number)?;
        Ok(true)
    }
}

/// Ends what a crash left of a segment that is recorded as gone. The index does not know it any more if it was rebuilt.
pub(crate) fn finish(index: &Index, segments: &SegmentFiles, number: SegmentNumber) -> Result<(), BlockStoreError> {
    let mut offset = Some(SEGMENT_HEADER_LENGTH);
    while let Some(from) = offset {
        let (ids, next) = dead_blocks(segments, number, from)?;
        fill_graves(index, number, &ids)?;
        offset = next;
    }
    forget(index, number)?;
    remove(index, segments, number)
}

pub(crate) fn fill_graves(index: &Index, number: SegmentNumber, ids: &[BlockId]) -> Result<(), BlockStoreError> {
    let mut changes = index.changes();
    ids.iter().try_for_each(|id| changes.fill_grave(*id, number))?;
    changes.commit()
}

pub(crate) fn forget(index: &Index, number: SegmentNumber) -> Result<(), BlockStoreError> {
    let mut changes = index.changes();
    changes.forget(number);
    changes.commit()
}

fn remove(index: &Index, segments: &SegmentFiles, number: SegmentNumber) -> Result<(), BlockStoreError> {
    index.flush()?;
    Ok(segments.remove(number)?)
}

/// The first closed segment behind `after` of which less than half is needed.
fn next_sparse(index: &Index, after: Option<SegmentNumber>) -> Result<Option<SegmentNumber>, BlockStoreError> {
    let Some(covered) = index.covered()? else { return Ok(None) };
    for found in index.segments_behind(after) {
        let (number, used) = found?;
        if number < covered.segment && used.is_sparse() {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// Blocks that have records in some part of a segment, and where to go on.
fn dead_blocks(
    segments: &SegmentFiles,
    number: SegmentNumber,
    from: u64,
) -> Result<(Vec<BlockId>, Option<u64>), BlockStoreError> {
    let segment = segments.get(number)?;
    let length = segment.file.len()?;
    let (mut ids, mut end) = (Vec::new(), from);
    for found in segment.walk(from)?.take(STEP_RECORDS) {
        let found = found?;
        end = found.end();
        if let Found::Record { header, .. } = found
            && header.kind == RecordKind::Block
        {
            ids.push(header.id);
        }
    }
    Ok((ids, Some(end).filter(|end| *end < length && *end > from)))
}
