//! The commits of a repository.
//!
//! On the worst day a commit may be damaged too. That takes its own backup and no other: the listing goes on below it,
//! and says what was lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use site::LIST_LIMIT_MAX;
use types::{Epoch, ErrorKind, SetId, Timestamp};

use super::rebuild::LocalRuns;
use super::{Opened, Repository};
use crate::RepoError;
use crate::commit::{Commit, CommitTotals, ParentReference, RootRecord, StateReference};
use crate::names::{COMMITS_PREFIX, Name, Writer};

/// Commits that are read at once.
const READS_MAX: usize = 16;

/// The chain of commits was read and checked.
#[derive(Clone, Debug)]
pub struct Listed {
    pub(super) head: Option<Arc<Head>>,
    backups: Arc<Vec<BackupInfo>>,
    lost: Arc<Vec<LostBackup>>,
    strays: Arc<Vec<String>>,
    /// Runs that were made again.
    pub(super) local: Option<Arc<LocalRuns>>,
}

/// The newest commit that can be read.
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
    /// The cluster's configuration at that time.
    pub state: Option<StateReference>,
}

/// A backup whose commit is missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostBackup {
    /// Its number, which its commit's name tells.
    pub epoch: Epoch,
    /// The name of its commit.
    pub commit: String,
    /// The number of its commit.
    pub number: u64,
    /// What is wrong with the commit.
    pub what: String,
}

/// The name of a commit, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommitName {
    name: String,
    number: u64,
    writer: Writer,
}

impl From<&ParentReference> for CommitName {
    fn from(parent: &ParentReference) -> Self {
        Self { name: parent.name().to_string(), number: parent.number, writer: parent.writer }
    }
}

/// What lies among the commits.
#[derive(Default)]
struct CommitNames {
    /// Names of commits, newest first.
    commits: Vec<CommitName>,
    /// Names of no commit: somebody else put them there.
    strays: Vec<String>,
}

/// What is kept of a commit. Each names all runs of its time, so that those of all commits together are many times more
/// than the repository has: of none but the newest they are wanted.
struct Link {
    info: BackupInfo,
    reference: ParentReference,
    parent: Option<ParentReference>,
}

type Links = BTreeMap<String, Result<Link, RepoError>>;

/// The next commit on the way down the chain.
struct Wanted {
    name: CommitName,
    /// What the commit above it says that its hash is; not known below a commit that is lost.
    hash: Option<[u8; 32]>,
    /// The commit above it.
    needed_by: String,
}

impl Wanted {
    fn take(&self, links: &mut Links) -> Result<Link, RepoError> {
        let missing = || RepoError::Missing { name: self.name.name.clone(), needed_by: self.needed_by.clone() };
        let link = links.remove(&self.name.name).unwrap_or_else(|| Err(missing()))?;
        if self.hash.is_some_and(|hash| hash != link.reference.hash) {
            return Err(RepoError::damaged(&self.name.name, "it is not the commit on which the next one builds"));
        }
        Ok(link)
    }
}

/// Of several commits of one generation and number, leaves those that open: whoever can write to the site, but has no key,
/// can put a name there, and no more. Two that open are a fork (rule P22).
fn settle_twins(names: &mut CommitNames, links: &Links) -> Result<(), RepoError> {
    let place = |name: &CommitName| (name.writer.generation, name.number);
    let opens = |name: &&CommitName| links.get(&name.name).is_some_and(Result::is_ok);
    let mut settled: Vec<CommitName> = Vec::new();
    for twins in names.commits.chunk_by(|one, other| place(one) == place(other)) {
        let mut sound = twins.iter().filter(opens);
        match (sound.next(), sound.next()) {
            (Some(first), Some(second)) => {
                return Err(RepoError::Fork { first: first.name.clone(), second: second.name.clone() });
            }
            (Some(only), None) => {
                settled.push(only.clone());
                names.strays.extend(twins.iter().filter(|twin| *twin != only).map(|twin| twin.name.clone()));
            }
            (None, _) => settled.extend(twins.iter().cloned()),
        }
    }
    names.commits = settled;
    Ok(())
}

/// The chain of commits, from the newest on.
#[derive(Default)]
struct Chain {
    head: Option<ParentReference>,
    backups: Vec<BackupInfo>,
    lost: Vec<LostBackup>,
}

impl Chain {
    /// Goes from the newest commit to its parent and on. What the chain does not reach does not count (rule P22).
    fn walk(names: &[CommitName], mut links: Links) -> Result<Self, RepoError> {
        let mut chain = Self::default();
        let unknown = |name: &CommitName| Wanted { name: name.clone(), hash: None, needed_by: COMMITS_PREFIX.into() };
        let mut next = names.first().map(unknown);
        while let Some(wanted) = next {
            next = match wanted.take(&mut links) {
                Ok(link) => chain.add(link),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    chain.lose(&wanted.name, error);
                    below(names, &wanted.name).map(unknown)
                }
                Err(error) => return Err(error),
            };
        }
        Ok(chain)
    }

    fn add(&mut self, link: Link) -> Option<Wanted> {
        let Link { info, reference, parent } = link;
        let needed_by = info.commit.clone();
        self.head.get_or_insert(reference);
        self.backups.push(info);
        parent.map(|parent| Wanted { name: (&parent).into(), hash: Some(parent.hash), needed_by })
    }

    fn lose(&mut self, name: &CommitName, error: RepoError) {
        let what = error.finding().map_or_else(|| error.to_string(), |(_, what)| what);
        let CommitName { name, number, writer } = name.clone();
        self.lost.push(LostBackup { epoch: writer.epoch, commit: name, number, what });
    }
}

/// The commit on which a lost one most likely builds: numbers fall along the chain, and one of an older generation with
/// as large a number was written by a cluster that no longer owned the repository.
fn below<'a>(names: &'a [CommitName], lost: &CommitName) -> Option<&'a CommitName> {
    names.iter().find(|other| other.name > lost.name && other.number < lost.number)
}

impl Repository<Opened> {
    /// Lists the commits and checks that they are one chain: the head is the first name of the listing, and what its
    /// parents do not reach does not count (rule P22). Backups whose commits are missing or damaged are
    /// [lost](Repository::lost); the others are there.
    ///
    /// # Errors
    /// [`RepoError::Fork`] names two commits of one number; a commit is of a later version; or the site failed.
    pub async fn list(self) -> Result<Repository<Listed>, RepoError> {
        let mut names = self.commit_names().await?;
        let links = self.open_commits(&names.commits).await?;
        settle_twins(&mut names, &links)?;
        let mut chain = Chain::walk(&names.commits, links)?;
        let head = match chain.head {
            Some(reference) => Some(Arc::new(self.head(reference).await?)),
            None => None,
        };
        let voids = head.as_ref().map_or(&[][..], |head| &head.commit.voids);
        chain.backups.retain(|backup| !voids.contains(&backup.epoch));
        chain.lost.retain(|backup| !voids.contains(&backup.epoch));
        let (backups, lost, strays) = (Arc::new(chain.backups), Arc::new(chain.lost), Arc::new(names.strays));
        let state = Listed { head, backups, lost, strays, local: None };
        Ok(Repository { shared: self.shared, state })
    }

    async fn commit_names(&self) -> Result<CommitNames, RepoError> {
        let mut names = CommitNames::default();
        let mut after: Option<String> = None;
        loop {
            let listed = self.shared.site.list(COMMITS_PREFIX, after.as_deref(), LIST_LIMIT_MAX).await?;
            let is_last = listed.len() < LIST_LIMIT_MAX;
            after = listed.last().map(|listed| listed.name.clone());
            for listed in listed {
                match listed.name.parse() {
                    Ok(Name::Commit { number, writer }) => {
                        names.commits.push(CommitName { name: listed.name, number, writer });
                    }
                    _ => names.strays.push(listed.name),
                }
            }
            if is_last {
                return Ok(names);
            }
        }
    }

    /// Reads all commits, some at once. A commit that does not open is an error only if the chain reaches it.
    async fn open_commits(&self, names: &[CommitName]) -> Result<Links, RepoError> {
        let reads = names.iter().map(|CommitName { name, .. }| async move {
            let opened = self.open_commit(name).await?;
            let link = opened.map(|(commit, reference)| Link {
                info: BackupInfo::of(&commit),
                reference,
                parent: commit.parent,
            });
            Ok::<_, RepoError>((name.clone(), link))
        });
        stream::iter(reads).buffer_unordered(READS_MAX).try_collect().await
    }

    /// Reads one commit. The outer error is the site's, the inner one is about the commit.
    async fn open_commit(&self, name: &str) -> Result<Result<(Commit, ParentReference), RepoError>, RepoError> {
        let shared = &self.shared;
        let bytes = match shared.site.get(name).await.map_err(|error| RepoError::missing(error, COMMITS_PREFIX)) {
            Ok(bytes) => bytes,
            Err(error @ RepoError::Missing { .. }) => return Ok(Err(error)),
            Err(error) => return Err(error),
        };
        let opened = Commit::open(name, shared.id, &shared.keys, &bytes);
        Ok(opened.map(|commit| {
            let reference = commit.as_parent(&bytes);
            (commit, reference)
        }))
    }

    /// Reads the newest commit once more, and whole.
    async fn head(&self, expected: ParentReference) -> Result<Head, RepoError> {
        let name = expected.name().to_string();
        let (commit, reference) = self.open_commit(&name).await??;
        if reference != expected {
            return Err(RepoError::damaged(name, "it is not what it was a moment ago"));
        }
        Ok(Head { commit, reference })
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
            state: commit.state,
        }
    }
}

impl LostBackup {
    /// As an error, for whoever asks for this very backup.
    #[must_use]
    pub fn error(&self) -> RepoError {
        RepoError::LostBackup { epoch: self.epoch, name: self.commit.clone(), what: self.what.clone() }
    }
}

impl Repository<Listed> {
    /// The newest commit that can be read; `None` if there is none.
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

    /// Backups whose commits are missing or damaged, newest first. Of a newest commit that is gone nothing tells.
    #[must_use]
    pub fn lost(&self) -> &[LostBackup] {
        &self.state.lost
    }

    /// Objects among the commits that are none of this repository's. A reader passes them by.
    #[must_use]
    pub fn strays(&self) -> &[String] {
        &self.state.strays
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

        let listed = repository.list().await.unwrap();
        let numbers: Vec<u64> = listed.backups().iter().map(|backup| backup.number).collect();
        assert_eq!(numbers, (1..=300).rev().collect::<Vec<_>>());
        assert_eq!(listed.head().map(|head| head.runs.len()), Some(300));
    }
}
