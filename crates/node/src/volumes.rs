//! The volumes of this node: one block store a folder.
//!
//! A disk may break or hang without the others: what concerns one volume is bounded in time, and its failure is no
//! failure of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use blockstore::{BlockStore, BlockStoreError, NewBlock, Options, Outside, StoredBlock, Usage};
use runtime::Clock;
use types::{BlockId, PgId, VolumeId};

use crate::replication;
use crate::{Daemon, NodeError};

/// A busy disk answers within it. A disk that does not is taken for one that hangs, and another holder is asked, which
/// has the same time and answers before its own caller gives it up.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// A removal of many blocks waits behind puts and writes as many tombstones. As long as a put may take.
const REMOVE_DEADLINE: Duration = Duration::from_secs(15);
/// What a volume has not written by then, nobody was told of: the next start reads it from the segments.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// The volumes of this node.
pub struct Volumes {
    clock: Clock,
    stores: BTreeMap<VolumeId, Volume>,
    /// In the order of the configuration.
    ids: Vec<VolumeId>,
}

struct Volume {
    folder: PathBuf,
    store: BlockStore,
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
        let volumes = Self::open_all(daemon, |_| None).await?;
        match volumes.require_empty().await {
            Ok(()) => Ok(volumes),
            Err(error) => {
                volumes.close().await;
                Err(error)
            }
        }
    }

    async fn require_empty(&self) -> Result<(), NodeError> {
        for volume in self.stores.values() {
            if self.usage_of(volume).await?.blocks > 0 {
                return Err(NodeError::Unexplained { path: volume.folder.clone() });
            }
        }
        Ok(())
    }

    /// Opens the volumes that a member has.
    ///
    /// # Errors
    /// A folder holds another volume, is damaged, or cannot be used.
    pub async fn open(daemon: &Daemon, expected: &[VolumeId]) -> Result<Self, NodeError> {
        let configured = daemon.config.volumes.len();
        if configured != expected.len() {
            return Err(NodeError::VolumeCount { configured, joined: expected.len() });
        }
        let expected = expected.to_vec();
        Self::open_all(daemon, move |index| expected.get(index).copied()).await
    }

    async fn open_all(daemon: &Daemon, expected: impl Fn(usize) -> Option<VolumeId>) -> Result<Self, NodeError> {
        let platform = &daemon.platform;
        let mut volumes = Self { clock: platform.clock.clone(), stores: BTreeMap::new(), ids: Vec::new() };
        for (index, folder) in daemon.config.volumes.iter().enumerate() {
            let blocks = &daemon.config.blocks;
            let options = Options {
                expected: expected(index),
                reserve_bytes: mebibytes(blocks.reserve_mib),
                capacity_bytes: blocks.capacity_mib.map(mebibytes),
                ..Options::new(folder.clone())
            };
            let outside = Outside {
                files: platform.files.clone(),
                tasks: platform.tasks.clone(),
                seed: platform.seed.clone(),
                metrics: daemon.block_metrics.clone(),
            };
            let store = BlockStore::open(options, outside).await?;
            let id = store.volume();
            volumes.ids.push(id);
            volumes.stores.insert(id, Volume { folder: folder.clone(), store });
        }
        Ok(volumes)
    }

    /// The volumes, in the order of the configuration.
    #[must_use]
    pub fn ids(&self) -> Vec<VolumeId> {
        self.ids.clone()
    }

    /// Puts blocks on a volume; they are on disk when it returns.
    ///
    /// # Errors
    /// The volume is not here, has no room, or refuses a block.
    pub async fn put(
        &self,
        volume: VolumeId,
        pg: PgId,
        blocks: Vec<replication::StoredBlock>,
    ) -> Result<(), NodeError> {
        let found = self.stores.get(&volume).ok_or(NodeError::NoVolume { volume })?;
        let new =
            |block: replication::StoredBlock| NewBlock { id: block.id, pg, digest: block.digest, stored: block.stored };
        Ok(found.store.put(blocks.into_iter().map(new).collect()).await?)
    }

    /// Reads a block from whichever volume has it.
    ///
    /// # Errors
    /// No volume gave it, and one cannot be read, or did not answer in time.
    pub async fn get(&self, id: BlockId) -> Result<Option<StoredBlock>, NodeError> {
        let mut failure = None;
        for volume in self.stores.values() {
            match self.in_time(volume, volume.store.get(id)).await {
                Ok(Some(block)) => return Ok(Some(block)),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Removes blocks from all volumes; those that are not here count as removed.
    ///
    /// A volume that takes no writes keeps what it has, and holds up nothing else.
    pub async fn remove(&self, ids: Vec<BlockId>) -> Removal {
        let (mut kept, mut failure) = (BTreeSet::new(), None);
        for volume in self.stores.values() {
            let removed = self.within(REMOVE_DEADLINE, volume, volume.store.remove(ids.clone())).await;
            if let Err(error) = removed {
                // If even that cannot be told, all of them may be there.
                let remaining = self.in_time(volume, volume.store.remaining(ids.clone())).await;
                kept.extend(remaining.unwrap_or_else(|_| ids.clone()));
                failure = Some(error);
            }
        }
        Removal { removed: ids.into_iter().filter(|id| !kept.contains(id)).collect(), failure }
    }

    /// How much room there is.
    ///
    /// # Errors
    /// A volume cannot be read.
    pub async fn room(&self) -> Result<Room, NodeError> {
        let mut room = Room::default();
        for volume in self.stores.values() {
            let usage = self.usage_of(volume).await?;
            room.capacity_bytes = room.capacity_bytes.saturating_add(usage.capacity_bytes);
            room.free_bytes = room.free_bytes.saturating_add(usage.available_bytes());
            room.block_bytes = room.block_bytes.saturating_add(usage.live_bytes);
        }
        Ok(room)
    }

    async fn usage_of(&self, volume: &Volume) -> Result<Usage, NodeError> {
        self.in_time(volume, volume.store.usage()).await
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
        for volume in self.stores.values() {
            if self.clock.timeout(CLOSE_DEADLINE, volume.store.close()).await.is_err() {
                tracing::warn!(path = %volume.folder.display(), "a volume did not close in time");
            }
        }
    }
}

/// MiB as bytes.
#[must_use]
pub const fn mebibytes(count: u32) -> u64 {
    (count as u64) << 20
}

#[cfg(test)]
mod tests;
