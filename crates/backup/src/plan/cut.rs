//! Cuts nominated LINs into units. Pure: the same LINs in the same order give the same units.

use std::collections::BTreeMap;

use types::{Lin, NodeId};

use super::{Item, Unit};

/// The most ranges of one LIN. A file can be 8 EiB long and hold nothing: the plan must not grow with its length.
const RANGES_MAX: u64 = 4096;

/// How large units are.
#[derive(Clone, Copy, Debug)]
pub struct CutOptions {
    /// A unit with this much content ends: an object's worth, so that a lost worker costs about one upload.
    pub bytes_target: u64,
    /// A LIN longer than this is cut into ranges of this length: the range that one placement group holds, so that each
    /// of them can be packed where it lies.
    pub range_length: u64,
    /// A unit with this many items ends, however little content they have: their rows are work as well.
    pub items_max: usize,
}

impl Default for CutOptions {
    fn default() -> Self {
        Self { bytes_target: 64 << 20, range_length: 256 << 20, items_max: 2000 }
    }
}

/// A LIN that may have changed, with what the cutter needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nomination {
    /// The LIN.
    pub lin: Lin,
    /// Bytes of its content.
    pub bytes: u64,
    /// The nodes that hold its first block; none if it has no blocks.
    pub holders: Vec<NodeId>,
}

/// Makes units of nominations that come in directory order.
#[derive(Debug)]
pub struct Cutter {
    options: CutOptions,
    items: Vec<Item>,
    bytes: u64,
    bytes_by_holder: BTreeMap<NodeId, u64>,
    assigned: BTreeMap<NodeId, u64>,
}

impl Cutter {
    /// Makes a cutter that spreads units without a holder, or with several, over `nodes`.
    #[must_use]
    pub fn new(options: CutOptions, nodes: &[NodeId]) -> Self {
        let assigned = nodes.iter().map(|&node| (node, 0)).collect();
        Self { options, items: Vec::new(), bytes: 0, bytes_by_holder: BTreeMap::new(), assigned }
    }

    /// Takes a nomination, and gives the units that it completes.
    pub fn push(&mut self, nomination: &Nomination) -> Vec<Unit> {
        let range_length = self.options.range_length.max(nomination.bytes.div_ceil(RANGES_MAX));
        if nomination.bytes <= range_length {
            let item = Item::whole(nomination.lin);
            return self.add(item, nomination.bytes, &nomination.holders).into_iter().collect();
        }
        let ranges = nomination.bytes.div_ceil(range_length);
        (0..ranges)
            .filter_map(|number| {
                let from = number * range_length;
                let last = number + 1 == ranges;
                let length = if last { nomination.bytes - from } else { range_length };
                let until = (!last).then(|| from + range_length);
                self.add(Item { lin: nomination.lin, from, until }, length, &nomination.holders)
            })
            .collect()
    }

    /// Gives the last unit.
    #[must_use]
    pub fn finish(mut self) -> Option<Unit> {
        self.cut()
    }

    fn add(&mut self, item: Item, bytes: u64, holders: &[NodeId]) -> Option<Unit> {
        self.items.push(item);
        self.bytes = self.bytes.saturating_add(bytes);
        for holder in holders {
            let held = self.bytes_by_holder.entry(*holder).or_default();
            *held = held.saturating_add(bytes);
        }
        let full = self.bytes >= self.options.bytes_target || self.items.len() >= self.options.items_max;
        if full { self.cut() } else { None }
    }

    fn cut(&mut self) -> Option<Unit> {
        if self.items.is_empty() {
            return None;
        }
        let preferred = self.preferred();
        // A unit of metadata alone is work too: it counts as a byte an item.
        let work = self.bytes.saturating_add(self.items.len() as u64);
        if let Some(assigned) = preferred.and_then(|node| self.assigned.get_mut(&node)) {
            *assigned = assigned.saturating_add(work);
        }
        self.bytes_by_holder.clear();
        Some(Unit::new(std::mem::take(&mut self.items), std::mem::take(&mut self.bytes), preferred))
    }

    /// The node that holds most of the unit; of several the one that was given the least so far.
    fn preferred(&self) -> Option<NodeId> {
        let held = |node: &NodeId| self.bytes_by_holder.get(node).copied().unwrap_or(0);
        let best = self.assigned.keys().map(held).max()?;
        self.assigned
            .iter()
            .filter(|(node, _)| held(node) == best)
            .min_by_key(|(_, assigned)| **assigned)
            .map(|(node, _)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

    fn nominate(lin: u64, bytes: u64, holders: &[NodeId]) -> Nomination {
        Nomination { lin: Lin(lin), bytes, holders: holders.to_vec() }
    }

    fn cut(options: CutOptions, nominations: &[Nomination]) -> Vec<Unit> {
        let mut cutter = Cutter::new(options, &NODES);
        let mut units: Vec<_> = nominations.iter().flat_map(|nomination| cutter.push(nomination)).collect();
        units.extend(cutter.finish());
        units
    }

    #[test]
    fn every_item_is_in_one_unit_and_no_unit_is_too_large() {
        let options = CutOptions { bytes_target: 1000, range_length: 4000, items_max: 10 };
        let nominations: Vec<_> = (0..200).map(|lin| nominate(lin, (lin * 37) % 700, &NODES)).collect();
        let units = cut(options, &nominations);
        let lins: Vec<_> = units.iter().flat_map(|unit| unit.items.iter().map(|item| item.lin)).collect();
        assert_eq!(lins, (0..200).map(Lin).collect::<Vec<_>>());
        assert!(units.iter().all(|unit| unit.items.len() <= 10 && unit.bytes < 1000 + 700));
    }

    #[test]
    fn a_large_file_is_cut_into_ranges_that_cover_it() {
        let options = CutOptions { bytes_target: 1000, range_length: 4000, items_max: 10 };
        let units = cut(options, &[nominate(5, 9000, &NODES)]);
        let ranges: Vec<_> = units.iter().flat_map(|unit| &unit.items).map(|item| (item.from, item.until)).collect();
        assert_eq!(ranges, [(0, Some(4000)), (4000, Some(8000)), (8000, None)]);
        assert_eq!(units.iter().map(|unit| unit.bytes).sum::<u64>(), 9000);
    }

    #[test]
    fn files_of_the_greatest_length_make_a_bounded_plan() {
        let longest = i64::MAX.cast_unsigned();
        let units = cut(CutOptions::default(), &[1, 2, 3].map(|lin| nominate(lin, longest, &NODES)));
        let items: Vec<_> = units.iter().flat_map(|unit| &unit.items).collect();
        assert!(items.len() <= 3 * 4096);
        assert!(items.windows(2).all(|pair| pair[0].lin != pair[1].lin || pair[0].until == Some(pair[1].from)));
        assert_eq!(items.iter().filter(|item| item.until.is_none()).count(), 3);
    }

    #[test]
    fn content_that_all_nodes_hold_is_spread_evenly_over_them() {
        let options = CutOptions { bytes_target: 1000, range_length: 4000, items_max: 10 };
        let nominations: Vec<_> = (0..300).map(|lin| nominate(lin, 1000, &NODES)).collect();
        let units = cut(options, &nominations);
        for node in NODES {
            assert_eq!(units.iter().filter(|unit| unit.preferred == Some(node)).count(), 100);
        }
    }

    #[test]
    fn a_unit_prefers_the_node_that_holds_most_of_it() {
        let options = CutOptions { bytes_target: 1000, range_length: 4000, items_max: 10 };
        let units = cut(options, &[nominate(1, 100, &NODES[..1]), nominate(2, 900, &NODES[2..])]);
        assert_eq!(units.iter().map(|unit| unit.preferred).collect::<Vec<_>>(), [Some(NodeId(3))]);
    }
}
