//! The volumes of this node: one block store a folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use blockstore::{BlockStore, NewBlock, Options, Outside, StoredBlock};
use types::{BlockId, PgId, VolumeId};

use crate::replication;
use crate::{Daemon, NodeError};

/// The volumes of this node.
pub struct Volumes {
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
            if volume.store.usage().await?.blocks > 0 {
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
        let mut volumes = Self { stores: BTreeMap::new(), ids: Vec::new() };
        for (index, folder) in daemon.config.volumes.iter().enumerate() {
            let options = Options { expected: expected(index), ..Options::new(folder.clone()) };
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
    /// A copy is there and cannot be read.
    pub async fn get(&self, id: BlockId) -> Result<Option<StoredBlock>, NodeError> {
        for volume in self.stores.values() {
            if let Some(block) = volume.store.get(id).await? {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Removes blocks from all volumes; those that are not here are no error.
    ///
    /// # Errors
    /// A volume takes no writes.
    pub async fn remove(&self, ids: &[BlockId]) -> Result<(), NodeError> {
        for volume in self.stores.values() {
            volume.store.remove(ids.to_vec()).await?;
        }
        Ok(())
    }

    /// How much room there is.
    ///
    /// # Errors
    /// A volume cannot be read.
    pub async fn room(&self) -> Result<Room, NodeError> {
        let mut room = Room::default();
        for volume in self.stores.values() {
            let usage = volume.store.usage().await?;
            room.capacity_bytes = room.capacity_bytes.saturating_add(usage.total_bytes);
            room.free_bytes = room.free_bytes.saturating_add(usage.available_bytes());
            room.block_bytes = room.block_bytes.saturating_add(usage.live_bytes);
        }
        Ok(room)
    }

    /// Closes all volumes.
    pub async fn close(&self) {
        for volume in self.stores.values() {
            volume.store.close().await;
        }
    }
}
