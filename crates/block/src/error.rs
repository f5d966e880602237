//! What can be wrong with a block.

use std::io;

use thiserror::Error;
use types::{Digest, ErrorKind};

/// A block cannot be encoded, or its stored bytes are not what was encoded.
#[derive(Debug, Error)]
pub enum BlockError {
    /// More plain bytes than a block may have.
    #[error("a block of {length} bytes is too long: at most {limit}")]
    TooLong {
        /// The plain length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The range does not lie within the block.
    #[error("the range of {length} bytes at {offset} is outside of a block of {plain_length} bytes")]
    OutOfRange {
        /// Where the range begins in the plain bytes.
        offset: u32,
        /// Its length, in bytes.
        length: u32,
        /// The block's plain length, in bytes.
        plain_length: u32,
    },
    /// A stored form of a later release.
    #[error("the stored form has version {version}, which this release does not know")]
    UnknownVersion {
        /// The first byte.
        version: u8,
    },
    /// The stored bytes end too early, or go on after the last frame.
    #[error("the stored block has {found} bytes and should have {expected}")]
    WrongLength {
        /// How many bytes there should be, as far as is known.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The header or the frame table is not what was written.
    #[error("the frame table is damaged: its checksum is {found:08x} and should be {expected:08x}")]
    TableDamaged {
        /// The CRC-32 that was stored.
        expected: u32,
        /// The CRC-32 of the bytes.
        found: u32,
    },
    /// The frame table has the right checksum and yet makes no sense.
    #[error("the frame table gives frame {frame} {stored_length} stored bytes for {plain_length} plain ones")]
    BadFrameLength {
        /// The frame's index.
        frame: usize,
        /// Its stored length, in bytes.
        stored_length: usize,
        /// Its plain length, in bytes.
        plain_length: usize,
    },
    /// A frame is not what was written.
    #[error("frame {frame} is damaged: its checksum is {found:08x} and should be {expected:08x}")]
    FrameDamaged {
        /// The frame's index.
        frame: usize,
        /// The CRC-32 in the table.
        expected: u32,
        /// The CRC-32 of the bytes.
        found: u32,
    },
    /// A frame has the right checksum and yet does not decompress to its length.
    #[error("frame {frame} does not decompress to {plain_length} bytes")]
    FrameUnreadable {
        /// The frame's index.
        frame: usize,
        /// Its plain length, in bytes.
        plain_length: usize,
        /// What zstd says; none if it gave fewer bytes.
        #[source]
        source: Option<io::Error>,
    },
    /// The plain bytes are not those that the block was made of.
    #[error("the block has the digest {found} and should have {expected}")]
    WrongDigest {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of the plain bytes.
        found: Digest,
    },
}

impl BlockError {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLong { .. } | Self::OutOfRange { .. } => ErrorKind::InvalidRequest,
            Self::UnknownVersion { .. } => ErrorKind::Unsupported,
            Self::WrongLength { .. }
            | Self::TableDamaged { .. }
            | Self::BadFrameLength { .. }
            | Self::FrameDamaged { .. }
            | Self::FrameUnreadable { .. }
            | Self::WrongDigest { .. } => ErrorKind::Corrupt,
        }
    }
}
