//! The segments that are gone: their blocks were copied, and nothing in them is needed any more.
//!
//! Without this record a rebuild of the index could not tell such a segment from one that was lost. It is kept as ranges,
//! so that it is never longer than the list of the segments that are there. It is the same file all the time, replaced as
//! a whole; a damaged one costs no block: then segments that are gone are told as lost if the index is rebuilt.

use std::collections::BTreeMap;
use std::path::Path;

use runtime::{FileError, Files};
use types::VolumeId;

use crate::segment::SegmentNumber;
use crate::volume_file::Kind;

pub(crate) const VERSION: u8 = 1;
const KIND: Kind = Kind { magic: *b"HFGO", version: VERSION };

/// A set of segments, as ranges that neither meet nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gone {
    /// The last segment of each range, by the first.
    ranges: BTreeMap<SegmentNumber, SegmentNumber>,
}

impl Gone {
    /// Reads the record of a volume; none is there before the first segment goes.
    pub(crate) fn read(files: &Files, path: &Path, volume: VolumeId) -> Result<Self, FileError> {
        match files.read(path) {
            Ok(bytes) => Ok(Self::parse(&bytes, volume).unwrap_or_else(|| {
                tracing::error!(path = %path.display(), "the record of the segments that are gone is damaged");
                Self::default()
            })),
            Err(error) if error.is_not_found() => Ok(Self::default()),
            Err(error) if error.is_medium() => {
                tracing::error!(%error, "the record of the segments that are gone cannot be read");
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn contains(&self, number: SegmentNumber) -> bool {
        self.ranges.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// The newest one.
    pub(crate) fn last(&self) -> Option<SegmentNumber> {
        self.ranges.last_key_value().map(|(_, last)| *last)
    }

    pub(crate) fn insert(&mut self, number: SegmentNumber) {
        if self.contains(number) {
            return;
        }
        let last = self.ranges.remove(&number.next()).unwrap_or(number);
        let before = self.ranges.range(..number).next_back().filter(|(_, last)| last.next() == number);
        let first = before.map_or(number, |(first, _)| *first);
        self.ranges.insert(first, last);
    }

    pub(crate) fn to_bytes(&self, volume: VolumeId) -> Vec<u8> {
        let ends = self.ranges.iter().flat_map(|(first, last)| [first, last]);
        let body: Vec<u8> = ends.flat_map(|end| end.0.to_le_bytes()).collect();
        KIND.seal([0; 3], volume, &body)
    }

    pub(crate) fn parse(bytes: &[u8], volume: VolumeId) -> Option<Self> {
        let mut fields = KIND.open_of(bytes, volume)?.body;
        let mut gone = Self::default();
        while !fields.0.is_empty() {
            let (first, last) = (SegmentNumber(fields.u64()?), SegmentNumber(fields.u64()?));
            let is_behind = gone.last().is_none_or(|before| before < first);
            if first > last || last.0 == u64::MAX || !is_behind {
                return None;
            }
            gone.ranges.insert(first, last);
        }
        Some(gone)
    }
}

#[cfg(test)]
mod tests {
    use runtime::Seed;
    use uuid::Uuid;

    use super::*;
    use crate::volume_file::tests::assert_only_whole;

    const VOLUME: VolumeId = VolumeId(Uuid::from_u128(7));

    fn gone(numbers: impl IntoIterator<Item = u64>) -> Gone {
        let mut gone = Gone::default();
        numbers.into_iter().for_each(|number| gone.insert(SegmentNumber(number)));
        gone
    }

    #[test]
    fn it_is_a_set_in_whatever_order_segments_go_and_neighbours_are_one_range() {
        let mut numbers: Vec<u64> = (1..=20).filter(|number| number % 5 != 0).collect();
        let seed = Seed::fixed(3);
        for _ in 0..50 {
            numbers.sort_by_cached_key(|_| seed.u64());
            let gone = gone(numbers.iter().copied());
            assert!((0..30).all(|number| gone.contains(SegmentNumber(number)) == numbers.contains(&number)));
            assert_eq!((gone.ranges.len(), gone.last()), (4, Some(SegmentNumber(19))));
        }
    }

    #[test]
    fn it_comes_back_and_a_damaged_or_foreign_one_does_not() {
        let good = gone([1, 2, 5, 9]);
        let bytes = good.to_bytes(VOLUME);
        assert_eq!(Gone::parse(&bytes, VOLUME), Some(good));
        assert_eq!(Gone::parse(&bytes, VolumeId(Uuid::from_u128(8))), None);
        assert_only_whole(&bytes, |bytes| Gone::parse(bytes, VOLUME));
    }
}
