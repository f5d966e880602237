//! The names of all backups, sorted by what they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use types::{FileKind, Lin, Name};

use super::circles::Up;
use super::lines::{Place, Span};
use super::sorter::{Sortable, Sorted, Sorter, Workspace};
use super::versions::{Seen, Versions};
use crate::RepoError;
use crate::rows::EntryRow;

/// A name of a LIN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Link {
    pub(super) place: Place,
    pub(super) parent: Lin,
    pub(super) name: Name,
    pub(super) kind: FileKind,
    pub(super) span: Span,
}

/// How many names, and how many of them are directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) names: i64,
    pub(super) directories: i64,
}

/// How many names there are more in a directory, or fewer, from one backup on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) directory: Place,
    pub(super) from: u32,
    pub(super) tally: Tally,
}

impl Sortable for Link {
    fn length(&self) -> usize {
        size_of::<Self>() + self.name.as_bytes().len()
    }
}

impl Sortable for Change {}

impl Tally {
    fn of(kind: FileKind) -> Self {
        Self { names: 1, directories: i64::from(kind == FileKind::Directory) }
    }

    const fn plus(self, other: Self) -> Self {
        Self { names: self.names + other.names, directories: self.directories + other.directories }
    }
}

/// What backups count, as what changes from one to the next: a name that many of them have takes two numbers.
#[derive(Default)]
pub(super) struct Steps(BTreeMap<u32, Tally>);

impl Steps {
    /// Counts a name that some backups have.
    pub(super) fn add_name(&mut self, kind: FileKind, span: Span) {
        let Tally { names, directories } = Tally::of(kind);
        self.add(span.start, Tally { names, directories });
        self.add(span.end, Tally { names: -names, directories: -directories });
    }

    /// Counts so many more from one backup on.
    pub(super) fn add(&mut self, from: u32, tally: Tally) {
        let step = self.0.entry(from).or_default();
        *step = step.plus(tally);
    }

    /// Where counts change.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// What changes at one backup.
    pub(super) fn at(&self, place: u32) -> Tally {
        self.0.get(&place).copied().unwrap_or_default()
    }

    /// The count after a change.
    pub(super) fn count(&self, before: Tally, place: u32) -> Tally {
        before.plus(self.at(place))
    }

    fn into_changes(self, directory: Place) -> impl Iterator<Item = Change> {
        let changes = self.0.into_iter().filter(|(_, tally)| *tally != Tally::default());
        changes.map(move |(from, tally)| Change { directory, from, tally })
    }
}

/// The names of all backups, by what they name, and how many each directory has.
pub(super) struct Names {
    pub(super) links: Sorted<Link>,
    /// Those of directories once more, without the names themselves.
    pub(super) ways: Sorted<Up>,
    pub(super) changes: Sorted<Change>,
}

impl Names {
    /// Reads all names, which come directory by directory.
    pub(super) async fn read(entries: &mut Versions<'_, EntryRow>, space: &Arc<Workspace>) -> Result<Self, RepoError> {
        let (mut links, mut changes) = (Sorter::new(space, "links"), Sorter::new(space, "changes"));
        let mut ways = Sorter::new(space, "ways");
        while let Some(directory) = entries.peek().map(|row| (row.set, row.parent)) {
            let mut steps = Steps::default();
            while let Some(seen) = entries.take_if(|row| (row.set, row.parent) == directory).await? {
                let Seen { row: EntryRow { set, parent, name, entry, .. }, span } = seen;
                let Some(entry) = entry else { continue };
                steps.add_name(entry.kind, span);
                let link = Link { place: (set, entry.lin), parent, name, kind: entry.kind, span };
                if let Some(way) = Up::of(&link) {
                    ways.push(way).await?;
                }
                links.push(link).await?;
            }
            for change in steps.into_changes(directory) {
                changes.push(change).await?;
            }
        }
        Ok(Self { links: links.finish(), ways: ways.finish(), changes: changes.finish() })
    }
}
