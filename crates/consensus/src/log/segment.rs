//! One file of the log, and where its records lie.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use runtime::{File, Files};
use tracing::warn;
use types::NodeId;

use super::LogError;
use super::fields::{put_u32, put_u64, take_u32, take_u64};
use super::record::{HEADER_LENGTH, Header, Record};
use crate::position::Position;

/// Bytes of a segment before its first record.
pub(super) const SEGMENT_HEADER_LENGTH: usize = 64;

const MAGIC: [u8; 4] = *b"HFLS";
pub(crate) const VERSION: u8 = 1;

/// One file of the log. Its records follow each other without a gap.
#[derive(Debug)]
pub(super) struct Segment {
    pub number: u64,
    pub file: File,
    /// The last entry that is not in the log when this segment is its first.
    pub previous: Option<Position>,
    /// Why it begins after that entry.
    pub origin: Origin,
    /// The place of the last record.
    pub last: Option<Position>,
    /// Where its bytes end.
    pub end: u64,
    /// How many of them are durable.
    pub synced: u64,
    /// The number of its first entry, once it has one.
    first: u64,
    /// Where each record begins.
    offsets: Vec<u32>,
}

/// Bytes of a segment that hold records.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub file: File,
    pub offset: u64,
    pub length: usize,
}

/// Why a segment begins where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The segment before it was full.
    Continues,
    /// Everything up to its entry before was purged, be it in the log or not.
    Anew,
}

/// Whether a segment may end in an unfinished write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Damage may be the tail of a write that a crash cut off.
    MayBeCut,
    /// Everything was synced before the next segment was made.
    IsWhole,
}

impl Segment {
    /// Makes an empty segment, durably.
    pub fn create(
        files: &Files,
        folder: &Path,
        number: u64,
        node: NodeId,
        (previous, origin): (Option<Position>, Origin),
    ) -> Result<Self, LogError> {
        let path = path_of(folder, number);
        files.write_atomic(&path, &encode_header(node, previous, origin), 0o600)?;
        Ok(Self::empty(number, files.open_write(&path)?, previous, origin))
    }

    fn empty(number: u64, file: File, previous: Option<Position>, origin: Origin) -> Self {
        let end = SEGMENT_HEADER_LENGTH as u64;
        Self { number, file, previous, origin, last: None, end, synced: end, first: 0, offsets: Vec::new() }
    }

    /// Opens a segment and checks every record of it.
    pub fn open(files: &Files, path: &Path, number: u64, node: NodeId, tail: Tail) -> Result<Self, LogError> {
        let bytes = Bytes::from(files.read(path)?);
        let foreign = || LogError::Foreign { path: path.into(), what: "segment" };
        let (previous, origin) = decode_header(&bytes, node).ok_or_else(foreign)?;
        let mut segment = Self::empty(number, files.open_write(path)?, previous, origin);
        segment.scan(&bytes)?;
        if segment.end < bytes.len() as u64 {
            segment.cut_tail(&bytes, tail)?;
        }
        match tail {
            Tail::MayBeCut => segment.make_durable(&bytes)?,
            Tail::IsWhole => segment.synced = segment.end,
        }
        Ok(segment)
    }

    /// Takes in the records up to the first that is not whole.
    fn scan(&mut self, bytes: &Bytes) -> Result<(), LogError> {
        while let Some((header, record)) = record_at(bytes, self.end) {
            self.check_follows(header.position)?;
            self.note(header.position, record.length());
            self.synced = self.synced.max(u64::from(header.durable));
        }
        Ok(())
    }

    /// Makes durable what no record says was durable. These bytes may have come from the page cache alone: the process
    /// was killed before its sync, or the sync failed, after which the kernel takes the pages for clean and no later
    /// sync writes them. So they are written again, the same bytes, before anybody counts them as ours.
    fn make_durable(&mut self, bytes: &Bytes) -> Result<(), LogError> {
        let unsure = usize::try_from(self.synced).ok().zip(usize::try_from(self.end).ok());
        if let Some(unsure) = unsure.and_then(|(synced, end)| bytes.get(synced..end)).filter(|bytes| !bytes.is_empty())
        {
            self.file.write_all_at(self.synced, unsure)?;
            self.file.sync_data()?;
        }
        self.synced = self.end;
        Ok(())
    }

    /// Cuts what a crash left of an unfinished write, unless the damage lies in what was durable.
    fn cut_tail(&mut self, bytes: &Bytes, tail: Tail) -> Result<(), LogError> {
        let damaged = LogError::Damaged { path: self.file.path().into(), offset: self.end };
        let rest = bytes.get(self.end as usize..).unwrap_or_default();
        if tail == Tail::IsWhole || was_durable(rest, self.end) {
            return Err(damaged);
        }
        warn!(segment = %self.file.path().display(), kept = self.end, cut = rest.len(), "cut an unfinished write");
        self.file.set_len(self.end)?;
        Ok(self.file.sync_data()?)
    }

    /// Refuses an entry that does not follow the last one.
    pub fn check_follows(&self, position: Position) -> Result<(), LogError> {
        let last = self.last.or(self.previous);
        match last {
            Some(last) if position.index != last.index + 1 => {
                Err(LogError::NotConsecutive { given: position.index, last: Some(last.index) })
            }
            _ => Ok(()),
        }
    }

    /// Notes a record that was written at the end.
    pub fn note(&mut self, position: Position, length: usize) {
        if self.offsets.is_empty() {
            self.first = position.index;
        }
        self.offsets.push(u32::try_from(self.end).expect("segments are shorter than 4 GiB"));
        self.last = Some(position);
        self.end += length as u64;
    }

    /// Drops the records after an entry, durably.
    ///
    /// The file is replaced, not cut. When the power goes while a file is being cut, the old length may be left with zeros
    /// up to the end of the page that the cut is in, for XFS writes these before the length: the records behind them would
    /// then say that what is zero was durable once.
    pub fn truncate_after(&mut self, files: &Files, index: Option<u64>) -> Result<(), LogError> {
        let keep = index.map_or(0, |index| (index + 1).saturating_sub(self.first) as usize);
        let Some(&cut) = self.offsets.get(keep) else { return Ok(()) };
        let last = match keep.checked_sub(1).and_then(|kept| self.offsets.get(kept)) {
            Some(&offset) => Some(self.header(u64::from(offset))?.position),
            None => None,
        };
        let path = self.file.path().to_owned();
        files.write_atomic(&path, &self.file.read_exact_at(0, cut as usize)?, 0o600)?;
        self.file = files.open_write(&path)?;
        self.offsets.truncate(keep);
        self.end = u64::from(cut);
        self.synced = self.end;
        self.last = last;
        Ok(())
    }

    fn header(&self, offset: u64) -> Result<Header, LogError> {
        let bytes = self.file.read_exact_at(offset, HEADER_LENGTH)?;
        Header::decode(&bytes).ok_or_else(|| LogError::Damaged { path: self.file.path().into(), offset })
    }

    /// The number of its first entry.
    pub fn first_index(&self) -> Option<u64> {
        (!self.offsets.is_empty()).then_some(self.first)
    }

    /// The bytes of the entries `from..until` that it has, at most about `bytes_max` but at least one entry.
    pub fn span(&self, from: u64, until: u64, bytes_max: usize) -> Option<(Span, u64)> {
        let at = |index: u64| Some(self.offsets.get(usize::try_from(index - self.first).ok()?).copied());
        if from < self.first || from - self.first >= self.offsets.len() as u64 {
            return None;
        }
        let start = u64::from(at(from)??);
        let known = self.first + self.offsets.len() as u64;
        let begin = |index: u64| if index == known { Some(self.end) } else { at(index)?.map(u64::from) };
        let mut next = until.min(known);
        while next > from + 1 && begin(next)? - start > bytes_max as u64 {
            next = from + (next - from).div_ceil(2);
        }
        let length = usize::try_from(begin(next)? - start).ok()?;
        Some((Span { file: self.file.clone(), offset: start, length }, next))
    }
}

impl Span {
    /// Reads and checks the records.
    pub fn read(&self) -> Result<Vec<Record>, LogError> {
        let bytes = Bytes::from(self.file.read_exact_at(self.offset, self.length)?);
        let mut records = Vec::new();
        let mut offset = 0;
        while offset < self.length {
            let damaged = || LogError::Damaged { path: self.file.path().into(), offset: self.offset + offset as u64 };
            let (_, record) = record_at(&bytes, offset as u64).ok_or_else(damaged)?;
            offset += record.length();
            records.push(record);
        }
        Ok(records)
    }
}

/// The record that begins at an offset, if it is whole.
pub(super) fn record_at(bytes: &Bytes, offset: u64) -> Option<(Header, Record)> {
    let start = usize::try_from(offset).ok()?;
    let header = Header::decode(bytes.get(start..)?)?;
    let body = start.checked_add(HEADER_LENGTH)?;
    let end = body.checked_add(header.body_length as usize)?;
    (end <= bytes.len()).then(|| header.with_body(bytes.slice(body..end)))?.map(|record| (header, record))
}

/// Whether a later record says that what lies at `offset` was durable when it was written.
pub(super) fn was_durable(rest: &[u8], offset: u64) -> bool {
    let mut rest = rest;
    while let Some(header) = Header::find(rest).and_then(|found| rest.get(found..)) {
        if Header::decode(header).is_some_and(|header| u64::from(header.durable) > offset) {
            return true;
        }
        rest = header.get(1..).unwrap_or_default();
    }
    false
}

/// Where the segment of that number lies.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.log"))
}

/// The number of the segment of that file name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

pub(super) fn encode_header(node: NodeId, previous: Option<Position>, origin: Origin) -> Vec<u8> {
    let flags = u8::from(previous.is_some()) | u8::from(origin == Origin::Anew) << 1;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&[VERSION, flags, 0, 0]);
    let position = previous.unwrap_or(Position { term: 0, leader: 0, index: 0 });
    for field in [node.get(), position.index, position.term, position.leader] {
        put_u64(&mut out, field);
    }
    out.resize(SEGMENT_HEADER_LENGTH - 4, 0);
    let crc = crc32fast::hash(&out);
    put_u32(&mut out, crc);
    out
}

/// The entry before the segment and why it begins there, if these bytes begin a segment of that node.
pub(super) fn decode_header(bytes: &[u8], node: NodeId) -> Option<(Option<Position>, Origin)> {
    let (checked, crc) = bytes.get(..SEGMENT_HEADER_LENGTH)?.split_at_checked(SEGMENT_HEADER_LENGTH - 4)?;
    let sound = crc32fast::hash(checked) == take_u32(crc, 0)?;
    let ours = bytes.get(..4)? == MAGIC && *bytes.get(4)? == VERSION && take_u64(bytes, 8)? == node.get();
    let position = Position { index: take_u64(bytes, 16)?, term: take_u64(bytes, 24)?, leader: take_u64(bytes, 32)? };
    let flags = *bytes.get(5)?;
    let origin = if flags & 2 == 0 { Origin::Continues } else { Origin::Anew };
    (sound && ours).then_some(((flags & 1 != 0).then_some(position), origin))
}
