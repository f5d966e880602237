//! Which ranges of which objects a window needs.

use std::collections::BTreeMap;

use repo::{ExtentRecord, Location, ObjectNumber};

use super::Part;
use crate::RestoreOptions;

/// A range of an object that is read with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The object.
    pub object: ObjectNumber,
    /// Where it begins, in bytes.
    pub start: u64,
    /// Where it ends, in bytes.
    pub end: u64,
    /// The wanted slots in it, in order.
    pub slots: Vec<Slot>,
}

/// A sealed slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Where it is; the member's part of it is that of any of the pieces.
    pub location: Location,
    /// What is wanted of it.
    pub pieces: Vec<Wanted>,
}

/// A piece of a file that a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The file's place in the window.
    pub part: usize,
    /// Where the piece begins in the file, in bytes.
    pub offset: u64,
    /// Where its bytes are.
    pub extent: ExtentRecord,
}

/// Sorts what a window wants by object and place, and puts slots that lie close together into one range. Every slot is
/// in one range, and every range is read once.
pub fn ranges(parts: &[Part], options: &RestoreOptions) -> Vec<Range> {
    let mut slots: BTreeMap<(ObjectNumber, u64), Slot> = BTreeMap::new();
    for (part, of) in parts.iter().enumerate() {
        for (offset, extent) in &of.extents {
            let location = extent.location;
            let slot = slots.entry((location.object, location.slot_offset));
            let slot = slot.or_insert_with(|| Slot { location, pieces: Vec::new() });
            slot.pieces.push(Wanted { part, offset: *offset, extent: *extent });
        }
    }
    let mut ranges: Vec<Range> = Vec::new();
    for ((object, start), slot) in slots {
        let end = start.saturating_add(u64::from(slot.location.slot_length));
        match ranges.last_mut() {
            Some(last)
                if last.object == object
                    && start.saturating_sub(last.end) <= options.gap_length
                    && end.saturating_sub(last.start) <= options.range_length =>
            {
                last.end = last.end.max(end);
                last.slots.push(slot);
            }
            _ => ranges.push(Range { object, start, end, slots: vec![slot] }),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use repo::{KeyedDigest, MemberCodec};
    use types::{Epoch, FileKind, Lin, Timestamp};

    use super::*;
    use crate::Metadata;
    use crate::plan::PlannedFile;

    fn extent(object: usize, slot_offset: u64) -> ExtentRecord {
        let location = Location {
            object: ObjectNumber::new(Epoch(1), object).unwrap(),
            slot: 0,
            slot_offset,
            slot_length: 100,
            offset: 0,
            stored_length: 50,
            plain_length: 60,
            codec: MemberCodec::Frames,
        };
        ExtentRecord { length: 60, digest: KeyedDigest::default(), block_offset: 0, location }
    }

    fn part(extents: &[ExtentRecord]) -> Part {
        let time = Timestamp::default();
        let metadata =
            Metadata { kind: FileKind::File, mode: 0, uid: 0, gid: 0, atime: time, mtime: time, xattrs: Vec::new() };
        let file = PlannedFile { lin: Lin(1), paths: Vec::new(), metadata, size: 0 };
        let extents = extents.iter().enumerate().map(|(number, extent)| (number as u64 * 60, *extent)).collect();
        Part { file: Arc::new(file), extents, is_first: true, is_last: true }
    }

    #[test]
    fn neighbours_are_read_together_and_nothing_twice() {
        let options = RestoreOptions { gap_length: 50, range_length: 300, ..RestoreOptions::new(PathBuf::new()) };
        let parts = [
            part(&[extent(1, 100), extent(0, 0), extent(1, 0)]),
            part(&[extent(1, 100), extent(1, 240), extent(1, 400), extent(1, 500)]),
        ];
        let found = ranges(&parts, &options);
        let spans: Vec<_> = found.iter().map(|range| (range.object, range.start, range.end)).collect();
        let number = |ordinal| ObjectNumber::new(Epoch(1), ordinal).unwrap();
        let expected = [(number(0), 0, 100), (number(1), 0, 200), (number(1), 240, 340), (number(1), 400, 600)];
        assert_eq!(spans[..2], expected[..2]);
        assert_eq!(spans.len(), 4, "240..340 would make the range before it too long, 400 lies beyond the gap");
        let pieces: usize = found.iter().flat_map(|range| &range.slots).map(|slot| slot.pieces.len()).sum();
        assert_eq!(pieces, 7);
        assert_eq!(found[1].slots[1].pieces.len(), 2, "a slot that two files want is read once");
    }
}
