//! The commits of a repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use site::LIST_LIMIT_MAX;
use types::{Epoch, SetId, Timestamp};

use super::{Opened, Repository};
use crate::RepoError;
use crate::commit::{Commit, CommitTotals, ParentReference, RootRecord};
use crate::names::{COMMITS_PREFIX, Name};

/// Commits that are read at once.
const READS_MAX: usize = 16;

/// The chain of commits was read and checked.
#[derive(Clone, Debug)]
pub struct Listed {
    pub(super) head: Option<Arc<Head>>,
    backups: Arc<Vec<BackupInfo>>,
}

/// The newest commit.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) commit: Commit,
    pub(super) reference: ParentReference,
}

/// What is kept of a commit. Each names all runs of its time, so that those of all commits together are many times more
/// than the repository has: they are kept of the newest commit alone.
struct Link {
    info: BackupInfo,
    reference: ParentReference,
    parent: Option<ParentReference>,
    /// The whole commit, if it is the newest.
    newest: Option<Commit>,
}

/// What a repository says of one of its backups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupInfo {
    /// Its number.
    pub epoch: Epoch,
    /// Its set.
    pub set: SetId,
    /// The policy that made it.
    pub policy: String,
    /// The name of its commit.
    pub commit: String,
    /// The number of its commit.
    pub number: u64,
    /// The roots of the set.
    pub roots: Vec<RootRecord>,
    /// The state time of its snapshot.
    pub snapshot_time: Timestamp,
    /// The backup on which it builds.
    pub base: Option<Epoch>,
    /// What it added.
    pub totals: CommitTotals,
}

impl Repository<Opened> {
    /// Lists the commits and checks that they are one chain: the head is the first name of the listing, and what its
    /// parents do not reach does not count (rule P22).
    ///
    /// # Errors
    /// [`RepoError::Fork`] names two commits of one number; a commit is missing or damaged; or the site failed.
    pub async fn list(self) -> Result<Repository<Listed>, RepoError> {
        let names = self.commit_names().await?;
        let mut links = self.open_commits(&names).await?;
        let mut backups = Vec::new();
        let mut head: Option<Arc<Head>> = None;
        let mut next = names.first().cloned().map(|name| (name, None));
        while let Some((name, expected)) = next {
            let needed_by = || backups.last().map_or_else(String::new, |child: &BackupInfo| child.commit.clone());
            let Some(link) = links.remove(&name) else {
                return Err(RepoError::Missing { name, needed_by: needed_by() });
            };
            let Link { info, reference, parent, newest } = link?;
            if expected.is_some_and(|expected| expected != reference.hash) {
                return Err(RepoError::damaged(&name, "it is not the commit on which the next one builds"));
            }
            next = parent.map(|parent| (parent.name().to_string(), Some(parent.hash)));
            backups.push(info);
            head = head.or_else(|| newest.map(|commit| Arc::new(Head { commit, reference })));
        }
        let voids = head.as_ref().map_or(&[][..], |head| &head.commit.voids);
        backups.retain(|backup| !voids.contains(&backup.epoch));
        Ok(Repository { shared: self.shared, state: Listed { head, backups: Arc::new(backups) } })
    }

    /// The names of all commits, newest first.
    async fn commit_names(&self) -> Result<Vec<String>, RepoError> {
        let mut names: Vec<String> = Vec::new();
        let mut previous = None;
        let mut after: Option<String> = None;
        loop {
            let listed = self.shared.site.list(COMMITS_PREFIX, after.as_deref(), LIST_LIMIT_MAX).await?;
            let is_last = listed.len() < LIST_LIMIT_MAX;
            after = listed.last().map(|listed| listed.name.clone());
            for listed in listed {
                let Ok(Name::Commit { number, writer }) = listed.name.parse() else {
                    return Err(RepoError::damaged(listed.name, "it lies among the commits and has another name"));
                };
                let place = Some((writer.generation, number));
                if previous == place {
                    let first = names.last().cloned().unwrap_or_default();
                    return Err(RepoError::Fork { first, second: listed.name });
                }
                previous = place;
                names.push(listed.name);
            }
            if is_last {
                return Ok(names);
            }
        }
    }

    /// Reads all commits, some at once. A commit that does not open is an error only if the chain reaches it.
    async fn open_commits(&self, names: &[String]) -> Result<BTreeMap<String, Result<Link, RepoError>>, RepoError> {
        let shared = &self.shared;
        let reads = names.iter().enumerate().map(|(age, name)| async move {
            let bytes = shared.site.get(name).await.map_err(|error| RepoError::missing(error, COMMITS_PREFIX))?;
            let link = Commit::open(name, shared.id, &shared.keys, &bytes).map(|commit| Link {
                info: BackupInfo::of(&commit),
                reference: commit.as_parent(&bytes),
                parent: commit.parent.clone(),
                newest: (age == 0).then_some(commit),
            });
            Ok::<_, RepoError>((name.clone(), link))
        });
        stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await
    }
}

impl BackupInfo {
    fn of(commit: &Commit) -> Self {
        Self {
            epoch: commit.epoch(),
            set: commit.set,
            policy: commit.policy.clone(),
            commit: commit.name().to_string(),
            number: commit.number,
            roots: commit.roots.clone(),
            snapshot_time: commit.snapshot_time,
            base: commit.base,
            totals: commit.totals,
        }
    }
}

impl Repository<Listed> {
    /// The newest commit; `None` if there is none yet.
    #[must_use]
    pub fn head(&self) -> Option<&Commit> {
        self.state.head.as_ref().map(|head| &head.commit)
    }

    /// The newest commit as the parent of the next one.
    #[must_use]
    pub fn head_reference(&self) -> Option<&ParentReference> {
        self.state.head.as_ref().map(|head| &head.reference)
    }

    /// All backups, newest first.
    #[must_use]
    pub fn backups(&self) -> &[BackupInfo] {
        &self.state.backups
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runtime::Seed;
    use site::{Memory, Site};
    use types::{Fence, Generation, Incarnation, NodeId, RepositoryId};
    use uuid::Uuid;

    use super::super::Shared;
    use super::*;
    use crate::{KeyObject, PassphraseCost, RunReference, Table, Writer};

    const ID: RepositoryId = RepositoryId(Uuid::from_u128(7));

    fn writer(epoch: u64) -> Writer {
        let (generation, fence, node, incarnation) = (Generation(1), Fence(1), NodeId(1), Incarnation(1));
        Writer { generation, epoch: Epoch(epoch), fence, node, incarnation, sequence: 0 }
    }

    /// A commit that adds a run to those of the one before it.
    fn commit(number: u64, parent: Option<ParentReference>) -> Commit {
        let run = |epoch| RunReference {
            table: Table::Inodes,
            level: 0,
            writer: writer(epoch),
            size: 1,
            hash: [0; 32],
            salt: [0; 16],
            rows: 1,
        };
        Commit {
            repository: ID,
            number,
            writer: writer(number),
            parent,
            set: SetId(1),
            policy: String::new(),
            definition_hash: [0; 32],
            roots: Vec::new(),
            snapshot_time: Timestamp::default(),
            base: None,
            runs: (1..=number).map(run).collect(),
            totals: CommitTotals::default(),
            voids: Vec::new(),
            state: None,
        }
    }

    #[tokio::test]
    async fn of_all_commits_but_the_newest_no_runs_are_kept() {
        let site = Site::over("memory", Arc::new(Memory::default()));
        let seed = Seed::fixed(1);
        let keys = KeyObject::create(ID, "a long passphrase", PassphraseCost::LEAST, &seed).unwrap().keys.writer;
        let mut parent = None;
        for number in 1..=300 {
            let commit = commit(number, parent);
            let bytes = commit.seal(&keys, &seed).unwrap();
            parent = Some(commit.as_parent(&bytes));
            site.put_new(&commit.name().to_string(), bytes).await.unwrap();
        }
        let shared = Arc::new(Shared { site, id: ID, keys, private: None });
        let repository = Repository { shared, state: Opened };

        let names = repository.commit_names().await.unwrap();
        let links = repository.open_commits(&names).await.unwrap();
        let whole = links.values().filter_map(|link| link.as_ref().unwrap().newest.as_ref());
        let kept: usize = whole.map(|commit| commit.runs.len()).sum();
        assert_eq!((links.len(), kept), (300, 300));

        let listed = repository.list().await.unwrap();
        let numbers: Vec<u64> = listed.backups().iter().map(|backup| backup.number).collect();
        assert_eq!(numbers, (1..=300).rev().collect::<Vec<_>>());
        assert_eq!(listed.head().map(|head| head.runs.len()), Some(300));
    }
}
