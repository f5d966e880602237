//! Do the names of all directories lead up to a root?
//!
//! A circle takes one new name to close it, so it is enough to climb from each name in the first backup that has it. All
//! climbs go on step by step together, sorted by where they are, which takes as many walks as directories lie above one
//! another; a climb that has come to a root, or to where nothing leads on, is over. One in a circle comes back to where it
//! was: each remembers a place, a later one after 1, 2, 4, … steps (R. P. Brent, "An improved Monte Carlo factorization
//! algorithm", 1980).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::{FileKind, Lin};

use super::lines::{Lines, Place, Span};
use super::misfit::Misfit;
use super::names::Link;
use super::noted::Noted;
use super::sorter::{Sortable, Sorted, Sorter, Workspace};
use crate::RepoError;
use crate::rows::Table;

/// The files that climbs are in, by turns.
const FILES: [&str; 2] = ["climbs", "climbs on"];

/// A directory, and the one in which it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Up {
    place: Place,
    parent: Lin,
    span: Span,
}

impl Up {
    /// The way up from a name, if it is a directory's.
    pub(super) fn of(link: &Link) -> Option<Self> {
        let Link { place, parent, kind, span, .. } = *link;
        (kind == FileKind::Directory).then_some(Self { place, parent, span })
    }
}

/// The way from a directory upwards, in the first backup in which it lies where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Climb {
    at: Place,
    start: Lin,
    span: Span,
    remembered: Lin,
}

impl Sortable for Up {}
impl Sortable for Climb {}

/// Notes the directories from which no root is above.
pub(super) async fn find(
    ways: &Sorted<Up>,
    lines: &Lines<'_>,
    space: &Arc<Workspace>,
    noted: &mut Noted,
) -> Result<(), RepoError> {
    let [first, ..] = FILES;
    let mut climbs = Sorter::new(space, first);
    let mut rows = ways.read().await?;
    while let Some(Up { place: (set, start), parent, span }) = rows.next().await? {
        let climb = Climb { at: (set, parent), start, span, remembered: start };
        if !climb.is_at_root(lines) {
            climbs.push(climb).await?;
        }
    }
    drop(rows);
    for (steps, file) in (1_u64..).zip(FILES.into_iter().cycle().skip(1)) {
        if climbs.is_empty() {
            break;
        }
        let round = Round { lines, steps, on: Sorter::new(space, file), noted: &mut *noted };
        climbs = round.go(&climbs.finish(), ways).await?;
    }
    Ok(())
}

impl Climb {
    fn is_at_root(&self, lines: &Lines<'_>) -> bool {
        let (set, lin) = self.at;
        lines.backup(set, self.span.start).is_some_and(|backup| backup.roots.iter().any(|root| root.lin == lin))
    }
}

/// One step of all climbs.
struct Round<'a> {
    lines: &'a Lines<'a>,
    /// How many steps were made.
    steps: u64,
    on: Sorter<Climb>,
    noted: &'a mut Noted,
}

impl Round<'_> {
    async fn go(mut self, climbs: &Sorted<Climb>, ways: &Sorted<Up>) -> Result<Sorter<Climb>, RepoError> {
        let (mut climbs, mut ways) = (climbs.read().await?, ways.read().await?);
        while let Some(at) = climbs.peek().map(|climb| climb.at) {
            while ways.take_if(|way| way.place < at).await?.is_some() {}
            let mut here = Vec::new();
            while let Some(way) = ways.take_if(|way| way.place == at).await? {
                here.push(way);
            }
            while let Some(climb) = climbs.take_if(|climb| climb.at == at).await? {
                if let Some(way) = here.iter().find(|way| way.span.holds(climb.span.start)) {
                    self.step(climb, way).await?;
                }
            }
        }
        Ok(self.on)
    }

    async fn step(&mut self, climb: Climb, way: &Up) -> Result<(), RepoError> {
        let (set, before) = climb.at;
        let remembered = if self.steps.is_power_of_two() { before } else { climb.remembered };
        let climb = Climb { at: (set, way.parent), remembered, ..climb };
        if way.parent == remembered {
            self.noted.inode(set, climb.span, Table::Entries, climb.start, Misfit::Circle);
        } else if !climb.is_at_root(self.lines) {
            self.on.push(climb).await?;
        }
        Ok(())
    }
}
