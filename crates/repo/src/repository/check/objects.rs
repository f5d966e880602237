//! The upload objects that the table `objects` names, and what points into them.

use std::collections::BTreeSet;

use types::Epoch;

use super::misfit::Misfit;
use crate::rows::{BlockRow, ExtentRecord, Location, ObjectNumber};

/// Version and magic, before the first slot.
const SLOTS_START: u64 = 8;

/// Where the slots of each object end: sixteen bytes for an object, which has 64 MiB.
pub(super) struct Objects {
    /// In the order of their numbers.
    known: Vec<(ObjectNumber, u64)>,
    /// Epochs of whose objects not all are known, because a run is damaged.
    lost: Lost,
    /// Epochs of which an object is damaged or missing.
    damaged: BTreeSet<Epoch>,
}

/// Epochs of whose rows in one table not all can be read.
pub(super) struct Lost {
    pub(super) epochs: BTreeSet<Epoch>,
    /// A merged run is among those that cannot be read: it may hold rows of any epoch.
    pub(super) any: bool,
}

impl Lost {
    pub(super) fn holds(&self, epoch: Epoch) -> bool {
        self.any || self.epochs.contains(&epoch)
    }
}

enum Fit {
    Inside,
    NoObject,
    Outside,
}

impl Objects {
    /// Knows no object, nor will it know those of the epochs that are lost.
    pub(super) const fn without(lost: Lost) -> Self {
        Self { known: Vec::new(), lost, damaged: BTreeSet::new() }
    }

    /// Adds an object; they come in the order of their numbers.
    pub(super) fn add(&mut self, number: ObjectNumber, slots_end: u64) {
        self.known.push((number, slots_end));
    }

    /// Adds one that is damaged, or missing.
    pub(super) fn add_damaged(&mut self, number: ObjectNumber, size: u64) {
        self.damaged.insert(number.epoch());
        self.add(number, size);
    }

    /// Whether all objects of an epoch are there, as far as they were looked at.
    pub(super) fn has_all_of(&self, epoch: Epoch) -> bool {
        !self.lost.holds(epoch) && !self.damaged.contains(&epoch)
    }

    fn fit(&self, location: &Location) -> Fit {
        let found = self.known.binary_search_by_key(&location.object, |(number, _)| *number);
        let Some((_, slots_end)) = found.ok().and_then(|index| self.known.get(index)) else {
            return if self.lost.holds(location.object.epoch()) { Fit::Inside } else { Fit::NoObject };
        };
        let end = location.slot_offset.saturating_add(u64::from(location.slot_length));
        if location.slot_offset >= SLOTS_START && end <= *slots_end { Fit::Inside } else { Fit::Outside }
    }

    /// What is wrong with where an extent points to.
    pub(super) fn misfit(&self, offset: u64, extent: &ExtentRecord) -> Option<Misfit> {
        let location = &extent.location;
        if !location.is_within_limits() {
            return Some(Misfit::LongBlock { offset });
        }
        let in_block = u64::from(extent.block_offset) + u64::from(extent.length);
        if in_block > u64::from(location.plain_length) {
            return Some(Misfit::BeyondBlock { offset });
        }
        let object = location.object;
        match self.fit(location) {
            Fit::Inside => None,
            Fit::NoObject => Some(Misfit::NoObject { offset, object }),
            Fit::Outside => Some(Misfit::BeyondObject { offset, object }),
        }
    }

    /// What is wrong with a row of `blocks`.
    pub(super) fn misplaced(&self, row: &BlockRow) -> Option<String> {
        let BlockRow { digest, location: Location { object, slot, .. } } = row;
        match self.fit(&row.location) {
            Fit::Inside => None,
            Fit::NoObject => {
                Some(format!("it has block {digest} in object {object}, which the repository does not have"))
            }
            Fit::Outside => {
                Some(format!("it has block {digest} in slot {slot}, outside of the slots of object {object}"))
            }
        }
    }
}
