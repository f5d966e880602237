//! What was found in rows, and the paths of what it is about.

use std::collections::BTreeMap;

use bytes::Bytes;
use types::{Lin, Name, SetId};

use super::lines::{Lines, Place, Span};
use super::misfit::{Misfit, RowFinding};
use super::names::Link;
use super::report::CheckReport;
use super::sorter::Sorted;
use crate::RepoError;
use crate::rows::Table;

/// Directories above one another that are looked for, at most: each takes a walk over all names.
const DEPTH_MAX: usize = 1 << 10;

/// What was found in rows.
#[derive(Default)]
pub(super) struct Noted {
    told: Vec<Note>,
    pub(super) total: u64,
}

struct Note {
    set: SetId,
    span: Span,
    table: Table,
    lin: Lin,
    name: Option<Name>,
    misfit: Misfit,
}

/// The way from a LIN up to a root.
struct Climb {
    set: SetId,
    /// The backup whose names are followed.
    backup: u32,
    at: Lin,
    /// From the last to the first.
    names: Vec<Name>,
}

impl Noted {
    /// Notes what is wrong with rows of a LIN.
    pub(super) fn inode(&mut self, set: SetId, span: Span, table: Table, lin: Lin, misfit: Misfit) {
        self.add(Note { set, span, table, lin, name: None, misfit });
    }

    /// Notes what is wrong with a name.
    pub(super) fn name(&mut self, set: SetId, span: Span, link: &Link, misfit: Misfit) {
        let (lin, name) = (link.parent, Some(link.name.clone()));
        self.add(Note { set, span, table: Table::Entries, lin, name, misfit });
    }

    fn add(&mut self, note: Note) {
        self.total += 1;
        if self.told.len() < CheckReport::FINDINGS_MAX {
            self.told.push(note);
        }
    }

    /// Gives the findings with their paths, as far as names lead from a root to them.
    pub(super) async fn findings(self, lines: &Lines<'_>, links: &Sorted<Link>) -> Result<Vec<RowFinding>, RepoError> {
        let mut climbs: Vec<Climb> = self.told.iter().map(Climb::begin).collect();
        for _ in 0..DEPTH_MAX {
            if !climb(&mut climbs, lines, links).await? {
                break;
            }
        }
        let with_path = self.told.into_iter().zip(&climbs);
        Ok(with_path.filter_map(|(note, climb)| note.finding(lines, climb.path(lines))).collect())
    }
}

impl Note {
    fn finding(self, lines: &Lines<'_>, path: Option<Bytes>) -> Option<RowFinding> {
        let Self { set, span, table, lin, name, misfit } = self;
        let first = lines.backup(set, span.start)?;
        let last = lines.backup(set, span.end.checked_sub(1)?)?;
        let commit = first.commit.clone();
        Some(RowFinding { commit, first: first.epoch, last: last.epoch, table, lin, name, path, misfit })
    }
}

impl Climb {
    fn begin(note: &Note) -> Self {
        Self { set: note.set, backup: note.span.start, at: note.lin, names: note.name.iter().cloned().collect() }
    }

    fn root<'a>(&self, lines: &Lines<'a>) -> Option<&'a [u8]> {
        let backup = lines.backup(self.set, self.backup)?;
        backup.roots.iter().find(|root| root.lin == self.at).map(|root| root.path.as_ref())
    }

    fn path(&self, lines: &Lines<'_>) -> Option<Bytes> {
        let root = self.root(lines)?;
        let mut path = root.strip_suffix(b"/").unwrap_or(root).to_vec();
        for name in self.names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
        }
        Some(if path.is_empty() { Bytes::from_static(b"/") } else { path.into() })
    }
}

/// Takes each climb that is below a root one step up, with one walk over the names; gives whether any came on.
async fn climb(climbs: &mut [Climb], lines: &Lines<'_>, links: &Sorted<Link>) -> Result<bool, RepoError> {
    let mut waiting: BTreeMap<Place, Vec<&mut Climb>> = BTreeMap::new();
    for climb in climbs.iter_mut().filter(|climb| climb.root(lines).is_none()) {
        waiting.entry((climb.set, climb.at)).or_default().push(climb);
    }
    let mut came_on = false;
    let mut links = links.read().await?;
    while let (Some(last), Some(link)) = (waiting.keys().next_back().copied(), links.next().await?) {
        if link.place > last {
            break;
        }
        let Some(at) = waiting.get_mut(&link.place) else { continue };
        at.retain_mut(|climb| {
            let leads_up = link.span.holds(climb.backup);
            if leads_up {
                climb.at = link.parent;
                climb.names.push(link.name.clone());
                came_on = true;
            }
            !leads_up
        });
    }
    Ok(came_on)
}
