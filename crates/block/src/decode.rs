//! From the stored form to plain bytes, and the checks on the way.

use bytes::Bytes;
use types::Digest;
use zstd::bulk::Decompressor;

use crate::table::Frame;
use crate::{BlockError, FrameTable};

/// The digest of plain bytes.
#[must_use]
pub fn digest(plain: &[u8]) -> Digest {
    Digest(*blake3::hash(plain).as_bytes())
}

/// How many plain bytes a stored block has. Checks the head, not the frames.
///
/// # Errors
/// The head is damaged or of another version.
pub fn plain_length(stored: &[u8]) -> Result<u32, BlockError> {
    Ok(FrameTable::parse(stored)?.plain_length())
}

/// Checks the stored bytes by their CRC-32s, for those who move them (law 3).
///
/// # Errors
/// They are not what was encoded.
pub fn check(stored: &[u8]) -> Result<(), BlockError> {
    let table = whole_table(stored)?;
    table.frames().iter().try_for_each(|frame| checked(frame, stored, 0).map(drop))
}

/// Makes the plain bytes of a whole block and checks their digest (law 3).
///
/// # Errors
/// The stored bytes are not what was encoded, or the block is another one.
pub fn decode(stored: &[u8], expected: &Digest) -> Result<Bytes, BlockError> {
    let table = whole_table(stored)?;
    let plain = open(table.frames(), stored, 0)?;
    let found = digest(&plain);
    if found == *expected { Ok(plain.into()) } else { Err(BlockError::WrongDigest { expected: *expected, found }) }
}

/// Makes a range of a block's plain bytes, and opens only the frames that hold it, each checked by its CRC-32.
///
/// # Errors
/// The range lies outside of the block, or the bytes that it needs are not what was encoded.
pub fn decode_range(stored: &[u8], offset: u32, length: u32) -> Result<Bytes, BlockError> {
    let table = whole_table(stored)?;
    decode_frames(&table, offset, length, stored, 0)
}

impl FrameTable {
    /// Makes a range of a block's plain bytes from the stored bytes of [`FrameTable::stored_range`] alone.
    ///
    /// # Errors
    /// The range lies outside of the block, or the bytes are not what was encoded.
    pub fn decode_range(&self, offset: u32, length: u32, stored: &[u8]) -> Result<Bytes, BlockError> {
        let begin = self.stored_range(offset, length)?.start;
        decode_frames(self, offset, length, stored, begin)
    }
}

/// The table of a stored block that has exactly the length that it says.
fn whole_table(stored: &[u8]) -> Result<FrameTable, BlockError> {
    let table = FrameTable::parse(stored)?;
    let (expected, found) = (table.stored_length(), stored.len());
    if expected == found { Ok(table) } else { Err(BlockError::WrongLength { expected, found }) }
}

/// `part` is the stored block from `begin` on.
fn decode_frames(table: &FrameTable, offset: u32, length: u32, part: &[u8], begin: usize) -> Result<Bytes, BlockError> {
    let frames = table.frames_of(offset, length)?;
    let plain = Bytes::from(open(frames, part, begin)?);
    let skipped = frames.first().map_or(0, |first| offset as usize - first.plain_offset);
    Ok(plain.slice(skipped..skipped + length as usize))
}

/// Opens neighbouring frames into one buffer.
fn open(frames: &[Frame], part: &[u8], begin: usize) -> Result<Vec<u8>, BlockError> {
    let mut plain = Vec::with_capacity(frames.iter().map(|frame| frame.plain_length).sum());
    let mut decompressor = None;
    for frame in frames {
        let stored = checked(frame, part, begin)?;
        if frame.is_raw() {
            plain.extend_from_slice(stored);
        } else {
            plain.extend_from_slice(&decompress(&mut decompressor, frame, stored)?);
        }
    }
    Ok(plain)
}

/// The stored bytes of a frame, checked.
fn checked<'a>(frame: &Frame, part: &'a [u8], begin: usize) -> Result<&'a [u8], BlockError> {
    let range = frame.stored.start.saturating_sub(begin)..frame.stored.end.saturating_sub(begin);
    let stored = part.get(range.clone()).ok_or(BlockError::WrongLength { expected: range.end, found: part.len() })?;
    let (expected, found) = (frame.crc, crc32fast::hash(stored));
    if expected == found { Ok(stored) } else { Err(BlockError::FrameDamaged { frame: frame.index, expected, found }) }
}

fn decompress(
    decompressor: &mut Option<Decompressor<'static>>,
    frame: &Frame,
    stored: &[u8],
) -> Result<Vec<u8>, BlockError> {
    let unreadable =
        |source| BlockError::FrameUnreadable { frame: frame.index, plain_length: frame.plain_length, source };
    let decompressor = match decompressor {
        Some(decompressor) => decompressor,
        none => none.insert(Decompressor::new().map_err(|error| unreadable(Some(error)))?),
    };
    let plain = decompressor.decompress(stored, frame.plain_length).map_err(|error| unreadable(Some(error)))?;
    if plain.len() == frame.plain_length { Ok(plain) } else { Err(unreadable(None)) }
}
