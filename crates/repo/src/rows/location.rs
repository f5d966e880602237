//! Where the bytes of a block are.

use std::fmt;

use serde::{Deserialize, Serialize};
use types::{BLOCK_LENGTH_MAX, Epoch};

use crate::object::SEALED_LENGTH_MAX;

/// A block's digest under the repository's digest key: equal blocks have equal ones, and without the key it tells
/// nothing about the bytes (rule P29).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyedDigest(pub [u8; 32]);

impl fmt::Display for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Objects of one epoch, at most: the width of the ordinal in an [`ObjectNumber`].
const ORDINAL_BITS: u32 = 24;

/// The number of an upload object: its epoch, and its place among the sorted names of that epoch's objects. Inside of an
/// object's own footer, before coalescing has given the numbers, 0 is the object itself and n the n-th name in the
/// footer's list of references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectNumber(pub u64);

impl ObjectNumber {
    /// In a footer: the object itself.
    pub const OWN: Self = Self(0);

    /// The number of the object with that ordinal in an epoch; `None` beyond 2²⁴ objects or 2⁴⁰ epochs.
    #[must_use]
    pub fn new(epoch: Epoch, ordinal: usize) -> Option<Self> {
        let ordinal = u64::try_from(ordinal).ok().filter(|ordinal| ordinal >> ORDINAL_BITS == 0)?;
        let high = epoch.0.checked_mul(1 << ORDINAL_BITS)?;
        (epoch.0 > 0).then_some(Self(high | ordinal))
    }

    /// The epoch of the object; zero if the number is a footer's own.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        Epoch(self.0 >> ORDINAL_BITS)
    }

    /// Whether the number means something in one footer only.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0 >> ORDINAL_BITS == 0
    }
}

impl fmt::Display for ObjectNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> ORDINAL_BITS, self.0 & ((1 << ORDINAL_BITS) - 1))
    }
}

/// How the bytes of a member of a slot are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MemberCodec {
    /// As they are.
    Plain,
    /// As the block store keeps them: frames and frame table (`block/FORMAT.md`).
    Frames,
}

impl MemberCodec {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Frames => 1,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Frames),
            _ => None,
        }
    }
}

/// Where a block is: an object, the bytes of a sealed slot in it, and a member in the opened slot. With the object's
/// row in `objects` this is all that is needed to read the block with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The object.
    pub object: ObjectNumber,
    /// The slot.
    pub slot: u32,
    /// Where the sealed slot begins in the object.
    pub slot_offset: u64,
    /// The length of the sealed slot.
    pub slot_length: u32,
    /// Where the member begins in the opened slot.
    pub offset: u32,
    /// The member's length in the opened slot.
    pub stored_length: u32,
    /// The length of the block's plain bytes.
    pub plain_length: u32,
    /// How the member is stored.
    pub codec: MemberCodec,
}

impl Location {
    /// Whether slot and block are no longer than any may be. A reader makes room for both before it can open and check
    /// them, and the tables are only as honest as whoever held the metadata key.
    #[must_use]
    pub const fn is_within_limits(&self) -> bool {
        self.plain_length <= BLOCK_LENGTH_MAX && self.slot_length as usize <= SEALED_LENGTH_MAX
    }
}
