//! Opening the volumes when a node starts.
//!
//! **A disk fails alone.** A volume whose disk is not mounted, gives errors, or has lost files does not keep its node
//! down: it is entered as one that refuses, and `cluster status` shows why, until the node is started again.
//!
//! A node none of whose volumes opens starts as well. Its log, its vote and its keys lie in the data folder; without
//! them a cluster of three could not lose another node.
//!
//! **A mix-up stops the start.** A folder with another volume, or one that another process uses, is a mistake of whoever
//! moved disks or wrote the configuration (rule P6): to go on would hide it.

use std::path::{Path, PathBuf};

use blockstore::{BlockStore, BlockStoreError, Options, Outside};
use runtime::Clock;
use types::VolumeId;

use super::{Volume, Volumes, mebibytes};
use crate::config::BlocksConfig;
use crate::{Daemon, NodeError};

/// What volumes are opened with.
pub(super) struct Opening {
    pub(super) clock: Clock,
    pub(super) blocks: BlocksConfig,
    pub(super) outside: Outside,
}

impl Opening {
    pub(super) fn of(daemon: &Daemon) -> Self {
        let platform = &daemon.platform;
        let outside = Outside {
            files: platform.files.clone(),
            tasks: platform.tasks.clone(),
            seed: platform.seed.clone(),
            metrics: daemon.block_metrics.clone(),
        };
        Self { clock: platform.clock.clone(), blocks: daemon.config.blocks.clone(), outside }
    }

    /// Opens folders that are to become volumes, all of them or none.
    pub(super) async fn new_volumes(&self, folders: &[PathBuf]) -> Result<Volumes, NodeError> {
        let mut volumes = Volumes::none(self.clock.clone());
        for folder in folders {
            match self.open(folder, None).await {
                Ok(store) => volumes.add(Volume { id: store.volume(), folder: folder.clone(), store: Ok(store) }),
                Err(error) => return Err(given_up(&volumes, error).await),
            }
        }
        Ok(volumes)
    }

    /// Opens the volumes that a member has, as many of them as can be.
    pub(super) async fn volumes(&self, folders: &[PathBuf], expected: &[VolumeId]) -> Result<Volumes, NodeError> {
        let (configured, joined) = (folders.len(), expected.len());
        if configured != joined {
            return Err(NodeError::VolumeCount { configured, joined });
        }
        let mut volumes = Volumes::none(self.clock.clone());
        for (folder, id) in folders.iter().zip(expected.iter().copied()) {
            let store = match self.open(folder, Some(id)).await {
                Err(error) if error.is_of_the_disk() => {
                    tracing::error!(volume = %id, path = %folder.display(), %error, "a volume does not open");
                    Err(error.to_string())
                }
                Err(error) => return Err(given_up(&volumes, error).await),
                Ok(store) => Ok(store),
            };
            volumes.add(Volume { id, folder: folder.clone(), store });
        }
        Ok(volumes)
    }

    async fn open(&self, folder: &Path, expected: Option<VolumeId>) -> Result<BlockStore, BlockStoreError> {
        let options = Options {
            expected,
            segment_bytes: mebibytes(self.blocks.segment_mib),
            reserve_bytes: mebibytes(self.blocks.reserve_mib),
            capacity_bytes: self.blocks.capacity_mib.map(mebibytes),
            ..Options::new(folder)
        };
        BlockStore::open(options, self.outside.clone()).await
    }
}

/// Closes those that are open already, so that it can be tried again.
async fn given_up(volumes: &Volumes, error: BlockStoreError) -> NodeError {
    volumes.close().await;
    error.into()
}
