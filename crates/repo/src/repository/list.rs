//! The commits of a repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
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
        let mut opened = self.open_commits(&names).await?;
        let mut backups = Vec::new();
        let mut head = None;
        let mut next = names.first().cloned().map(|name| (name, None));
        while let Some((name, expected)) = next {
            let needed_by = || backups.last().map_or_else(String::new, |child: &BackupInfo| child.commit.clone());
            let Some((commit, reference)) = opened.remove(&name) else {
                return Err(RepoError::Missing { name, needed_by: needed_by() });
            };
            let commit = commit?;
            if expected.is_some_and(|expected: ParentReference| expected.hash != reference.hash) {
                return Err(RepoError::damaged(&name, "it is not the commit on which the next one builds"));
            }
            next = commit.parent.as_ref().map(|parent| (parent.name().to_string(), Some(parent.clone())));
            backups.push(BackupInfo::of(&commit));
            head.get_or_insert_with(|| Arc::new(Head { commit, reference }));
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
    async fn open_commits(&self, names: &[String]) -> Result<BTreeMap<String, OpenedCommit>, RepoError> {
        let shared = &self.shared;
        let reads = names.iter().map(|name| async move {
            let bytes = shared.site.get(name).await.map_err(|error| RepoError::missing(error, COMMITS_PREFIX))?;
            let commit = Commit::open(name, shared.id, &shared.keys, &bytes);
            Ok::<_, RepoError>((name.clone(), (commit, reference(name, &bytes)?)))
        });
        stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await
    }
}

type OpenedCommit = (Result<Commit, RepoError>, ParentReference);

fn reference(name: &str, bytes: &Bytes) -> Result<ParentReference, RepoError> {
    match name.parse() {
        Ok(Name::Commit { number, writer }) => {
            Ok(ParentReference { number, writer, hash: *blake3::hash(bytes).as_bytes() })
        }
        _ => Err(RepoError::damaged(name, "it is not the name of a commit")),
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
