//! The runs of the newest commit, and which backups get by without those that are damaged.

use std::collections::{BTreeMap, BTreeSet};

use types::{Epoch, SetId};

use super::objects::Lost;
use crate::RepoError;
use crate::commit::Commit;
use crate::merge::Merge;
use crate::repository::backup::{RunSet, Use};
use crate::repository::{BackupInfo, Listed, Repository};
use crate::rows::{Row, Table};
use crate::run::RunReference;

/// The runs.
pub(super) struct Runs<'a> {
    repository: &'a Repository<Listed>,
    set: RunSet,
    unsound: Vec<RunReference>,
    /// The sets of the backups, by their epochs.
    sets: BTreeMap<Epoch, SetId>,
}

impl<'a> Runs<'a> {
    pub(super) fn new(repository: &'a Repository<Listed>, head: &Commit) -> Self {
        let sets = repository.backups().iter().map(|backup| (backup.epoch, backup.set)).collect();
        Self { repository, set: RunSet::new(head.runs.clone(), None), unsound: Vec::new(), sets }
    }

    /// Opens a run.
    pub(super) async fn open(&self, reference: &RunReference) -> Result<(), RepoError> {
        self.set.reader(&self.repository.shared, reference).await.map(drop)
    }

    /// Leaves a run out.
    pub(super) fn add_unsound(&mut self, reference: RunReference) {
        self.unsound.push(reference);
    }

    /// Leaves out the run of which an error tells; gives whether there is one.
    pub(super) fn leave_out(&mut self, error: &RepoError) -> bool {
        let Some((name, _)) = error.finding() else { return false };
        let named = |run: &&RunReference| run.name().to_string() == name;
        let found = self.set.references().iter().find(named).filter(|run| !self.unsound.contains(run)).copied();
        self.unsound.extend(found);
        found.is_some()
    }

    /// Merges all rows of a table, but those of runs that are left out.
    pub(super) async fn merge<R: Row>(&self) -> Result<Merge<R>, RepoError> {
        let is_sound = |run: &RunReference| !self.unsound.contains(run);
        self.set.merge_some(&self.repository.shared, &[], Use::Scan, is_sound).await
    }

    /// Whether all runs can be read that may hold rows of a backup's tree.
    pub(super) fn has_all_of(&self, backup: &BackupInfo) -> bool {
        let of_other_set = |epoch: &Epoch| self.sets.get(epoch).is_some_and(|set| *set != backup.set);
        !self.unsound.iter().any(|run| {
            let written = run.writer.epoch;
            let is_of_tree = matches!(run.table, Table::Inodes | Table::Entries | Table::Extents);
            is_of_tree && (run.level > 0 || (written <= backup.epoch && !of_other_set(&written)))
        })
    }

    /// The epochs of which a run is damaged that was merged from their objects alone.
    pub(super) fn damaged_epochs(&self) -> impl Iterator<Item = Epoch> {
        let epochs: BTreeSet<Epoch> =
            self.unsound.iter().filter(|run| run.level == 0).map(|run| run.writer.epoch).collect();
        epochs.into_iter()
    }

    /// The epochs of whose rows in a table not all can be read.
    pub(super) fn lost(&self, table: Table) -> Lost {
        let lost: Vec<_> = self.unsound.iter().filter(|run| run.table == table).collect();
        let epochs = lost.iter().map(|run| run.writer.epoch).collect();
        Lost { epochs, any: lost.iter().any(|run| run.level > 0) }
    }
}
