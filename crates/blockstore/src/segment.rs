//! Segments: their numbers, names and headers.

use std::ffi::OsStr;

use types::VolumeId;
use uuid::Uuid;

use crate::fields::Fields;

/// How many bytes the header of a segment has; the first record follows it.
pub(crate) const SEGMENT_HEADER_LENGTH: u64 = HEADER_LENGTH as u64;

const HEADER_LENGTH: usize = 56;
const MAGIC: [u8; 8] = *b"HFSEGMNT";
pub(crate) const VERSION: u8 = 1;

/// The number of a segment; the first one has 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentNumber(pub(crate) u64);

/// A segment of a volume: what makes a place in it different from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) volume: VolumeId,
    pub(crate) number: SegmentNumber,
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) id: SegmentId,
    /// How long the segment of the number before was when it was closed; zero if there was none.
    pub(crate) previous_length: u64,
}

impl SegmentNumber {
    pub(crate) const FIRST: Self = Self(1);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(crate) fn file_name(self) -> String {
        format!("{:016x}.segment", self.0)
    }

    pub(crate) fn from_file_name(name: &OsStr) -> Option<Self> {
        let number = u64::from_str_radix(name.to_str()?.strip_suffix(".segment")?, 16).ok().map(Self)?;
        // The first one has 1, and there is always a next one.
        let is_one = number >= Self::FIRST && number.0 < u64::MAX;
        (is_one && number.file_name().as_str() == name).then_some(number)
    }
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(self.id.volume.0.as_bytes());
        bytes.extend_from_slice(&self.id.number.0.to_le_bytes());
        bytes.extend_from_slice(&self.previous_length.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields above have 56 bytes")
    }

    /// Reads a header; none if the bytes are not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (covered, checksum) = bytes.get(..HEADER_LENGTH)?.split_last_chunk::<4>()?;
        let mut fields = Fields(covered);
        let sound = fields.take()? == MAGIC && crc32fast::hash(covered) == u32::from_le_bytes(*checksum);
        let [version, ..] = fields.take::<8>()?;
        if !sound || version != VERSION {
            return None;
        }
        let volume = VolumeId(Uuid::from_bytes(fields.take()?));
        let id = SegmentId { volume, number: SegmentNumber(fields.u64()?) };
        Some(Self { id, previous_length: fields.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back_and_sort_by_number() {
        let names = [1, 9, 10, 255, 256, u64::MAX].map(|number| SegmentNumber(number).file_name());
        assert!(names.is_sorted());
        assert_eq!(SegmentNumber::from_file_name(OsStr::new(&names[3])), Some(SegmentNumber(255)));
        for other in [
            "1.segment",
            "0000000000000000.segment",
            "00000000000000FF.segment",
            "00000000000000ff.segment.new",
            "volume",
        ] {
            assert_eq!(SegmentNumber::from_file_name(OsStr::new(other)), None);
        }
    }

    #[test]
    fn a_header_comes_back_and_a_damaged_one_does_not() {
        let id = SegmentId { volume: VolumeId(Uuid::from_u128(5)), number: SegmentNumber(7) };
        let header = SegmentHeader { id, previous_length: 99 };
        let good = header.to_bytes();
        assert_eq!(SegmentHeader::parse(&good), Some(header));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::parse(&bad), None);
        }
    }
}
