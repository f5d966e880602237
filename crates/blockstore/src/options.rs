//! What a volume is opened with.

use std::path::PathBuf;

use runtime::{Files, Seed, Tasks};
use types::VolumeId;

use crate::BlockStoreMetrics;

/// How a volume is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The volume's folder; an empty or absent one becomes a new volume.
    pub folder: PathBuf,
    /// The volume that must be there (rule P6); none takes any, and makes a new one.
    pub expected: Option<VolumeId>,
    /// A segment is closed before it grows beyond this, in bytes.
    pub segment_bytes: u64,
    /// Free space that puts leave alone, so that removals and the Raft log go on when the disk is full, in bytes.
    pub reserve_bytes: u64,
    /// How much the records of held blocks may take, in bytes, for a disk that is not the volume's alone.
    pub capacity_bytes: Option<u64>,
    /// How much is written under one sync, in bytes: more makes puts wait longer for each other.
    pub batch_bytes: u64,
    /// How much may wait to be written, in bytes.
    pub queue_bytes: u64,
    /// Reads at a time. Each holds a thread; a disk that hangs holds no more of them, and leaves the rest of the process
    /// its own.
    pub reads_max: usize,
}

impl Options {
    /// The usual ones for a folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            expected: None,
            segment_bytes: 256 << 20,
            reserve_bytes: 1 << 30,
            capacity_bytes: None,
            batch_bytes: 16 << 20,
            queue_bytes: 64 << 20,
            reads_max: 32,
        }
    }
}

/// What a volume needs from the process around it.
#[derive(Clone, Debug)]
pub struct Outside {
    /// The disk.
    pub files: Files,
    /// The owner of the writer.
    pub tasks: Tasks,
    /// Where the id of a new volume comes from.
    pub seed: Seed,
    /// Where it counts.
    pub metrics: BlockStoreMetrics,
}
