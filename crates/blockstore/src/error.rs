//! What can go wrong with a volume.

use std::path::PathBuf;

use block::BlockError;
use runtime::{FileError, LockError};
use thiserror::Error;
use types::{BlockId, Digest, ErrorKind, VolumeId};

/// A volume could not do what was asked.
#[derive(Debug, Error)]
pub enum BlockStoreError {
    /// A file of the volume.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has the volume open.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index.
    #[error("cannot {operation} the index {}: {source}", path.display())]
    Index {
        /// Its folder.
        path: PathBuf,
        /// What was being done.
        operation: &'static str,
        /// What RocksDB says.
        source: rocksdb::Error,
    },
    /// A row of the index is not one that this release writes.
    #[error("the index {} has a row that cannot be read: remove the folder, and it is rebuilt", path.display())]
    IndexRow {
        /// Its folder.
        path: PathBuf,
    },
    /// There are segments, and no file that says whose they are (rule P6).
    #[error("{} holds segments and no identity: it is no volume that can be used", folder.display())]
    NoIdentity {
        /// The volume's folder.
        folder: PathBuf,
    },
    /// The identity file is not one.
    #[error("{} is no identity of a volume: {reason}", path.display())]
    BadIdentity {
        /// The identity file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The folder holds another volume than the one that should be there (rule P6).
    #[error("{} holds {found} and should hold volume {expected}", folder.display())]
    OtherVolume {
        /// The volume's folder.
        folder: PathBuf,
        /// The volume that should be there.
        expected: VolumeId,
        /// The one that is; none if the folder is empty.
        found: FoundVolume,
    },
    /// The bytes of a put are no block.
    #[error("block {id} is refused")]
    BadBlock {
        /// The block.
        id: BlockId,
        /// What is wrong with its bytes.
        source: BlockError,
    },
    /// The id is taken by other bytes (rule P11).
    #[error("block {id} is held with digest {held} and was put with {given}")]
    OtherDigest {
        /// The block.
        id: BlockId,
        /// The digest of the block that is held.
        held: Digest,
        /// The digest in the put.
        given: Digest,
    },
    /// There is no room.
    #[error("volume {volume} has {free} bytes free; {needed} are needed and {reserve} stay reserved")]
    NoSpace {
        /// The volume.
        volume: VolumeId,
        /// What is free, in bytes.
        free: u64,
        /// What the put needs, in bytes.
        needed: u64,
        /// What puts leave alone, in bytes.
        reserve: u64,
    },
    /// The bytes on the disk are not those of the block.
    #[error("block {id} in segment {segment} at {offset} is damaged")]
    Damaged {
        /// The block.
        id: BlockId,
        /// The segment.
        segment: u64,
        /// Where its record begins.
        offset: u64,
        /// What is wrong.
        source: Damage,
    },
    /// The block was found damaged before, and no good copy was put since.
    #[error("block {id} is quarantined: its bytes were found damaged, and still are")]
    Quarantined {
        /// The block.
        id: BlockId,
    },
    /// The disk did not give the block's bytes now; nothing is known against them.
    #[error("block {id} cannot be read from this disk now")]
    Unreadable {
        /// The block.
        id: BlockId,
        /// The system's answer.
        source: FileError,
    },
    /// A range of a block's plain bytes could not be made.
    #[error("cannot read a part of block {id}")]
    Range {
        /// The block.
        id: BlockId,
        /// Why not.
        source: BlockError,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the writer of volume {volume}")]
    Thread {
        /// The volume.
        volume: VolumeId,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A write or sync failed; what the medium holds is not known before the volume is opened again.
    #[error(
        "volume {volume} takes no more writes since one failed ({reason}): the node tries it again for a while; then check the disk and restart the node"
    )]
    Unwritable {
        /// The volume.
        volume: VolumeId,
        /// The error of then.
        reason: String,
    },
    /// The volume was closed.
    #[error("volume {volume} is closed")]
    Closed {
        /// The volume.
        volume: VolumeId,
    },
}

/// What is wrong with the bytes of one block.
#[derive(Debug, Error)]
pub enum Damage {
    /// The record's header is not one, or not of this place.
    #[error("its header is damaged")]
    Header,
    /// It is the record of another block.
    #[error("its place holds block {found}")]
    OtherBlock {
        /// The block that is there.
        found: BlockId,
    },
    /// The payload's checksum is wrong.
    #[error("its checksum is {found:08x} and should be {expected:08x}")]
    Payload {
        /// The CRC-32 in the header.
        expected: u32,
        /// The CRC-32 of the bytes.
        found: u32,
    },
    /// Its segment is gone, or ends before it.
    #[error("its bytes are not there")]
    Missing(#[source] FileError),
    /// The stored form is not whole.
    #[error("its stored form is damaged")]
    Block(#[from] BlockError),
}

/// What lies in a folder where a volume should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundVolume {
    /// Nothing.
    Nothing,
    /// That volume.
    Volume(VolumeId),
}

impl std::fmt::Display for FoundVolume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("no volume"),
            Self::Volume(volume) => write!(f, "volume {volume}"),
        }
    }
}

impl BlockStoreError {
    /// Whether the disk or what it holds is at fault, so that only this volume cannot be used. The others say that the
    /// folder is somebody else's, or that the process lacks something.
    #[must_use]
    pub const fn is_of_the_disk(&self) -> bool {
        match self {
            Self::File(_) | Self::Lock(LockError::File(_)) | Self::Index { .. } | Self::IndexRow { .. } => true,
            Self::NoIdentity { .. } | Self::BadIdentity { .. } => true,
            Self::OtherVolume { found, .. } => matches!(found, FoundVolume::Nothing),
            Self::Damaged { .. } | Self::Quarantined { .. } | Self::Unreadable { .. } | Self::Unwritable { .. } => true,
            Self::Lock(LockError::Held { .. }) | Self::Thread { .. } | Self::Closed { .. } => false,
            Self::BadBlock { .. } | Self::OtherDigest { .. } | Self::NoSpace { .. } | Self::Range { .. } => false,
        }
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::File(error) | Self::Lock(LockError::File(error)) if error.is_no_space() => ErrorKind::NoSpace,
            Self::File(_) | Self::Lock(LockError::File(_)) | Self::Index { .. } | Self::Thread { .. } => {
                ErrorKind::Internal
            }
            Self::Lock(LockError::Held { .. }) | Self::OtherDigest { .. } => ErrorKind::Conflict,
            Self::NoIdentity { .. } | Self::OtherVolume { .. } => ErrorKind::Conflict,
            Self::BadIdentity { .. } | Self::IndexRow { .. } => ErrorKind::Corrupt,
            Self::Damaged { .. } | Self::Quarantined { .. } => ErrorKind::Corrupt,
            Self::BadBlock { source, .. } | Self::Range { source, .. } => source.kind(),
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Closed { .. } => ErrorKind::Unavailable,
        }
    }
}
