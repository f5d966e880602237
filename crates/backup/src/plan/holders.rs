//! Which nodes hold the blocks of a file.

use std::collections::BTreeMap;

use namespace::{Failure, View};
use types::{Lin, NodeId, PgId, SeatState};

/// The holders of each placement group, as the table stood when the plan began: good enough for a preference.
#[derive(Clone, Debug)]
pub struct Holders {
    by_group: BTreeMap<PgId, Vec<NodeId>>,
    /// The nodes, if all groups have the same ones: then no block needs to be looked up.
    uniform: Option<Vec<NodeId>>,
}

impl Holders {
    /// Reads the table of placement groups.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(view: &View) -> Result<Self, Failure> {
        let groups = view.placement_groups()?.into_iter().map(|group| {
            let full = group.seats.iter().filter(|seat| seat.state == SeatState::Full);
            let mut nodes: Vec<_> = full.map(|seat| seat.node).collect();
            nodes.sort_unstable();
            (group.id, nodes)
        });
        Ok(Self::new(groups.collect()))
    }

    fn new(by_group: BTreeMap<PgId, Vec<NodeId>>) -> Self {
        let first = by_group.values().next().cloned();
        let uniform = first.filter(|first| by_group.values().all(|nodes| nodes == first));
        Self { by_group, uniform }
    }

    /// The nodes that hold the first block of a file; none if it has no blocks.
    ///
    /// # Errors
    /// The store failed.
    pub fn of(&self, view: &View, lin: Lin) -> Result<Vec<NodeId>, Failure> {
        if let Some(nodes) = &self.uniform {
            return Ok(nodes.clone());
        }
        let extents = view.extents(lin, 0, 1)?;
        let nodes = extents.first().and_then(|published| self.by_group.get(&published.extent.pg));
        Ok(nodes.cloned().unwrap_or_default())
    }
}
