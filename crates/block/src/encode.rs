//! From plain bytes to the stored form.

use std::borrow::Cow;

use bytes::Bytes;
use types::Digest;
use zstd::bulk::Compressor;

use crate::table::{FRAME_LENGTH, PLAIN_LENGTH_MAX, write_head};
use crate::{BlockError, digest};

/// Level 1: the rest of the system is as fast as that, and higher levels gain little on frames of 64 KiB.
const LEVEL: i32 = 1;
/// Compression must save at least one part in this many, or reading back costs more than the space is worth.
const SAVING: usize = 16;

/// A block in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The bytes that are stored, sent and backed up as they are.
    pub stored: Bytes,
    /// The BLAKE3 digest of the plain bytes.
    pub digest: Digest,
    /// How many plain bytes there are.
    pub plain_length: u32,
}

/// Encodes a block.
///
/// # Errors
/// There are more bytes than a block may have.
pub fn encode(plain: &[u8]) -> Result<Encoded, BlockError> {
    let too_long = BlockError::TooLong { length: plain.len(), limit: PLAIN_LENGTH_MAX };
    let plain_length = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= PLAIN_LENGTH_MAX).ok_or(too_long)?;
    let mut compressor = Compressor::new(LEVEL).ok();
    let frames: Vec<_> = plain.chunks(FRAME_LENGTH).map(|frame| store(compressor.as_mut(), frame)).collect();
    let mut stored = write_head(plain.len(), &frames);
    frames.iter().for_each(|frame| stored.extend_from_slice(frame));
    Ok(Encoded { stored: stored.into(), digest: digest(plain), plain_length })
}

/// Compresses a frame if that pays. A compressor that fails costs space, never the data.
fn store<'a>(compressor: Option<&mut Compressor<'_>>, plain: &'a [u8]) -> Cow<'a, [u8]> {
    let compressed = compressor.and_then(|compressor| compressor.compress(plain).ok());
    let limit = plain.len() - plain.len().div_ceil(SAVING);
    match compressed.filter(|compressed| compressed.len() <= limit) {
        Some(compressed) => Cow::Owned(compressed),
        None => Cow::Borrowed(plain),
    }
}
