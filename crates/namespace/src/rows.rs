//! What the rows hold, and how they become bytes: a version byte, then postcard.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::{
    Attributes, BlockId, Device, Digest, Extent, FileKind, JobId, Limits, Lin, LockMode, Name, OperationError, Outcome,
    PgId, Policy, PublishedExtent, Revision, Run, Snapshot, SnapshotId, Tail, Timestamp,
};

use crate::time::StateTime;

/// The version of every row; the first byte of its value.
pub const ROW_VERSION: u8 = 1;

/// A row as bytes.
pub fn encode(row: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(row, vec![ROW_VERSION]).expect("plain data is always serialisable into memory")
}

/// A row from its bytes.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, String> {
    match bytes.split_first() {
        Some((&ROW_VERSION, body)) => match postcard::take_from_bytes(body) {
            Ok((row, [])) => Ok(row),
            Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
            Err(error) => Err(error.to_string()),
        },
        Some((version, _)) => Err(format!("row version {version} is not known")),
        None => Err("the row is empty".to_owned()),
    }
}

/// The revision at the front of a [`Dated`] row's bytes, and the bytes of the row itself.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn revision_and_rest(bytes: &[u8]) -> Result<(Revision, &[u8]), String> {
    match bytes.split_first() {
        Some((&ROW_VERSION, body)) => postcard::take_from_bytes(body).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("row version {version} is not known")),
        None => Err("the row is empty".to_owned()),
    }
}

/// The bytes of a [`Dated`] row, from the bytes of the row itself.
pub fn with_revision(revision: Revision, row: &[u8]) -> Vec<u8> {
    [&encode(&revision), row].concat()
}

/// A row that has a birth (in the head) or a death (in the history).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dated<R> {
    /// In the head the revision that wrote the row, in a history the one that replaced or removed it.
    pub revision: Revision,
    /// The row.
    pub row: R,
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InodeRow {
    /// Its kind, fixed for life.
    pub kind: FileKind,
    /// Permission, set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Directory entries that name it; for a directory 2 plus its subdirectories.
    pub nlink: u32,
    /// Length in bytes; of a directory the number of its entries.
    pub size: u64,
    /// Last access.
    pub atime: Timestamp,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last change of anything.
    pub ctime: Timestamp,
    /// The revision under which the change index has this LIN.
    pub changed: Revision,
    /// What it holds.
    pub body: Body,
}

/// What an inode holds besides its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A directory: its entries are rows of their own.
    Directory,
    /// The target of a symbolic link.
    Target(Bytes),
    /// The first bytes of a file, which ends in a hole if it is longer. It has no extents.
    Inline(Bytes),
    /// A file whose bytes are in the extents of the content that began with this operation; what none of them covers
    /// is a hole.
    Extents(Revision),
    /// A pipe or a socket, which live in the memory of the machine that opens them.
    Nothing,
    /// The device that a special file stands for.
    Device(Device),
}

impl InodeRow {
    /// The inode, if it is that of a regular file.
    pub fn expect_file(self, lin: Lin) -> Result<Self, OperationError> {
        match self.kind {
            FileKind::File => Ok(self),
            FileKind::Directory => Err(OperationError::IsDirectory { lin }),
            kind => Err(OperationError::WrongKind { lin, kind }),
        }
    }

    /// What `stat` tells.
    pub const fn attributes(&self, lin: Lin) -> Attributes {
        Attributes {
            lin,
            kind: self.kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            nlink: self.nlink,
            size: self.size,
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
        }
    }
}

/// A directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryRow {
    /// What it names.
    pub lin: Lin,
    /// The kind of that.
    pub kind: FileKind,
}

/// A row whose key says everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present;

/// A range of a file that is no hole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunRow {
    /// Its bytes are in a block.
    Block(ExtentRow),
    /// Its bytes are here, until they are cut into a block (rule P16): at least one, at most [`types::TAIL_LENGTH_MAX`].
    Tail(Bytes),
}

impl RunRow {
    /// Its length in bytes.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Block(extent) => extent.length as u64,
            Self::Tail(bytes) => bytes.len() as u64,
        }
    }

    /// The run with its place in the file.
    pub fn at(self, offset: u64) -> Run {
        match self {
            Self::Block(extent) => Run::Block(extent.at(offset).extent),
            Self::Tail(bytes) => Run::Tail(Tail { offset, bytes }),
        }
    }
}

/// A range of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtentRow {
    /// Length of the range in bytes.
    pub length: u32,
    /// The block that holds the bytes.
    pub block: BlockId,
    /// Where the range begins in the block.
    pub block_offset: u32,
    /// Plain length of the whole block.
    pub block_length: u32,
    /// Digest of the whole block.
    pub digest: Digest,
    /// Whose seats hold the block.
    pub pg: PgId,
    /// The revision at which the block was first published (rule P7).
    pub block_born: Revision,
}

impl ExtentRow {
    /// The row of an extent, without its place in the file.
    pub const fn new(extent: &Extent, block_born: Revision) -> Self {
        Self {
            length: extent.length,
            block: extent.block,
            block_offset: extent.block_offset,
            block_length: extent.block_length,
            digest: extent.digest,
            pg: extent.pg,
            block_born,
        }
    }

    /// The extent at its place in the file.
    pub const fn at(&self, offset: u64) -> PublishedExtent {
        let extent = Extent {
            offset,
            length: self.length,
            block: self.block,
            block_offset: self.block_offset,
            block_length: self.block_length,
            digest: self.digest,
            pg: self.pg,
        };
        PublishedExtent { extent, block_born: self.block_born }
    }
}

/// What changed of a LIN, as a row of the change index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRow {
    /// The bits of [`crate::ChangeFlags`].
    pub flags: u8,
}

/// A snapshot with what only the store needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRow {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Whether whoever took it needs it no more: it goes with the last session that pins it.
    pub is_released: bool,
}

/// Extents that an operation took from their file and that are not dropped yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRow {
    /// Where they begin: all before are dropped.
    pub from: u64,
}

/// A client's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRow {
    /// Whose it is.
    pub label: String,
    /// State time of its opening.
    pub opened: Timestamp,
    /// State time when its low-water mark last rose.
    pub used: Timestamp,
    /// The count of ticks when it was last heard of, from which its lease runs.
    pub renewed: u64,
    /// Results below this number are forgotten.
    pub low_water: u64,
    /// Blocks below this number are published or given up for good.
    pub block_mark: u64,
    /// Files that it holds.
    pub holds: u64,
    /// Locks that it has.
    pub locks: u64,
    /// Snapshots that it pins, sorted.
    pub pins: Vec<SnapshotId>,
    /// Blocks from the mark on that are published: ranges, the end excluded, sorted, apart from each other.
    pub published: Vec<(u64, u64)>,
}

/// A result to be given again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedRow {
    /// The first result.
    pub result: Result<Outcome, OperationError>,
}

/// A copy to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreedRow {
    /// The placement group of the block.
    pub pg: PgId,
    /// When the block died.
    pub revision: Revision,
}

/// A policy with what only the store needs to know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRow {
    /// The policy.
    pub policy: Policy,
    /// Its job that has not ended.
    pub open_job: Option<JobId>,
}

/// The one row of `meta` that tells how far the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressRow {
    /// The last log entry that was applied.
    pub index: u64,
    /// Its position in the consensus' own words.
    pub position: Option<Bytes>,
    /// The last membership in the consensus' own words.
    pub membership: Option<Bytes>,
    /// The last operation.
    pub revision: Revision,
    /// State time.
    pub time: StateTime,
    /// Chained hash of all writes of all entries.
    pub digest: [u8; 32],
    /// What the tree holds.
    pub usage: Usage,
    /// Rows in `orphan`.
    pub orphans: u64,
    /// Ticks so far.
    pub ticks: u64,
    /// What there is of quotas.
    pub quotas: QuotaCounts,
}

/// What there is of quotas, so that an operation need not look where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaCounts {
    /// Quotas of directories.
    pub directories: u64,
    /// Quotas of users.
    pub users: u64,
    /// Rows in `recount`.
    pub recounts: u64,
    /// The operation since which there has always been one, if there is any.
    pub recounting_since: Revision,
}

/// A pin of a snapshot by a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// What the session does with the snapshot.
    pub label: String,
}

/// A lock, which begins where its key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRow {
    /// The byte after the last one.
    pub end: u64,
    /// Who else may have the bytes.
    pub mode: LockMode,
}

/// A quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaRow {
    /// What is allowed.
    pub limits: Limits,
    /// The operation that set it first.
    pub since: Revision,
}

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Files of every kind.
    pub inodes: u64,
    /// The lengths of the files among them, holes included. Two files may have more together than 64 bits hold.
    pub bytes: u128,
}

/// A directory whose entries are to be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecountRow {
    /// All up to this name are.
    pub after: Option<Name>,
}

/// What the tree holds at its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Files of every kind.
    pub inodes: u64,
    /// The lengths of all files together, holes included, modulo 2⁶⁴.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_and_a_damaged_one_says_why() {
        let row = EntryRow { lin: Lin(7), kind: FileKind::File };
        let bytes = encode(&row);
        assert_eq!(decode::<EntryRow>(&bytes), Ok(row));
        assert_eq!(decode::<EntryRow>(&[]), Err("the row is empty".to_owned()));
        assert_eq!(decode::<EntryRow>(&[9, 1]), Err("row version 9 is not known".to_owned()));
        assert_eq!(decode::<EntryRow>(&[&bytes[..], &[0]].concat()), Err("1 bytes too many".to_owned()));
        assert!(decode::<EntryRow>(&bytes[..2]).is_err());
    }

    #[test]
    fn a_dated_row_takes_another_revision_without_being_decoded() {
        let row = EntryRow { lin: Lin(7), kind: FileKind::File };
        let bytes = encode(&Dated { revision: Revision(300), row });
        let (birth, rest) = revision_and_rest(&bytes).unwrap();
        assert_eq!(birth, Revision(300));
        let moved: Dated<EntryRow> = decode(&with_revision(Revision(1 << 40), rest)).unwrap();
        assert_eq!(moved, Dated { revision: Revision(1 << 40), row });
    }
}
