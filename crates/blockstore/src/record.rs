//! Records: what a segment is made of.
//!
//! The checksum of a record's header covers the volume, the segment and the offset too, though they are not stored. So a
//! header is one only where it was written: bytes of a segment that somebody stores as a file, a misdirected write, or a
//! segment of another volume never look like records.

use block::STORED_LENGTH_MAX;
use types::{BlockId, Digest, PgId};

use crate::fields::Fields;
use crate::segment::SegmentId;

/// How many bytes the header of a record has; the payload follows it.
pub(crate) const RECORD_HEADER_LENGTH: usize = 88;
/// Records begin at multiples of this, which makes it quick to find the next one behind damage.
pub(crate) const RECORD_ALIGNMENT: u64 = 8;
/// What a record begins with.
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"HFRE";

pub(crate) const VERSION: u8 = 1;

/// What a record means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// The block is here.
    Block,
    /// The block is no longer held.
    Tombstone,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    pub(crate) id: BlockId,
    pub(crate) pg: PgId,
    pub(crate) digest: Digest,
    pub(crate) plain_length: u32,
    pub(crate) payload_length: u32,
    pub(crate) payload_crc: u32,
    /// The segment was synced up to here before this record was written.
    pub(crate) synced_before: u64,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) offset: u64,
}

impl RecordHeader {
    /// The header of a removal.
    pub(crate) fn tombstone(id: BlockId) -> Self {
        Self {
            kind: RecordKind::Tombstone,
            id,
            pg: PgId::default(),
            digest: Digest::default(),
            plain_length: 0,
            payload_length: 0,
            payload_crc: 0,
            synced_before: 0,
        }
    }

    /// How many bytes header and payload take, with the padding behind them.
    pub(crate) const fn record_length(&self) -> u64 {
        record_length(self.payload_length)
    }

    pub(crate) fn to_bytes(self, place: Place) -> [u8; RECORD_HEADER_LENGTH] {
        let mut bytes = Vec::with_capacity(RECORD_HEADER_LENGTH);
        bytes.extend_from_slice(&RECORD_MAGIC);
        bytes.extend_from_slice(&[VERSION, self.kind.to_byte(), 0, 0]);
        bytes.extend_from_slice(&self.id.to_bytes());
        bytes.extend_from_slice(&self.pg.0.to_le_bytes());
        bytes.extend_from_slice(&self.plain_length.to_le_bytes());
        bytes.extend_from_slice(&self.payload_length.to_le_bytes());
        bytes.extend_from_slice(&self.payload_crc.to_le_bytes());
        bytes.extend_from_slice(&self.synced_before.to_le_bytes());
        bytes.extend_from_slice(&self.digest.0);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&place.checksum(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields above have 88 bytes")
    }

    /// Reads the header of the record at that place; none if the bytes are not one of there.
    pub(crate) fn parse(bytes: &[u8], place: Place) -> Option<Self> {
        let (covered, checksum) = bytes.get(..RECORD_HEADER_LENGTH)?.split_last_chunk::<4>()?;
        let mut fields = Fields(covered);
        let sound = fields.take()? == RECORD_MAGIC && fields.u8()? == VERSION;
        if !sound || place.checksum(covered) != u32::from_le_bytes(*checksum) {
            return None;
        }
        Self::from_fields(&mut fields).filter(|header| header.payload_length as usize <= STORED_LENGTH_MAX)
    }

    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let kind = RecordKind::from_byte(fields.u8()?)?;
        let _: [u8; 2] = fields.take()?;
        Some(Self {
            kind,
            id: BlockId::from_bytes(fields.take()?),
            pg: PgId(fields.u32()?),
            plain_length: fields.u32()?,
            payload_length: fields.u32()?,
            payload_crc: fields.u32()?,
            synced_before: fields.u64()?,
            digest: Digest(fields.take()?),
        })
    }
}

/// How many bytes a record of that payload takes, with the padding behind it.
pub(crate) const fn record_length(payload_length: u32) -> u64 {
    (RECORD_HEADER_LENGTH as u64 + payload_length as u64).next_multiple_of(RECORD_ALIGNMENT)
}

impl RecordKind {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Block => 1,
            Self::Tombstone => 2,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Block),
            2 => Some(Self::Tombstone),
            _ => None,
        }
    }
}

impl Place {
    pub(crate) fn checksum(self, covered: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.segment.volume.0.as_bytes());
        hasher.update(&self.segment.number.0.to_le_bytes());
        hasher.update(&self.offset.to_le_bytes());
        hasher.update(covered);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use types::{SessionId, VolumeId};
    use uuid::Uuid;

    use super::*;
    use crate::segment::SegmentNumber;

    fn place(volume: u128, number: u64, offset: u64) -> Place {
        Place {
            segment: SegmentId { volume: VolumeId(Uuid::from_u128(volume)), number: SegmentNumber(number) },
            offset,
        }
    }

    fn header() -> RecordHeader {
        RecordHeader {
            kind: RecordKind::Block,
            id: BlockId { session: SessionId(3), sequence: 4 },
            pg: PgId(5),
            digest: Digest([6; 32]),
            plain_length: 7,
            payload_length: 8,
            payload_crc: 9,
            synced_before: 10,
        }
    }

    #[test]
    fn a_header_comes_back_at_its_place_and_nowhere_else() {
        let bytes = header().to_bytes(place(1, 2, 56));
        assert_eq!(RecordHeader::parse(&bytes, place(1, 2, 56)), Some(header()));
        for elsewhere in [place(2, 2, 56), place(1, 3, 56), place(1, 2, 64)] {
            assert_eq!(RecordHeader::parse(&bytes, elsewhere), None);
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_found() {
        let good = header().to_bytes(place(1, 2, 56));
        assert!((0..good.len()).all(|length| RecordHeader::parse(&good[..length], place(1, 2, 56)).is_none()));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::parse(&bad, place(1, 2, 56)), None, "bit {bit}");
        }
    }

    #[test]
    fn records_begin_at_multiples_of_eight() {
        assert_eq!([0, 1, 8, 9].map(record_length), [88, 96, 96, 104]);
    }
}
