//! How far the extents of a file reach, in each backup.

use std::collections::BTreeMap;

use types::FileKind;

use super::lines::Span;
use super::misfit::Misfit;
use super::tree::Facts;
use crate::rows::ExtentRecord;

/// Where the extents so far end, by the first backup for which that is so. Extents come in the order of their offsets, and
/// each makes one value of those of its backups, so that this does not grow beyond what the file's versions differ in.
#[derive(Default)]
pub(super) struct Reach(BTreeMap<u32, u64>);

impl Reach {
    /// Takes the next extent, in backups that agree about the inode; gives what of it does not fit.
    pub(super) fn add(&mut self, span: Span, facts: &Facts, offset: u64, extent: &ExtentRecord) -> Vec<Misfit> {
        if facts.kind != FileKind::File {
            return vec![Misfit::NotFile { offset }];
        }
        let end = offset.saturating_add(u64::from(extent.length));
        let mut misfits = Vec::new();
        if self.raise(span, end) > offset {
            misfits.push(Misfit::Overlap { offset });
        }
        if end > facts.size {
            misfits.push(Misfit::BeyondFile { offset });
        }
        misfits
    }

    /// Sets where the extents end; gives how far the furthest of them reached before.
    fn raise(&mut self, span: Span, end: u64) -> u64 {
        let before = |reach: &Self, place| reach.0.range(..=place).next_back().map_or(0, |(_, end)| *end);
        let (first, after) = (before(self, span.start), before(self, span.end));
        let inside: Vec<u32> = self.0.range(span.start..span.end).map(|(place, _)| *place).collect();
        let inside = inside.into_iter().filter_map(|place| self.0.remove(&place)).max();
        self.0.insert(span.start, end);
        self.0.insert(span.end, after);
        first.max(inside.unwrap_or(0))
    }
}
