//! The backups that are checked, set by set, and which of them see a row.
//!
//! A version of a key holds for the backups from its epoch to that of the next version. So one walk over all rows answers
//! for all backups at once: what is compared are not backups but spans of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use types::{Epoch, Lin, SetId};

use crate::repository::BackupInfo;

/// A LIN in a set.
pub(super) type Place = (SetId, Lin);

/// Backups of one set that follow each other, as places in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) start: u32,
    /// The place after the last.
    pub(super) end: u32,
}

impl Span {
    /// The span, unless no backup is in it.
    pub(super) fn new(start: u32, end: u32) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    pub(super) const fn holds(self, place: u32) -> bool {
        self.start <= place && place < self.end
    }

    /// The backups that are in both.
    pub(super) fn within(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// The backups of each set, oldest first.
pub(super) struct Lines<'a> {
    sets: BTreeMap<SetId, Vec<&'a BackupInfo>>,
    voids: BTreeSet<Epoch>,
    roots: BTreeMap<Place, Vec<Span>>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(backups: impl Iterator<Item = &'a BackupInfo>, voids: &[Epoch]) -> Self {
        let mut sets: BTreeMap<SetId, Vec<&BackupInfo>> = BTreeMap::new();
        backups.for_each(|backup| sets.entry(backup.set).or_default().push(backup));
        let mut roots = BTreeMap::new();
        for (set, line) in &mut sets {
            line.sort_unstable_by_key(|backup| backup.epoch);
            for (place, backup) in (0..).zip(line) {
                backup.roots.iter().for_each(|root| extend(roots.entry((*set, root.lin)).or_default(), place));
            }
        }
        Self { sets, voids: voids.iter().copied().collect(), roots }
    }

    /// How many backups there are.
    pub(super) fn backups(&self) -> u64 {
        self.sets.values().map(|line| line.len() as u64).sum()
    }

    /// The backup at a place.
    pub(super) fn backup(&self, set: SetId, place: u32) -> Option<&'a BackupInfo> {
        self.sets.get(&set)?.get(usize::try_from(place).ok()?).copied()
    }

    /// Whether versions of that epoch count for nothing.
    pub(super) fn is_void(&self, epoch: Epoch) -> bool {
        self.voids.contains(&epoch)
    }

    /// The backups that see a version of that epoch, which the next one of its key replaces.
    pub(super) fn span(&self, set: SetId, from: Epoch, next: Option<Epoch>) -> Option<Span> {
        let line = self.sets.get(&set)?;
        let place = |epoch| line.partition_point(|backup| backup.epoch < epoch);
        let end = next.map_or(line.len(), place);
        Span::new(u32::try_from(place(from)).ok()?, u32::try_from(end).ok()?)
    }

    /// The roots, in the order of their places, with the backups that have them.
    pub(super) fn roots(&self) -> impl Iterator<Item = (Place, &[Span])> {
        self.roots.iter().map(|(place, spans)| (*place, spans.as_slice()))
    }
}

/// Adds a backup that comes after all that were added before.
fn extend(spans: &mut Vec<Span>, place: u32) {
    match spans.last_mut() {
        Some(last) if last.end >= place => last.end = place + 1,
        _ => spans.push(Span { start: place, end: place + 1 }),
    }
}
