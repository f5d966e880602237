//! Opening what a crash, or a damaged disk, left.
//!
//! The index says how far it covers the segments; what is behind that is replayed. An index that is lost, damaged, of
//! another volume or version, or ahead of the segments is rebuilt from all of them. Then the tail of the newest segment is
//! cut to its last whole record, and what is left of it is made durable before the index learns of it. Replaying twice
//! gives the same, so a crash in here costs nothing. Last, segments that are recorded as gone and still there are removed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use runtime::{FileError, Files};
use types::VolumeId;

use crate::BlockStoreError;
use crate::compaction;
use crate::index::{Changes, Covered, Index, Row};
use crate::record::{RecordHeader, RecordKind};
use crate::segment::{SEGMENT_HEADER_LENGTH, SegmentHeader, SegmentNumber};
use crate::segment_files::SegmentFiles;
use crate::walk::{Found, Segment};
use crate::writer::ActiveSegment;

/// Damaged ranges that are listed one by one; more of them are only summed up.
const LISTED_MAX: usize = 1024;
/// Records that are replayed into the index as one.
const PART_RECORDS: usize = 4096;

/// What was found when the volume was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that were not in the index yet.
    pub replayed_records: u64,
    /// Bytes of a cut tail that were removed: no caller was answered for them.
    pub cut_bytes: u64,
    /// Bytes that were on the medium once and are no records now. What they held is missing here.
    pub damaged_bytes: u64,
    /// The first of those ranges.
    pub damaged: Vec<DamagedRange>,
}

/// A range of a segment that should hold records and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The segment's number.
    pub segment: u64,
    /// Its first bad byte.
    pub begin: u64,
    /// The first byte behind that is good again, or where the segment should have ended.
    pub end: u64,
}

/// A volume that is ready.
pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) segments: Arc<SegmentFiles>,
    pub(crate) active: ActiveSegment,
    pub(crate) recovery: Recovery,
}

/// Makes index and segments agree, and finds the end of the log.
pub(crate) fn recover(files: &Files, folder: &Path, volume: VolumeId) -> Result<Recovered, BlockStoreError> {
    let segments = Arc::new(SegmentFiles::of(files.clone(), folder, volume)?);
    let found = SegmentFiles::list(files, &folder.join("segments"))?;
    let (gone, mut numbers): (Vec<_>, Vec<_>) = found.into_iter().partition(|number| segments.is_gone(*number));
    remove_unborn(&segments, &mut numbers)?;
    let mut recovery = Recovery::default();
    let index = Index::open(files, &folder.join("index"))?;
    let (index, begin) = agree(index, files, &segments, &Listed { numbers: &numbers, gone: &gone }, &mut recovery)?;
    let active = Replay { index: &index, segments: &segments, recovery: &mut recovery }.run(&numbers, begin)?;
    index.flush()?;
    gone.into_iter().try_for_each(|number| compaction::finish(&index, &segments, number))?;
    Ok(Recovered { index, segments, active, recovery })
}

/// Finds the end of the log again after a write or sync has failed. The index is sound and says how far it covers the
/// segments: nothing is told to it before it is synced.
pub(crate) fn resume(
    files: &Files,
    folder: &Path,
    index: &Index,
    segments: &Arc<SegmentFiles>,
) -> Result<ActiveSegment, BlockStoreError> {
    segments.close_all();
    let mut numbers = SegmentFiles::list(files, &folder.join("segments"))?;
    numbers.retain(|number| !segments.is_gone(*number));
    remove_unborn(segments, &mut numbers)?;
    let covered = index.covered()?;
    if let Some(covered) = covered {
        let segment = segments.get(covered.segment)?;
        let length = segment.file.len()?;
        if length < covered.offset {
            let reason = format!("segment {} has {length} bytes and had {}", covered.segment.0, covered.offset);
            return Err(BlockStoreError::Unwritable { volume: covered.volume, reason });
        }
    }
    let mut recovery = Recovery::default();
    let active = Replay { index, segments, recovery: &mut recovery }.run(&numbers, covered)?;
    index.flush()?;
    Ok(active)
}

/// The segment files that were found.
struct Listed<'a> {
    numbers: &'a [SegmentNumber],
    /// Those that are recorded as gone.
    gone: &'a [SegmentNumber],
}

/// A crash while a segment is made leaves one without a whole header; nothing was written to it yet.
fn remove_unborn(segments: &SegmentFiles, numbers: &mut Vec<SegmentNumber>) -> Result<(), FileError> {
    let Some(last) = numbers.last().copied() else { return Ok(()) };
    let segment = segments.get(last)?;
    if segment.file.len()? <= SEGMENT_HEADER_LENGTH && segment.own_header()?.is_none() {
        numbers.pop();
        segments.remove(last)?;
    }
    Ok(())
}

/// Where the replay begins: behind what the index covers, or at the start with an empty index.
fn agree(
    index: Index,
    files: &Files,
    segments: &SegmentFiles,
    listed: &Listed<'_>,
    recovery: &mut Recovery,
) -> Result<(Index, Option<Covered>), BlockStoreError> {
    if index.is_of_another_version()? {
        return Ok((index.reset(files)?, None));
    }
    let Some(covered) = index.covered()? else { return Ok((index, None)) };
    let id = segments.id(covered.segment);
    let length = if listed.numbers.contains(&id.number) { segments.get(id.number)?.file.len()? } else { 0 };
    let is_of_before = knows_a_removed_segment(&index, segments, listed)?;
    if covered.volume == id.volume && length >= covered.offset && !is_of_before {
        return Ok((index, Some(covered)));
    }
    if covered.volume == id.volume && length < covered.offset && !segments.is_gone(id.number) {
        recovery.report(id.number, length..covered.offset);
    }
    Ok((index.reset(files)?, None))
}

/// Whether the index is from before a segment was removed: somebody put an old one back. What it says about the blocks of
/// that segment may be what no record tells any more.
fn knows_a_removed_segment(
    index: &Index,
    segments: &SegmentFiles,
    listed: &Listed<'_>,
) -> Result<bool, BlockStoreError> {
    for known in index.segments_behind(None) {
        let (number, _) = known?;
        if segments.is_gone(number) && !listed.gone.contains(&number) {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Replay<'a> {
    index: &'a Index,
    segments: &'a Arc<SegmentFiles>,
    recovery: &'a mut Recovery,
}

impl Replay<'_> {
    fn run(mut self, numbers: &[SegmentNumber], begin: Option<Covered>) -> Result<ActiveSegment, BlockStoreError> {
        let first = begin.map_or(SegmentNumber::FIRST, |covered| covered.segment);
        let mut active = None;
        for number in numbers.iter().copied().filter(|number| *number >= first) {
            let from = begin.filter(|covered| covered.segment == number).map(|covered| covered.offset);
            let tail = if numbers.last() == Some(&number) { Tail::MayBeCut } else { Tail::IsWhole };
            active = Some(self.segment(number, from, tail)?);
        }
        active.map_or_else(|| Ok(ActiveSegment::new(self.make_first()?, SEGMENT_HEADER_LENGTH)), Ok)
    }

    fn make_first(&self) -> Result<Segment, FileError> {
        let number = self.segments.number_behind(None);
        self.segments.create(SegmentHeader { id: self.segments.id(number), previous_length: 0 })
    }

    /// Replays a segment, from its header on if the index has nothing of it.
    fn segment(
        &mut self,
        number: SegmentNumber,
        from: Option<u64>,
        tail: Tail,
    ) -> Result<ActiveSegment, BlockStoreError> {
        let segment = self.segments.get(number)?;
        if from.is_none() {
            self.check_header(&segment)?;
        }
        let known_synced = from;
        let from = from.unwrap_or(SEGMENT_HEADER_LENGTH);
        if tail == Tail::MayBeCut {
            self.cut_tail(&segment, from)?;
            segment.make_durable(known_synced)?;
            self.segments.sync()?;
        }
        self.replay(&segment, from)?;
        let end = segment.file.len()?.max(from);
        Ok(ActiveSegment::new(segment, end))
    }

    /// Looks whether the segment is one, and the one before it is as long as it was, unless it is gone.
    fn check_header(&mut self, segment: &Segment) -> Result<(), BlockStoreError> {
        let Some(header) = segment.own_header()?.filter(|header| header.id == segment.id) else {
            self.recovery.report(segment.id.number, 0..SEGMENT_HEADER_LENGTH);
            return Ok(());
        };
        let previous = SegmentNumber(segment.id.number.0.saturating_sub(1));
        if self.segments.is_gone(previous) {
            return Ok(());
        }
        let length = match self.segments.get(previous) {
            Ok(previous) => previous.file.len()?,
            Err(error) if error.is_not_found() => 0,
            Err(error) => return Err(error.into()),
        };
        if length < header.previous_length {
            self.recovery.report(previous, length..header.previous_length);
        }
        Ok(())
    }

    fn cut_tail(&mut self, segment: &Segment, from: u64) -> Result<(), FileError> {
        let Some(cut) = segment.tail_cut(from)? else { return Ok(()) };
        let cut_bytes = segment.file.len()?.saturating_sub(cut);
        tracing::info!(segment = segment.id.number.0, cut, cut_bytes, "a cut tail is removed");
        segment.file.set_len(cut)?;
        segment.file.sync_data()?;
        self.recovery.cut_bytes += cut_bytes;
        Ok(())
    }

    fn replay(&mut self, segment: &Segment, from: u64) -> Result<(), BlockStoreError> {
        let mut walk = segment.walk(from)?;
        let mut end = from;
        loop {
            let part = walk.by_ref().take(PART_RECORDS).collect::<Result<Vec<_>, _>>()?;
            end = part.last().map_or(end, Found::end);
            self.replay_part(segment.id.number, end, &part)?;
            if part.len() < PART_RECORDS {
                return Ok(());
            }
        }
    }

    fn replay_part(&mut self, number: SegmentNumber, end: u64, part: &[Found]) -> Result<(), BlockStoreError> {
        let mut changes = self.index.changes();
        let mut dead = Vec::new();
        for found in part {
            match found {
                Found::Record { offset, header } => {
                    dead.extend(replay_record(&mut changes, header, number, *offset)?);
                    self.recovery.replayed_records += 1;
                }
                Found::Damage(range) => self.recovery.report(number, range.clone()),
            }
        }
        changes.cover(Covered { volume: self.segments.id(number).volume, segment: number, offset: end })?;
        changes.commit()?;
        // The crash may have come before their space was given back; a hole again is no harm.
        dead.iter().for_each(|row| self.segments.give_back(row));
        Ok(())
    }
}

/// Replays one record; gives the row that it makes void.
fn replay_record(
    changes: &mut Changes<'_>,
    header: &RecordHeader,
    number: SegmentNumber,
    offset: u64,
) -> Result<Option<Row>, BlockStoreError> {
    let before = changes.row(header.id)?;
    match header.kind {
        RecordKind::Block => changes.set(header.id, Row::of(header, number, offset))?,
        RecordKind::Tombstone => changes.remove(header.id, number)?,
    }
    Ok(before.filter(|row| row.place() != (number, offset)))
}

/// Whether a segment is the newest one, whose tail a crash may have cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    MayBeCut,
    IsWhole,
}

impl Recovery {
    fn report(&mut self, number: SegmentNumber, range: Range<u64>) {
        tracing::error!(segment = number.0, begin = range.start, end = range.end, "a part of a segment is damaged");
        self.damaged_bytes += range.end - range.start;
        if self.damaged.len() < LISTED_MAX {
            self.damaged.push(DamagedRange { segment: number.0, begin: range.start, end: range.end });
        }
    }
}
