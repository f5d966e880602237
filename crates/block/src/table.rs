//! The head of a stored block: header, frame table and their checksum.

use std::ops::Range;

use types::BLOCK_LENGTH_MAX;

use crate::BlockError;

/// The plain bytes of a frame; the last one of a block may have fewer.
pub const FRAME_LENGTH: usize = 64 << 10;
/// The most stored bytes of a block.
pub const STORED_LENGTH_MAX: usize = head_length(PLAIN_LENGTH_MAX) + PLAIN_LENGTH_MAX;

pub(crate) const PLAIN_LENGTH_MAX: usize = BLOCK_LENGTH_MAX as usize;

pub(crate) const VERSION: u8 = 1;
const HEADER_LENGTH: usize = 5;
const ROW_LENGTH: usize = 8;
const CHECKSUM_LENGTH: usize = 4;

/// How many bytes header, table and checksum take for a block of that many plain bytes.
const fn head_length(plain_length: usize) -> usize {
    HEADER_LENGTH + plain_length.div_ceil(FRAME_LENGTH) * ROW_LENGTH + CHECKSUM_LENGTH
}

/// Where the frames of a stored block are, checked: the lengths are those of a block that can exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameTable {
    plain_length: usize,
    frames: Vec<Frame>,
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its place in the block.
    pub(crate) index: usize,
    /// Where its plain bytes begin in the block's plain bytes.
    pub(crate) plain_offset: usize,
    /// How many plain bytes it has.
    pub(crate) plain_length: usize,
    /// Where its stored bytes are in the stored block.
    pub(crate) stored: Range<usize>,
    /// The CRC-32 of its stored bytes.
    pub(crate) crc: u32,
}

impl Frame {
    /// Whether the stored bytes are the plain ones.
    pub(crate) const fn is_raw(&self) -> bool {
        self.stored.end - self.stored.start == self.plain_length
    }
}

impl FrameTable {
    /// Reads the head of a stored block from its first bytes; all of the block may follow.
    ///
    /// # Errors
    /// The bytes are too few, damaged, or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, BlockError> {
        let plain_length = parse_header(bytes)?;
        let head = bytes.get(..head_length(plain_length)).ok_or_else(|| too_short(bytes, head_length(plain_length)))?;
        let rows = checked_rows(head)?;
        Self::from_rows(plain_length, rows.as_chunks::<ROW_LENGTH>().0)
    }

    /// How many first bytes [`FrameTable::parse`] needs for a block of that plain length.
    #[must_use]
    pub const fn head_length(plain_length: u32) -> usize {
        head_length(plain_length as usize)
    }

    /// The plain length of the whole block, in bytes.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "checked to be a block's length, which has 23 bits")]
    pub const fn plain_length(&self) -> u32 {
        self.plain_length as u32
    }

    /// The stored length of the whole block, in bytes.
    #[must_use]
    pub fn stored_length(&self) -> usize {
        self.frames.last().map_or(head_length(self.plain_length), |frame| frame.stored.end)
    }

    /// Which stored bytes hold a range of the plain bytes.
    ///
    /// # Errors
    /// The range does not lie within the block.
    pub fn stored_range(&self, offset: u32, length: u32) -> Result<Range<usize>, BlockError> {
        let frames = self.frames_of(offset, length)?;
        let (first, last) = (frames.first(), frames.last());
        let empty = self.stored_length()..self.stored_length();
        Ok(first.zip(last).map_or(empty, |(first, last)| first.stored.start..last.stored.end))
    }

    pub(crate) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The frames that hold a range of the plain bytes.
    pub(crate) fn frames_of(&self, offset: u32, length: u32) -> Result<&[Frame], BlockError> {
        let (begin, end) = (offset as usize, offset as usize + length as usize);
        let frames = if length == 0 { 0..0 } else { begin / FRAME_LENGTH..end.div_ceil(FRAME_LENGTH) };
        let outside = || BlockError::OutOfRange { offset, length, plain_length: self.plain_length() };
        self.frames.get(frames).filter(|_| end <= self.plain_length).ok_or_else(outside)
    }

    fn from_rows(plain_length: usize, rows: &[[u8; ROW_LENGTH]]) -> Result<Self, BlockError> {
        let mut frames = Vec::with_capacity(rows.len());
        let mut stored_offset = head_length(plain_length);
        for (index, row) in rows.iter().enumerate() {
            let plain_offset = index * FRAME_LENGTH;
            let frame = parse_row(row, index, stored_offset, (plain_length - plain_offset).min(FRAME_LENGTH))?;
            stored_offset = frame.stored.end;
            frames.push(frame);
        }
        Ok(Self { plain_length, frames })
    }
}

/// Writes the head for frames that are already in their stored form.
pub(crate) fn write_head(plain_length: usize, frames: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut head = Vec::with_capacity(head_length(plain_length));
    head.push(VERSION);
    head.extend_from_slice(&length_bytes(plain_length));
    for stored in frames.iter().map(AsRef::as_ref) {
        head.extend_from_slice(&length_bytes(stored.len()));
        head.extend_from_slice(&crc32fast::hash(stored).to_le_bytes());
    }
    let checksum = crc32fast::hash(&head);
    head.extend_from_slice(&checksum.to_le_bytes());
    head
}

fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("lengths within a block have 23 bits").to_le_bytes()
}

fn parse_header(bytes: &[u8]) -> Result<usize, BlockError> {
    let header = bytes.first_chunk::<HEADER_LENGTH>().ok_or_else(|| too_short(bytes, head_length(0)))?;
    let [version, length @ ..] = *header;
    if version != VERSION {
        return Err(BlockError::UnknownVersion { version });
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > PLAIN_LENGTH_MAX { Err(BlockError::TooLong { length, limit: PLAIN_LENGTH_MAX }) } else { Ok(length) }
}

/// The rows of a head whose checksum is right.
fn checked_rows(head: &[u8]) -> Result<&[u8], BlockError> {
    let (covered, checksum) =
        head.split_last_chunk::<CHECKSUM_LENGTH>().ok_or_else(|| too_short(head, head_length(0)))?;
    let (expected, found) = (u32::from_le_bytes(*checksum), crc32fast::hash(covered));
    if expected != found {
        return Err(BlockError::TableDamaged { expected, found });
    }
    covered.get(HEADER_LENGTH..).ok_or_else(|| too_short(head, head_length(0)))
}

fn parse_row(row: &[u8; ROW_LENGTH], index: usize, begin: usize, plain_length: usize) -> Result<Frame, BlockError> {
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *row;
    let stored_length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if stored_length == 0 || stored_length > plain_length {
        return Err(BlockError::BadFrameLength { frame: index, stored_length, plain_length });
    }
    Ok(Frame {
        index,
        plain_offset: index * FRAME_LENGTH,
        plain_length,
        stored: begin..begin + stored_length,
        crc: u32::from_le_bytes([c0, c1, c2, c3]),
    })
}

fn too_short(bytes: &[u8], expected: usize) -> BlockError {
    BlockError::WrongLength { expected, found: bytes.len() }
}
