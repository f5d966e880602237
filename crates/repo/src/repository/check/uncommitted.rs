//! Objects of backups that have no commit.

use std::collections::{BTreeMap, BTreeSet};

use site::LIST_LIMIT_MAX;
use types::Epoch;

use super::Check;
use crate::RepoError;
use crate::names::{Name, OBJECTS_PREFIX};

/// Objects of one backup that has no commit: of a job that is running or was given up, or of a backup whose commit is
/// gone. Nothing in a repository tells which, least of all when it was the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncommitted {
    /// The backup that they were written for.
    pub epoch: Epoch,
    /// How many they are.
    pub objects: u64,
}

/// Backups without a commit that a report tells. Each is a job that came to nothing.
const UNCOMMITTED_MAX: usize = 1000;

impl Check<'_> {
    /// Counts the objects of backups that have no commit; the newest of those backups are told.
    pub(super) async fn uncommitted(&mut self) -> Result<(), RepoError> {
        let (backups, lost) = (self.repository.backups(), self.repository.lost());
        let committed: BTreeSet<Epoch> =
            backups.iter().map(|backup| backup.epoch).chain(lost.iter().map(|lost| lost.epoch)).collect();
        let mut counts = BTreeMap::<Epoch, u64>::new();
        let mut after: Option<String> = None;
        loop {
            let listed = self.repository.site().list(OBJECTS_PREFIX, after.as_deref(), LIST_LIMIT_MAX).await?;
            for listed in &listed {
                let Ok(Name::Object(writer)) = listed.name.parse() else { continue };
                if !committed.contains(&writer.epoch) {
                    *counts.entry(writer.epoch).or_default() += 1;
                }
            }
            while counts.len() > UNCOMMITTED_MAX {
                counts.pop_first();
            }
            if listed.len() < LIST_LIMIT_MAX {
                break;
            }
            after = listed.into_iter().next_back().map(|listed| listed.name);
        }
        self.report.uncommitted = counts.into_iter().map(|(epoch, objects)| Uncommitted { epoch, objects }).collect();
        Ok(())
    }
}
