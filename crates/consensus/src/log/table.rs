//! The segments of the log and what is in them, shared by the writer and the readers.

use std::collections::VecDeque;

use super::segment::{Segment, Span};
use crate::position::Position;

/// The segments of the log, oldest first; there is always one.
#[derive(Debug)]
pub(super) struct Table {
    pub segments: VecDeque<Segment>,
    /// The last entry that was dropped from the front.
    pub purged: Option<Position>,
    /// Grows whenever entries are dropped from the end, so that a reader notices that its bytes are gone.
    pub truncations: u64,
}

impl Table {
    /// The place of the last entry, or of the last one that was dropped.
    pub fn last(&self) -> Option<Position> {
        let written = self.segments.iter().rev().find_map(|segment| segment.last);
        written.max(self.purged)
    }

    /// The number after the last entry.
    pub fn end(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }

    /// The number of the first entry that is kept, whether it is there yet or not.
    pub fn first(&self) -> u64 {
        let purged = self.purged.map_or(0, |purged| purged.index + 1);
        let written = self.segments.iter().find_map(Segment::first_index).unwrap_or(purged);
        purged.max(written)
    }

    /// The segment that is written to.
    pub fn active(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a log has at least one segment")
    }

    /// The bytes of the first entries of a range, and the number of the first entry after them.
    pub fn span(&self, from: u64, until: u64, bytes_max: usize) -> Option<(Span, u64)> {
        let from = from.max(self.first());
        if from >= until {
            return None;
        }
        self.segments.iter().find_map(|segment| segment.span(from, until, bytes_max))
    }

    /// The bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.end).sum()
    }

    /// The number of the last entry that has at least so many bytes of segments behind it.
    pub fn index_with_bytes_behind(&self, bytes: u64) -> Option<u64> {
        let mut behind = 0;
        for segment in self.segments.iter().rev() {
            if behind >= bytes {
                return segment.last.map(|last| last.index);
            }
            behind += segment.end;
        }
        None
    }
}
