//! Making the commit of a job.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use namespace::View;
use repo::{
    CoalesceContext, CoalesceOptions, Coalesced, Commit, ParentReference, RootRecord, RunReference, SealedState,
};
use serde::Serialize;
use site::Site;
use tracing::warn;
use types::{
    CommitReference, CommitTicket, Epoch, ErrorKind, Job, JobOperation, JobPhase, Lin, Name, ObjectReport, Policy, Root,
};

use super::{OwnError, Owner};
use crate::OpenError;
use crate::surroundings::StateError;

/// Runs of one merge at most; sequence numbers are set aside for them.
const RUNS_MAX: u64 = 1 << 20;

/// Directories above a root at most: a path with more cannot be written anywhere.
const DEPTH_MAX: usize = 1 << 16;

/// The parent itself, the runs that it names, and the backups that are no longer part of the repository.
type Inherited = (Option<ParentReference>, Vec<RunReference>, Vec<Epoch>);

/// The cluster's configuration as an epoch keeps it (rule P24). It holds no secrets.
#[derive(Serialize)]
struct Configuration {
    version: u32,
    sites: Vec<types::Site>,
    policies: Vec<Policy>,
}

impl Owner {
    /// Refuses to go on if the newest commit at the site is not the one that the state knows (rule P21), nor the one that
    /// the job has fixed and an owner before this one may have put; or if it does not open: the commit of this job could
    /// not build on it.
    pub(super) async fn check_head(&self, job: &Job, site: &Site) -> Result<(), OwnError> {
        let before = self.site_record().await?;
        let found = self.newest_commit(site).await?;
        let record = self.site_record().await?;
        let name = |record: &types::Site| record.state.head.as_ref().map(|head| head.name.clone());
        let known = name(&record);
        // The commit of another policy's job may be there before it is confirmed, or be confirmed in between.
        let is_of_another = record.state.pending.is_some_and(|pending| pending != job.id);
        if found == known || found == name(&before) || is_of_another || is_own(job, found.as_deref()) {
            return Ok(());
        }
        let text = |name: Option<String>| name.unwrap_or_else(|| "none".to_owned());
        Err(OwnError::StrangeHead { site: record.name, found: text(found), known: text(known) })
    }

    /// The newest commit at the site.
    async fn newest_commit(&self, site: &Site) -> Result<Option<String>, OwnError> {
        let found = repo::newest_commit(site, self.record.repository, &self.keys).await;
        found.map_err(|source| match source.kind() {
            ErrorKind::Corrupt => OwnError::DamagedHead { site: self.record.name.clone(), source },
            _ => source.into(),
        })
    }

    /// Makes sure that the site is still the right one.
    pub(super) async fn check_site(&self) -> Result<(), OwnError> {
        let retry = self.options.retry(&self.around.clock);
        let check = || self.around.check_site(&self.record, &self.bare, &self.options);
        Ok(retry.run("check the site", OpenError::kind, check).await?)
    }

    /// Merges the tables of the objects into the epoch's runs.
    pub(super) async fn merge(&self, job: &Job, objects: &[ObjectReport]) -> Result<Coalesced, OwnError> {
        let writer = self.writer(job);
        self.sequence.fetch_add(RUNS_MAX, Ordering::Relaxed);
        let folder = self.around.folder.join(format!("job-{}.merge", job.id));
        let context = CoalesceContext {
            site: &self.site,
            repository: self.record.repository,
            keys: &self.keys,
            seed: &self.around.seed,
            files: &self.around.files,
            folder: &folder,
        };
        let mut coalesced = repo::coalesce(context, writer, objects, CoalesceOptions::default()).await?;
        coalesced.totals.bytes_plain = objects.iter().map(|object| object.bytes_plain).sum();
        Ok(coalesced)
    }

    /// Seals the commit upon the site's head and fixes it. While another job's commit is pending, or if one came
    /// between, the commit is made again upon the new head. If this job's own is fixed already, by an owner whose answer
    /// was lost, that one stands: the job is given back as it is.
    pub(super) async fn fix_commit(&self, job: &Job, coalesced: Coalesced) -> Result<Job, OwnError> {
        loop {
            let record = self.site_record().await?;
            let now = self.now(job.id).await?;
            if now.phase != job.phase || now.fence != job.fence {
                return Ok(now);
            }
            if record.state.pending.is_some_and(|pending| pending != job.id) {
                self.around.clock.sleep(self.options.poll).await;
                continue;
            }
            self.check_head(job, &self.site).await?;
            let parent = record.state.head;
            let commit = self.make_commit(job, &coalesced, parent.as_ref()).await?;
            let ticket = CommitTicket {
                commit: CommitReference { number: commit.number, name: commit.name().to_string() },
                bytes: commit.seal(&self.keys, &self.around.seed)?,
            };
            // All that the commit names was put before this, and must be where the commit goes.
            self.check_site().await?;
            let parent = parent.map(|parent| parent.number);
            let step = JobOperation::FixCommit { job: job.id, fence: job.fence, parent, ticket };
            match self.propose(step).await {
                Err(error) if is_refused(&error) && self.head_moved(parent).await? => {}
                other => return other,
            }
        }
    }

    async fn make_commit(
        &self,
        job: &Job,
        coalesced: &Coalesced,
        head: Option<&CommitReference>,
    ) -> Result<Commit, OwnError> {
        let (parent, mut runs, voids) = match head {
            Some(head) => self.parent(head).await?,
            None => (None, Vec::new(), Vec::new()),
        };
        runs.extend(coalesced.runs.iter().cloned());
        runs.sort_by_key(|run| (run.table, run.level, run.writer));
        let snapshot = self.around.state.latest().await?.snapshot(job.snapshot)?;
        Ok(Commit {
            repository: self.record.repository,
            number: head.map_or(1, |head| head.number.saturating_add(1)),
            writer: self.writer(job),
            parent,
            set: job.set,
            policy: self.policy.name.clone(),
            definition_hash: definition_hash(&self.policy),
            roots: self.roots(job).await?,
            snapshot_time: snapshot.created,
            base: job.base,
            runs,
            totals: coalesced.totals,
            voids,
            state: Some(self.put_configuration(job).await?),
        })
    }

    /// The roots with the paths that they have in the job's snapshot (rule P17).
    async fn roots(&self, job: &Job) -> Result<Vec<RootRecord>, OwnError> {
        let (view, snapshot, roots) = (self.around.state.latest().await?, job.snapshot, self.policy.roots.clone());
        let records = runtime::blocking(move || {
            let view = view.at(snapshot)?;
            let record = |root: &Root| Ok(RootRecord { lin: root.lin, path: path_of(&view, root)? });
            roots.iter().map(record).collect::<Result<Vec<_>, OwnError>>()
        });
        let records = records.await?;
        for (root, record) in self.policy.roots.iter().zip(&records) {
            if !is_shown_as(&record.path, &root.path) {
                let (now, then) = (String::from_utf8_lossy(&record.path), &root.path);
                warn!(job = %job.id, root = %root.lin, %now, %then, "a root has another path than when its policy was made");
            }
        }
        Ok(records)
    }

    /// What a commit takes over from the one before it.
    async fn parent(&self, head: &CommitReference) -> Result<Inherited, OwnError> {
        let bytes = self.site.get(&head.name).await?;
        let commit = Commit::open(&head.name, self.record.repository, &self.keys, &bytes)?;
        Ok((Some(commit.as_parent(&bytes)), commit.runs, commit.voids))
    }

    async fn put_configuration(&self, job: &Job) -> Result<repo::StateReference, OwnError> {
        let view = self.around.state.latest().await?;
        let configuration = Configuration { version: 1, sites: view.sites()?, policies: view.policies()? };
        let plain = serde_json::to_vec(&configuration).expect("plain values of ours become JSON");
        let (seed, repository) = (&self.around.seed, self.record.repository);
        let sealed = SealedState::seal(self.writer(job), repository, &self.keys, seed, &plain)?;
        self.site.put_same(&sealed.name, sealed.bytes).await?;
        Ok(sealed.reference)
    }

    /// The site as the cluster's state has it.
    async fn site_record(&self) -> Result<types::Site, OwnError> {
        let (view, id) = (self.around.state.latest().await?, self.record.id);
        runtime::blocking(move || Ok(view.site(id)?)).await
    }

    async fn head_moved(&self, parent: Option<u64>) -> Result<bool, OwnError> {
        let state = self.site_record().await?.state;
        Ok(state.pending.is_some() || state.head.map(|head| head.number) != parent)
    }
}

/// Whether a commit at the site is the one that the job has fixed.
fn is_own(job: &Job, found: Option<&str>) -> bool {
    matches!(&job.phase, JobPhase::Committing(ticket) if found == Some(ticket.commit.name.as_str()))
}

fn is_refused(error: &OwnError) -> bool {
    matches!(error, OwnError::State(StateError::Refused(refused)) if refused.kind() == ErrorKind::Conflict)
}

/// The path of a root in the view: what restores go by. Of several names of a file the one that the policy shows counts,
/// if it is there still.
fn path_of(view: &View, root: &Root) -> Result<Bytes, OwnError> {
    let links = view.links(root.lin)?;
    if root.lin == Lin::ROOT {
        return Ok(Bytes::from_static(b"/"));
    }
    let mut first = None;
    for link in links {
        let path = climb(view, root.lin, link)?;
        if is_shown_as(&path, &root.path) {
            return Ok(path);
        }
        first.get_or_insert(path);
    }
    first.ok_or_else(|| OwnError::NoRootPath { lin: root.lin, path: root.path.clone() })
}

/// Goes up from a name to the root directory.
fn climb(view: &View, lin: Lin, link: (Lin, Name)) -> Result<Bytes, OwnError> {
    let (mut parent, name) = link;
    let mut names = vec![name];
    while parent != Lin::ROOT {
        let above = view.links(parent)?.into_iter().next().filter(|_| names.len() < DEPTH_MAX);
        let no_path = || OwnError::NoRootPath { lin, path: String::from_utf8_lossy(&joined(&names)).into_owned() };
        let (next, name) = above.ok_or_else(no_path)?;
        names.push(name);
        parent = next;
    }
    Ok(joined(&names))
}

/// Names from the last to the first, as a path.
fn joined(names: &[Name]) -> Bytes {
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
    }
    path.into()
}

/// Whether a policy shows the path so: as it is, or escaped where it is no text.
fn is_shown_as(path: &[u8], shown: &str) -> bool {
    path == shown.as_bytes() || path.escape_ascii().to_string() == shown
}

/// BLAKE3 of what decides about membership: the roots' LINs.
fn definition_hash(policy: &Policy) -> [u8; 32] {
    let mut roots: Vec<_> = policy.roots.iter().map(|root| root.lin).collect();
    roots.sort_unstable();
    let mut hasher = blake3::Hasher::new_derive_key("holdfast backup set definition v1");
    roots.iter().for_each(|lin| {
        hasher.update(&lin.get().to_be_bytes());
    });
    *hasher.finalize().as_bytes()
}
