//! Slots: what is sealed as one piece in an upload object.
//!
//! A sealed slot is codec (1 byte), opened length (4), nonce (12), sealed text, tag (16). Codec and length are clear and
//! authenticated, so that a reader knows how much it will get before it opens anything.

use bytes::Bytes;
use types::{BLOCK_LENGTH_MAX, RepositoryId};

use super::OBJECT_VERSION;
use super::parts::Parts;
use crate::keys::{Sealer, Secret, TAG_LENGTH, WriterKeys, slot_nonce};
use crate::rows::{KeyedDigest, Location, MemberCodec};

/// The most bytes of an opened slot: a block that does not compress, with its frame table, or a bundle.
pub(super) const SLOT_LENGTH_MAX: usize = 8 << 20;

/// The most bytes of a sealed slot: zstd adds less than a 128th to what it cannot compress; head and tag are 33 bytes.
pub(crate) const SEALED_LENGTH_MAX: usize = SLOT_LENGTH_MAX + SLOT_LENGTH_MAX / 128 + 64;

/// How the text of a slot is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotCodec {
    /// As it is: its members are compressed already.
    Plain,
    /// As one zstd frame: inline data is compressed together (rule P31).
    Zstd,
}

impl SlotCodec {
    const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 1,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// What every slot of an object shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotContext {
    pub(super) repository: RepositoryId,
    pub(super) salt: [u8; 16],
}

impl SlotContext {
    /// What is authenticated with a slot: with it, a slot that is moved to another place, object or repository does not
    /// open (rule P29).
    fn authenticated(&self, slot: u32, codec: SlotCodec, text_length: usize, opened_length: u32) -> Vec<u8> {
        let text_length = u32::try_from(text_length).unwrap_or(u32::MAX);
        let mut context = vec![OBJECT_VERSION];
        context.extend_from_slice(self.repository.0.as_bytes());
        context.extend_from_slice(&self.salt);
        context.extend_from_slice(&slot.to_be_bytes());
        context.push(codec.code());
        context.extend_from_slice(&text_length.to_be_bytes());
        context.extend_from_slice(&opened_length.to_be_bytes());
        context
    }

    /// Seals a slot.
    pub(super) fn seal(
        &self,
        key: &Secret,
        slot: u32,
        codec: SlotCodec,
        mut text: Vec<u8>,
        opened_length: u32,
    ) -> Vec<u8> {
        let nonce = slot_nonce(key, slot, blake3::hash(&text).as_bytes());
        let context = self.authenticated(slot, codec, text.len(), opened_length);
        Sealer::new(key).seal(nonce, &context, &mut text);
        [&[codec.code()][..], &opened_length.to_be_bytes(), &nonce, &text].concat()
    }

    /// Opens a slot; the error says what is wrong with it.
    pub(super) fn open(&self, key: &Secret, slot: u32, sealed: &[u8]) -> Result<OpenedSlot, &'static str> {
        let mut parts = Parts(sealed);
        let codec = parts.u8().and_then(SlotCodec::from_code).ok_or("a slot has an unknown codec")?;
        let opened_length = parts.u32().ok_or("a slot is cut")?;
        let nonce = *parts.array().ok_or("a slot is cut")?;
        let mut text = parts.0.to_vec();
        let text_length = text.len().checked_sub(TAG_LENGTH).ok_or("a slot is cut")?;
        let context = self.authenticated(slot, codec, text_length, opened_length);
        let opened = Sealer::new(key).open(nonce, &context, &mut text);
        opened.map_err(|_| "a slot does not open: its bytes were changed or moved")?;
        let length = usize::try_from(opened_length).ok().filter(|length| *length <= SLOT_LENGTH_MAX);
        let length = length.ok_or("a slot is larger than the format allows")?;
        let bytes = match codec {
            SlotCodec::Plain => text,
            SlotCodec::Zstd => zstd::bulk::decompress(&text, length).map_err(|_| "a slot does not decompress")?,
        };
        if bytes.len() == length { Ok(OpenedSlot { bytes: bytes.into() }) } else { Err("a slot has a wrong length") }
    }
}

/// The bytes of an opened slot: one or many members.
#[derive(Clone, Debug)]
pub struct OpenedSlot {
    bytes: Bytes,
}

impl OpenedSlot {
    /// Gives the plain bytes of a member, checked against its digest (law 3); the error says what is wrong with it.
    pub(crate) fn member(
        &self,
        location: &Location,
        digest: &KeyedDigest,
        keys: &WriterKeys,
    ) -> Result<Bytes, &'static str> {
        let stored = self.stored(location).ok_or("a member lies outside of its slot")?;
        if location.plain_length > BLOCK_LENGTH_MAX {
            return Err("a member is longer than a block");
        }
        let plain = match location.codec {
            MemberCodec::Plain => stored,
            MemberCodec::Frames => block::decode_range(&stored, 0, location.plain_length)
                .map_err(|_| "the frames of a member are damaged")?,
        };
        if plain.len() as u64 != u64::from(location.plain_length) {
            return Err("a member has a wrong length");
        }
        if keys.keyed(&block::digest(&plain)) == *digest { Ok(plain) } else { Err("a member has a wrong digest") }
    }

    fn stored(&self, location: &Location) -> Option<Bytes> {
        let start = usize::try_from(location.offset).ok()?;
        let end = start.checked_add(usize::try_from(location.stored_length).ok()?)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }
}
