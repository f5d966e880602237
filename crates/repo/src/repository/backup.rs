//! One backup: its rows and its blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use types::{Epoch, Lin, Name, SetId};

use super::rebuild::LocalRuns;
use super::stream::{RowStream, Sight};
use super::{BackupInfo, Listed, LostBackup, Repository, Shared};
use crate::RepoError;
use crate::commit::Commit;
use crate::merge::{Merge, Source};
use crate::object::{ObjectKey, OpenedSlot};
use crate::rows::{EntryRow, ExtentRow, InodeRow, KeyedDigest, Location, ObjectNumber, ObjectRow, Row, Table, Version};
use crate::run::{GroupCache, RunReader, RunReference, RunRows};

/// Objects whose rows and keys are kept; a restore reads them one after the other.
const OBJECTS_MAX: usize = 4096;

/// One backup of a listed repository. Clones share caches. It reads through the runs of the newest commit, whatever its
/// own age.
#[derive(Clone)]
pub struct Backup {
    shared: Arc<Shared>,
    runs: Arc<RunSet>,
    info: Arc<BackupInfo>,
    sight: Sight,
}

/// The runs of a commit, opened when they are first needed.
pub(super) struct RunSet {
    runs: Vec<RunReference>,
    /// Where those of them are that are not at the site.
    local: Option<Arc<LocalRuns>>,
    readers: Mutex<BTreeMap<RunKey, Arc<RunReader>>>,
    groups: Arc<GroupCache>,
    objects: Mutex<BTreeMap<ObjectNumber, KnownObject>>,
}

type RunKey = crate::names::Name;

#[derive(Clone)]
struct KnownObject {
    row: Arc<ObjectRow>,
    key: Option<Arc<ObjectKey>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunSet {
    pub(super) fn new(runs: Vec<RunReference>, local: Option<Arc<LocalRuns>>) -> Self {
        Self { runs, local, readers: Mutex::default(), groups: Arc::default(), objects: Mutex::default() }
    }

    /// Opens a run, unless it is open.
    pub(super) async fn reader(&self, shared: &Shared, reference: &RunReference) -> Result<Arc<RunReader>, RepoError> {
        let name = reference.name();
        if let Some(reader) = locked(&self.readers).get(&name) {
            return Ok(Arc::clone(reader));
        }
        let local = self.local.as_ref().and_then(|local| local.site_of(reference));
        let reader = Arc::new(RunReader::open(local.unwrap_or(&shared.site), reference, &shared.keys).await?);
        locked(&self.readers).insert(name, Arc::clone(&reader));
        Ok(reader)
    }

    /// What the commit says of the runs.
    pub(super) fn references(&self) -> &[RunReference] {
        &self.runs
    }

    /// Merges the rows of a table whose keys begin with these numbers.
    async fn merge<R: Row>(&self, shared: &Shared, key: &[u64], use_: Use) -> Result<Merge<R>, RepoError> {
        self.merge_some(shared, key, use_, |_| true).await
    }

    /// The row of an upload object, which is in a run of its own epoch until runs are merged.
    async fn object(&self, shared: &Shared, number: ObjectNumber) -> Result<Option<ObjectRow>, RepoError> {
        let may_hold = |run: &RunReference| run.level > 0 || run.writer.epoch == number.epoch();
        self.merge_some(shared, &[number.0], Use::Lookup, may_hold).await?.next().await
    }

    /// Merges such rows of some runs.
    pub(super) async fn merge_some<R: Row>(
        &self,
        shared: &Shared,
        key: &[u64],
        use_: Use,
        may_hold: impl Fn(&RunReference) -> bool,
    ) -> Result<Merge<R>, RepoError> {
        let cache = matches!(use_, Use::Lookup).then(|| Arc::clone(&self.groups));
        let mut sources = Vec::new();
        for reference in self.runs.iter().filter(|run| run.table == R::TABLE && may_hold(run)) {
            let reader = self.reader(shared, reference).await?;
            sources.push(Source::Run(RunRows::new(reader, key, cache.clone())));
        }
        Merge::new(sources).await
    }
}

/// What rows are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Everything is read once.
    Scan,
    /// Some rows, near those that were read before.
    Lookup,
}

impl Repository<Listed> {
    /// Looks at one backup.
    ///
    /// # Errors
    /// [`RepoError::NoBackup`], or [`RepoError::LostBackup`].
    pub fn at(&self, set: SetId, epoch: Epoch) -> Result<Backup, RepoError> {
        let found = self.backups().iter().find(|backup| backup.set == set && backup.epoch == epoch);
        let (Some(info), Some(head)) = (found, &self.state.head) else {
            let lost = self.lost().iter().find(|lost| lost.epoch == epoch);
            return Err(lost.map_or(RepoError::NoBackup { epoch, set }, LostBackup::error));
        };
        let voids = head.commit.voids.as_slice().into();
        Ok(Backup {
            shared: Arc::clone(&self.shared),
            runs: Arc::new(RunSet::new(self.runs_of(&head.commit, set, epoch), self.state.local.clone())),
            info: Arc::new(info.clone()),
            sight: Sight { set, epoch, voids },
        })
    }

    /// The runs that may hold rows of a backup. Those of later epochs, and of other sets, are not even opened: what is
    /// wrong with them harms the backups that need them and no others.
    fn runs_of(&self, head: &Commit, set: SetId, epoch: Epoch) -> Vec<RunReference> {
        let foreign: BTreeSet<Epoch> =
            self.backups().iter().filter(|other| other.set != set).map(|other| other.epoch).collect();
        let is_by_set = |table| matches!(table, Table::Inodes | Table::Entries | Table::Extents);
        let may_hold = |run: &&RunReference| {
            let written = run.writer.epoch;
            run.level > 0 || (written <= epoch && !(is_by_set(run.table) && foreign.contains(&written)))
        };
        let runs = self.state.local.as_ref().map_or(&head.runs, |local| &local.runs);
        runs.iter().filter(may_hold).copied().collect()
    }
}

impl Backup {
    /// What the repository says of it.
    #[must_use]
    pub fn info(&self) -> &BackupInfo {
        &self.info
    }

    /// All inodes, in the order of their LINs.
    ///
    /// # Errors
    /// A run is missing or damaged, or the site failed.
    pub async fn inodes(&self) -> Result<RowStream<InodeRow>, RepoError> {
        self.rows(&[], Use::Scan).await
    }

    /// All directory entries, in the order of directory and name.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn entries(&self) -> Result<RowStream<EntryRow>, RepoError> {
        self.rows(&[], Use::Scan).await
    }

    /// All extents, in the order of LIN and offset. Extents of a LIN that has no inode in this backup mean nothing.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn extents(&self) -> Result<RowStream<ExtentRow>, RepoError> {
        self.rows(&[], Use::Scan).await
    }

    /// One inode.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn inode(&self, lin: Lin) -> Result<Option<InodeRow>, RepoError> {
        self.rows(&[lin.0], Use::Lookup).await?.next().await
    }

    /// The entries of one directory, in the order of their names.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn directory(&self, directory: Lin) -> Result<RowStream<EntryRow>, RepoError> {
        self.rows(&[directory.0], Use::Lookup).await
    }

    /// One directory entry.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn entry(&self, directory: Lin, name: &Name) -> Result<Option<EntryRow>, RepoError> {
        let mut entries = self.directory(directory).await?;
        while let Some(entry) = entries.next().await? {
            if entry.name >= *name {
                return Ok((entry.name == *name).then_some(entry));
            }
        }
        Ok(None)
    }

    /// The extents of one file, in their order.
    ///
    /// # Errors
    /// As [`Backup::inodes`].
    pub async fn extents_of(&self, lin: Lin) -> Result<RowStream<ExtentRow>, RepoError> {
        self.rows(&[lin.0], Use::Lookup).await
    }

    async fn rows<R: Version>(&self, key: &[u64], use_: Use) -> Result<RowStream<R>, RepoError> {
        let key: Vec<u64> = std::iter::once(self.sight.set.0).chain(key.iter().copied()).collect();
        Ok(RowStream::new(self.runs.merge(&self.shared, &key, use_).await?, self.sight.clone()))
    }

    /// The row of an upload object.
    ///
    /// # Errors
    /// [`RepoError::UnknownObject`]; or a run is missing or damaged, or the site failed.
    pub async fn object(&self, number: ObjectNumber) -> Result<Arc<ObjectRow>, RepoError> {
        Ok(self.known(number).await?.row)
    }

    async fn known(&self, number: ObjectNumber) -> Result<KnownObject, RepoError> {
        if let Some(known) = locked(&self.runs.objects).get(&number) {
            return Ok(known.clone());
        }
        let unknown = || RepoError::UnknownObject { name: self.info.commit.clone(), number };
        let row = self.runs.object(&self.shared, number).await?.ok_or_else(unknown)?;
        let private = self.shared.private.as_ref();
        let key = private.map(|private| ObjectKey::unwrap(&row, self.shared.id, private)).transpose()?;
        let known = KnownObject { row: Arc::new(row), key: key.map(Arc::new) };
        let mut objects = locked(&self.runs.objects);
        if objects.len() >= OBJECTS_MAX {
            objects.pop_first();
        }
        objects.insert(number, known.clone());
        Ok(known)
    }

    /// Reads a range of an upload object: one or more sealed slots.
    ///
    /// # Errors
    /// The object is missing or shorter than it was, or the site failed.
    pub async fn fetch(&self, object: ObjectNumber, range: Range<u64>) -> Result<Bytes, RepoError> {
        let row = self.object(object).await?;
        let bytes = self.shared.site.get_range(&crate::names::Name::Object(row.writer).to_string(), range).await;
        bytes.map_err(|error| RepoError::missing(error, &self.info.commit))
    }

    /// Opens the sealed slot of a location, as [`Backup::fetch`] gave it.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], or [`RepoError::NeedsPrivateKey`].
    pub async fn open_slot(&self, location: &Location, sealed: &[u8]) -> Result<OpenedSlot, RepoError> {
        self.key(location.object).await?.open(location.slot, sealed)
    }

    /// Takes a block out of an opened slot and checks its digest.
    ///
    /// # Errors
    /// [`RepoError::Damaged`], or [`RepoError::NeedsPrivateKey`].
    pub async fn member(
        &self,
        slot: &OpenedSlot,
        location: &Location,
        digest: &KeyedDigest,
    ) -> Result<Bytes, RepoError> {
        self.key(location.object).await?.member(slot, location, digest, &self.shared.keys)
    }

    /// Reads one block: fetches its slot, opens it, and checks the block's digest.
    ///
    /// # Errors
    /// As [`Backup::fetch`], [`Backup::open_slot`] and [`Backup::member`].
    pub async fn block(&self, location: &Location, digest: &KeyedDigest) -> Result<Bytes, RepoError> {
        if !location.is_within_limits() {
            return Err(RepoError::damaged(&self.info.commit, "a row points to a block longer than the format allows"));
        }
        let end = location.slot_offset.saturating_add(u64::from(location.slot_length));
        let sealed = self.fetch(location.object, location.slot_offset..end).await?;
        let slot = self.open_slot(location, &sealed).await?;
        self.member(&slot, location, digest).await
    }

    async fn key(&self, object: ObjectNumber) -> Result<Arc<ObjectKey>, RepoError> {
        let KnownObject { row, key } = self.known(object).await?;
        let name = || crate::names::Name::Object(row.writer).to_string();
        key.ok_or_else(|| RepoError::NeedsPrivateKey { name: name() })
    }
}

impl fmt::Debug for Backup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backup({} of set {})", self.sight.epoch, self.sight.set)
    }
}
