//! Pieces of work: what one worker does between two pulls.

use std::fmt;

use serde::{Deserialize, Serialize};
use types::{Lin, NodeId};

/// A LIN, or a range of a large one, whose changes are to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item {
    /// The LIN.
    pub lin: Lin,
    /// Extents that begin from here on belong to the item. The item that begins at 0 carries attributes and names.
    pub from: u64,
    /// Extents that begin from here on belong to the next item; `None` if this is the last one.
    pub until: Option<u64>,
}

impl Item {
    /// All of a LIN.
    #[must_use]
    pub const fn whole(lin: Lin) -> Self {
        Self { lin, from: 0, until: None }
    }

    /// Whether the LIN's attributes, names and the like are this item's.
    #[must_use]
    pub const fn has_metadata(&self) -> bool {
        self.from == 0
    }

    /// Whether an extent that begins at that offset belongs to the item.
    #[must_use]
    pub fn holds(&self, offset: u64) -> bool {
        offset >= self.from && self.until.is_none_or(|until| offset < until)
    }
}

/// The name of a unit: two units of one name have the same items, so a unit that an earlier owner of the job saw
/// reported is not packed again, and one that was cut otherwise is never mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitName(String);

impl UnitName {
    fn of(items: &[Item]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for item in items {
            hasher.update(&item.lin.get().to_be_bytes());
            hasher.update(&item.from.to_be_bytes());
            hasher.update(&item.until.unwrap_or(u64::MAX).to_be_bytes());
        }
        let first = items.first().map_or(Lin(0), |item| item.lin);
        let hash = hasher.finalize().to_hex();
        Self(format!("{:016x}-{}", first.get(), &hash.as_str().get(..32).unwrap_or_default()))
    }

    /// Takes a name from a report.
    #[must_use]
    pub fn from_report(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name.
    pub name: UnitName,
    /// What is to be packed, in directory order.
    pub items: Vec<Item>,
    /// Bytes of content, as far as the plan can tell.
    pub bytes: u64,
    /// The node that holds most of it; of several the one with the least work.
    pub preferred: Option<NodeId>,
}

impl Unit {
    /// Makes a unit of items, and names it.
    #[must_use]
    pub fn new(items: Vec<Item>, bytes: u64, preferred: Option<NodeId>) -> Self {
        Self { name: UnitName::of(&items), items, bytes, preferred }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_by_its_items_alone() {
        let items = vec![Item::whole(Lin(7)), Item { lin: Lin(8), from: 0, until: Some(9) }];
        let unit = Unit::new(items.clone(), 1, None);
        assert_eq!(unit.name, Unit::new(items.clone(), 2, Some(NodeId(3))).name);
        let mut other = items;
        other[1].until = None;
        assert_ne!(unit.name, Unit::new(other, 1, None).name);
    }

    #[test]
    fn the_ranges_of_a_lin_share_out_its_extents() {
        let ranges =
            [(0, Some(100)), (100, Some(200)), (200, None)].map(|(from, until)| Item { lin: Lin(1), from, until });
        for offset in [0, 99, 100, 199, 200, u64::MAX] {
            assert_eq!(ranges.iter().filter(|range| range.holds(offset)).count(), 1, "{offset}");
        }
        assert_eq!(ranges.map(|range| range.has_metadata()), [true, false, false]);
    }
}
