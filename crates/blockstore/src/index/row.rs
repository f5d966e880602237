//! Values of the index. Each begins with its version.

use types::{Digest, PgId, VolumeId};
use uuid::Uuid;

use crate::fields::Fields;
use crate::record::{RECORD_HEADER_LENGTH, RecordHeader, record_length};
use crate::segment::SegmentNumber;

pub(crate) const VERSION: u8 = 2;

/// Where a block is, and what is known of it without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) state: RowState,
    pub(crate) segment: SegmentNumber,
    /// Where its record begins.
    pub(crate) offset: u64,
    pub(crate) payload_length: u32,
    pub(crate) plain_length: u32,
    pub(crate) pg: PgId,
    pub(crate) digest: Digest,
}

/// Whether the block can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    Held,
    /// Its bytes were found to be bad.
    Quarantined,
}

/// How much of a segment is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentUse {
    pub(crate) live_blocks: u64,
    /// With headers and padding.
    pub(crate) live_bytes: u64,
    /// Blocks in quarantine, which are not among the live ones.
    pub(crate) quarantined: u64,
    /// Tombstones that are the last word on their block while older records of it are there.
    pub(crate) tombstones: u64,
    /// All that was ever written to it.
    pub(crate) length: u64,
}

/// The records up to here are in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) volume: VolumeId,
    pub(crate) segment: SegmentNumber,
    pub(crate) offset: u64,
}

impl Row {
    pub(crate) const fn of(header: &RecordHeader, segment: SegmentNumber, offset: u64) -> Self {
        Self {
            state: RowState::Held,
            segment,
            offset,
            payload_length: header.payload_length,
            plain_length: header.plain_length,
            pg: header.pg,
            digest: header.digest,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.state == RowState::Held
    }

    pub(crate) const fn record_length(&self) -> u64 {
        record_length(self.payload_length)
    }

    /// Where its record begins: no other record ever has the same place.
    pub(crate) const fn place(&self) -> (SegmentNumber, u64) {
        (self.segment, self.offset)
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION, matches!(self.state, RowState::Quarantined).into()];
        bytes.extend_from_slice(&self.segment.0.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.payload_length.to_le_bytes());
        bytes.extend_from_slice(&self.plain_length.to_le_bytes());
        bytes.extend_from_slice(&self.pg.0.to_le_bytes());
        bytes.extend_from_slice(&self.digest.0);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = versioned(bytes)?;
        let state = match fields.u8()? {
            0 => RowState::Held,
            1 => RowState::Quarantined,
            _ => return None,
        };
        let row = Self {
            state,
            segment: SegmentNumber(fields.u64()?),
            offset: fields.u64()?,
            payload_length: fields.u32()?,
            plain_length: fields.u32()?,
            pg: PgId(fields.u32()?),
            digest: Digest(fields.take()?),
        };
        fields.0.is_empty().then_some(row)
    }
}

impl SegmentUse {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            live_blocks: self.live_blocks + other.live_blocks,
            live_bytes: self.live_bytes + other.live_bytes,
            quarantined: self.quarantined + other.quarantined,
            tombstones: self.tombstones + other.tombstones,
            length: self.length + other.length,
        }
    }

    /// Whether nothing in the segment is needed any more.
    pub(crate) const fn is_vacant(&self) -> bool {
        self.live_blocks == 0 && self.quarantined == 0 && self.tombstones == 0
    }

    /// Whether less than half of the segment is needed. One with a block in quarantine is not counted: it could not be
    /// removed, so that copying the others would give nothing back.
    pub(crate) const fn is_sparse(&self) -> bool {
        let needed = self.live_bytes + self.tombstones * RECORD_HEADER_LENGTH as u64;
        self.quarantined == 0 && needed * 2 < self.length
    }

    pub(super) fn add(&mut self, row: &Row) {
        if row.is_held() {
            self.live_blocks += 1;
            self.live_bytes += row.record_length();
        } else {
            self.quarantined += 1;
        }
    }

    pub(super) fn subtract(&mut self, row: &Row) {
        if row.is_held() {
            self.live_blocks = self.live_blocks.saturating_sub(1);
            self.live_bytes = self.live_bytes.saturating_sub(row.record_length());
        } else {
            self.quarantined = self.quarantined.saturating_sub(1);
        }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for number in [self.live_blocks, self.live_bytes, self.quarantined, self.tombstones, self.length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = versioned(bytes)?;
        let used = Self {
            live_blocks: fields.u64()?,
            live_bytes: fields.u64()?,
            quarantined: fields.u64()?,
            tombstones: fields.u64()?,
            length: fields.u64()?,
        };
        fields.0.is_empty().then_some(used)
    }
}

impl Covered {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(self.volume.0.as_bytes());
        bytes.extend_from_slice(&self.segment.0.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = versioned(bytes)?;
        let covered = Self {
            volume: VolumeId(Uuid::from_bytes(fields.take()?)),
            segment: SegmentNumber(fields.u64()?),
            offset: fields.u64()?,
        };
        fields.0.is_empty().then_some(covered)
    }
}

/// Whether a value was written by this release.
pub(super) fn has_version(bytes: &[u8]) -> bool {
    versioned(bytes).is_some()
}

/// The segment of a tombstone, as a value.
pub(super) fn tombstone_to_bytes(segment: SegmentNumber) -> Vec<u8> {
    [&[VERSION][..], &segment.0.to_le_bytes()].concat()
}

pub(super) fn parse_tombstone(bytes: &[u8]) -> Option<SegmentNumber> {
    let mut fields = versioned(bytes)?;
    let segment = SegmentNumber(fields.u64()?);
    fields.0.is_empty().then_some(segment)
}

fn versioned(bytes: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Fields(bytes);
    (fields.u8()? == VERSION).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_cut_or_longer_ones_do_not() {
        let state = RowState::Quarantined;
        let (segment, pg) = (SegmentNumber(2), PgId(6));
        let row = Row { state, segment, offset: 3, payload_length: 4, plain_length: 5, pg, digest: Digest([7; 32]) };
        let bytes = row.to_bytes();
        assert_eq!(Row::parse(&bytes), Some(row));
        assert!((0..bytes.len()).all(|length| Row::parse(&bytes[..length]).is_none()));
        let longer = |bytes: Vec<u8>| [&bytes[..], &[0]].concat();
        assert_eq!(Row::parse(&longer(bytes)), None);

        let used = SegmentUse { live_blocks: 1, live_bytes: 2, quarantined: 3, tombstones: 4, length: 5 };
        assert_eq!(SegmentUse::parse(&used.to_bytes()), Some(used));
        assert_eq!(SegmentUse::parse(&longer(used.to_bytes())), None);

        let covered = Covered { volume: VolumeId(Uuid::from_u128(1)), segment, offset: 9 };
        assert_eq!(Covered::parse(&covered.to_bytes()), Some(covered));
        assert_eq!(Covered::parse(&longer(covered.to_bytes())), None);

        assert_eq!(parse_tombstone(&tombstone_to_bytes(segment)), Some(segment));
        assert_eq!(parse_tombstone(&longer(tombstone_to_bytes(segment))), None);
    }
}
