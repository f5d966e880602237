//! The volumes of this node: one block store a folder.
//!
//! A disk may break or hang without the others: what concerns one volume is bounded in time, and its failure is no
//! failure of the rest. A volume that did not open refuses: a put fails, a read of a block that no other volume has
//! fails and never says that the block is not there, and nothing counts as removed.

mod opening;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use blockstore::{
    BlockStore, BlockStoreError, Compacted, CompactionPoint, NewBlock, ScrubDepth, ScrubProgress, Scrubbed,
    StoredBlock, Usage,
};
use futures::future::join_all;
use runtime::Clock;
use types::{BlockId, PgId, VolumeId};

use self::opening::Opening;
use crate::replication;
use crate::{Daemon, NodeError};

/// A busy disk answers within it. A disk that does not is taken for one that hangs, and another holder is asked, which
/// has the same time and answers before its own caller gives it up.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// Another node that asks how this one is waits for two seconds, and one disk that hangs is no reason to say nothing.
const CONDITION_DEADLINE: Duration = Duration::from_secs(1);

/// A removal of many blocks waits behind puts and writes as many tombstones. As long as a put may take.
const REMOVE_DEADLINE: Duration = Duration::from_secs(15);
/// What a volume has not written by then, nobody was told of: the next start reads it from the segments.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// The volumes of this node.
pub struct Volumes {
    clock: Clock,
    volumes: BTreeMap<VolumeId, Volume>,
    /// In the order of the configuration.
    ids: Vec<VolumeId>,
}

struct Volume {
    id: VolumeId,
    folder: PathBuf,
    /// Or why it did not open.
    store: Result<BlockStore, String>,
}

/// The room of a node, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// All of the volumes.
    pub capacity_bytes: u64,
    /// What may still be used.
    pub free_bytes: u64,
    /// Stored bytes of the blocks.
    pub block_bytes: u64,
}

/// How the volumes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// The room of those that can be read.
    pub room: Room,
    /// Blocks on them that were found damaged, and that no good copy has replaced.
    pub damaged_blocks: u64,
    /// Those that an admin should look at, by number.
    pub failed: Vec<FailedVolume>,
}

/// A volume that does not do all that it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedVolume {
    /// The volume.
    pub volume: VolumeId,
    /// Its folder.
    pub folder: PathBuf,
    /// What it does not do, and why.
    pub reason: String,
}

/// What became of blocks that were to be removed.
pub struct Removal {
    /// Those that are on no volume any more.
    pub removed: Vec<BlockId>,
    /// Why others are still there.
    pub failure: Option<NodeError>,
}

impl Volumes {
    /// Opens the folders of the configuration as new volumes; refused if one of them holds blocks, because the blocks of
    /// another life would meet new ones of the same numbers.
    ///
    /// # Errors
    /// A folder holds blocks, is in use, or cannot be used.
    pub async fn create(daemon: &Daemon) -> Result<Self, NodeError> {
        let volumes = Opening::of(daemon).new_volumes(&daemon.config.volumes).await?;
        match volumes.require_empty().await {
            Ok(()) => Ok(volumes),
            Err(error) => {
                volumes.close().await;
                Err(error)
            }
        }
    }

    async fn require_empty(&self) -> Result<(), NodeError> {
        for volume in self.volumes.values() {
            if self.usage_of(volume, READ_DEADLINE).await?.blocks > 0 {
                return Err(NodeError::Unexplained { path: volume.folder.clone() });
            }
        }
        Ok(())
    }

    /// Opens the volumes that a member has; one whose disk fails is there and refuses.
    ///
    /// # Errors
    /// There are more or fewer folders than volumes, a folder holds another volume, or another process uses one.
    pub async fn open(daemon: &Daemon, expected: &[VolumeId]) -> Result<Self, NodeError> {
        Opening::of(daemon).volumes(&daemon.config.volumes, expected).await
    }

    const fn none(clock: Clock) -> Self {
        Self { clock, volumes: BTreeMap::new(), ids: Vec::new() }
    }

    fn add(&mut self, volume: Volume) {
        self.ids.push(volume.id);
        self.volumes.insert(volume.id, volume);
    }

    /// The volumes, in the order of the configuration.
    #[must_use]
    pub fn ids(&self) -> Vec<VolumeId> {
        self.ids.clone()
    }

    /// Puts blocks on a volume; they are on disk when it returns.
    ///
    /// # Errors
    /// The volume is not here, did not open, has no room, or refuses a block.
    pub async fn put(
        &self,
        volume: VolumeId,
        pg: PgId,
        blocks: Vec<replication::StoredBlock>,
    ) -> Result<(), NodeError> {
        let store = self.volume(volume)?.store()?;
        let new =
            |block: replication::StoredBlock| NewBlock { id: block.id, pg, digest: block.digest, stored: block.stored };
        Ok(store.put(blocks.into_iter().map(new).collect()).await?)
    }

    /// Reads a block from whichever volume has it.
    ///
    /// # Errors
    /// No volume gave it, and one did not open, cannot be read, or did not answer in time.
    pub async fn get(&self, id: BlockId) -> Result<Option<StoredBlock>, NodeError> {
        let mut failure = None;
        for volume in self.volumes.values() {
            match self.get_from(volume, id).await {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    async fn get_from(&self, volume: &Volume, id: BlockId) -> Result<Option<StoredBlock>, NodeError> {
        self.in_time(volume, volume.store()?.get(id)).await
    }

    /// Up to `limit` blocks of a volume behind `after`, in order, those that were found damaged among them.
    ///
    /// # Errors
    /// The volume is not here, cannot be read, or did not answer in time.
    pub async fn blocks(
        &self,
        volume: VolumeId,
        after: Option<BlockId>,
        limit: usize,
    ) -> Result<Vec<BlockId>, NodeError> {
        let found = self.volume(volume)?;
        self.in_time(found, found.store()?.all_ids(after, limit)).await
    }

    /// Removes blocks from all volumes; those that are not here count as removed.
    ///
    /// A volume that did not open, or takes no writes, keeps what it has, and holds up nothing else.
    pub async fn remove(&self, ids: Vec<BlockId>) -> Removal {
        let (mut kept, mut failure) = (BTreeSet::new(), None);
        for volume in self.volumes.values() {
            if let Err(error) = self.remove_from(volume, &ids).await {
                // If even that cannot be told, all of them may be there.
                let remaining = self.remaining_on(volume, &ids).await;
                kept.extend(remaining.unwrap_or_else(|_| ids.clone()));
                failure = Some(error);
            }
        }
        Removal { removed: ids.into_iter().filter(|id| !kept.contains(id)).collect(), failure }
    }

    async fn remove_from(&self, volume: &Volume, ids: &[BlockId]) -> Result<(), NodeError> {
        self.within(REMOVE_DEADLINE, volume, volume.store()?.remove(ids.to_vec())).await
    }

    async fn remaining_on(&self, volume: &Volume, ids: &[BlockId]) -> Result<Vec<BlockId>, NodeError> {
        self.in_time(volume, volume.store()?.remaining(ids.to_vec())).await
    }

    /// Does one step of a round that gives back segments of a volume of which little is needed. It has no deadline: what it
    /// reads and writes is bounded, and nobody waits for it.
    ///
    /// # Errors
    /// The volume is not here, did not open, takes no writes, or has no room even in the reserve.
    pub async fn compact(
        &self,
        volume: VolumeId,
        point: Option<CompactionPoint>,
        bytes_max: u64,
    ) -> Result<Compacted, NodeError> {
        let found = self.volume(volume)?;
        found.takes_writes()?;
        Ok(found.store()?.compact(point, bytes_max).await?)
    }

    /// Whether a volume is open and takes no writes since one has failed.
    #[must_use]
    pub fn is_broken(&self, volume: VolumeId) -> bool {
        let store = self.volumes.get(&volume).and_then(|found| found.store().ok());
        store.is_some_and(|store| store.takes_writes().is_err())
    }

    /// Lets a volume take writes again after one has failed. It has no deadline, as [`Volumes::compact`] has none.
    ///
    /// # Errors
    /// The volume is not here, did not open, or its disk fails still.
    pub async fn reopen(&self, volume: VolumeId) -> Result<(), NodeError> {
        Ok(self.volume(volume)?.store()?.reopen().await?)
    }

    /// How full a volume is.
    ///
    /// # Errors
    /// The volume is not here, did not open, cannot be read, or did not answer in time.
    pub async fn usage(&self, volume: VolumeId) -> Result<Usage, NodeError> {
        self.usage_of(self.volume(volume)?, READ_DEADLINE).await
    }

    /// Reads up to `limit` blocks of a volume behind `after` and compares their digests. It has no deadline, as
    /// [`Volumes::compact`] has none.
    ///
    /// # Errors
    /// The volume is not here, did not open, or its index cannot be read.
    pub async fn scrub(&self, volume: VolumeId, after: Option<BlockId>, limit: usize) -> Result<Scrubbed, NodeError> {
        Ok(self.volume(volume)?.store()?.scrub(after, limit, ScrubDepth::Digests).await?)
    }

    /// How far the scrub of a volume was when it was kept last.
    ///
    /// # Errors
    /// The volume is not here, did not open, cannot be read, or did not answer in time.
    pub async fn scrub_progress(&self, volume: VolumeId) -> Result<Option<ScrubProgress>, NodeError> {
        let found = self.volume(volume)?;
        self.in_time(found, found.store()?.scrub_progress()).await
    }

    /// Keeps how far the scrub of a volume is.
    ///
    /// # Errors
    /// The volume is not here, did not open, cannot be written, or did not answer in time.
    pub async fn keep_scrub_progress(&self, volume: VolumeId, progress: ScrubProgress) -> Result<(), NodeError> {
        let found = self.volume(volume)?;
        self.in_time(found, found.store()?.keep_scrub_progress(progress)).await
    }

    fn volume(&self, volume: VolumeId) -> Result<&Volume, NodeError> {
        self.volumes.get(&volume).ok_or(NodeError::NoVolume { volume })
    }

    /// How the volumes are, and how much room those have that can be read.
    pub async fn condition(&self) -> Condition {
        let mut condition = Condition::default();
        let usages = join_all(self.volumes.values().map(|volume| self.usage_of(volume, CONDITION_DEADLINE))).await;
        for (volume, usage) in self.volumes.values().zip(usages) {
            let reason = match usage {
                Ok(usage) => {
                    condition.room.add(&usage);
                    condition.damaged_blocks += usage.quarantined_blocks;
                    volume.takes_writes().err()
                }
                Err(error) => Some(error),
            };
            condition.failed.extend(reason.map(|reason| FailedVolume {
                volume: volume.id,
                folder: volume.folder.clone(),
                reason: reason.to_string(),
            }));
        }
        condition
    }

    async fn usage_of(&self, volume: &Volume, limit: Duration) -> Result<Usage, NodeError> {
        self.within(limit, volume, volume.store()?.usage()).await
    }

    async fn in_time<T>(
        &self,
        volume: &Volume,
        reading: impl Future<Output = Result<T, BlockStoreError>>,
    ) -> Result<T, NodeError> {
        self.within(READ_DEADLINE, volume, reading).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        volume: &Volume,
        work: impl Future<Output = Result<T, BlockStoreError>>,
    ) -> Result<T, NodeError> {
        let late = |_| NodeError::SlowVolume { path: volume.folder.clone(), limit };
        Ok(self.clock.timeout(limit, work).await.map_err(late)??)
    }

    /// Closes all volumes.
    pub async fn close(&self) {
        for volume in self.volumes.values() {
            let Ok(store) = &volume.store else { continue };
            if self.clock.timeout(CLOSE_DEADLINE, store.close()).await.is_err() {
                tracing::warn!(path = %volume.folder.display(), "a volume did not close in time");
            }
        }
    }
}

impl Volume {
    fn store(&self) -> Result<&BlockStore, NodeError> {
        let closed = |reason: &String| NodeError::VolumeNotOpen {
            volume: self.id,
            path: self.folder.clone(),
            reason: reason.clone(),
        };
        self.store.as_ref().map_err(closed)
    }

    fn takes_writes(&self) -> Result<(), NodeError> {
        Ok(self.store()?.takes_writes()?)
    }
}

impl Room {
    fn add(&mut self, usage: &Usage) {
        self.capacity_bytes = self.capacity_bytes.saturating_add(usage.capacity_bytes);
        self.free_bytes = self.free_bytes.saturating_add(usage.available_bytes());
        self.block_bytes = self.block_bytes.saturating_add(usage.live_bytes);
    }
}

/// MiB as bytes.
#[must_use]
pub const fn mebibytes(count: u32) -> u64 {
    (count as u64) << 20
}

#[cfg(test)]
mod tests;
