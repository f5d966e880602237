//! The repository at a site: objects, tables, keys, commits, and how they are read.
//!
//! A repository is all that a site keeps for one cluster or a succession of clusters. It is write-once (law 6), it is
//! sealed except for a small bootstrap and the check trailers (law 8), and with its key alone, without any cluster,
//! everything in it can be read. `FORMAT.md` has every byte.
//!
//! Writing, in the order of durable steps (rule P22):
//! 1. workers put upload objects: blocks, and in each object's footer the rows that belong to them ([`ObjectWriter`]);
//! 2. the coordinator merges all footers into the epoch's runs and puts them ([`coalesce()`]);
//! 3. it puts one commit, which names all runs ([`Commit`]). Before that, readers see nothing of 1 and 2.
//!
//! A crash before 3 leaves objects that no commit names; they harm nobody. After it, the backup is there.
//!
//! Reading: [`Repository::open`] with a passphrase, a private key, a recovery kit or a node's keys; then
//! [`Repository::list`], then [`Repository::at`] one backup.
//!
//! What is deliberately absent: a lock, an object that is overwritten, an index that must be loaded, a clock.

mod bootstrap;
mod coalesce;
mod commit;
#[doc(hidden)]
pub mod decoders;
mod error;
mod formats;
mod hex;
mod json;
mod keys;
mod merge;
mod object;
mod owner;
mod repository;
mod rows;
mod run;
mod sealed;
mod state;

pub mod names;

pub use bootstrap::Bootstrap;
pub use coalesce::{CoalesceContext, CoalesceOptions, Coalesced, coalesce};
pub use commit::{COMMIT_VERSION, Commit, CommitTotals, ParentReference, RootRecord, StateReference};
pub use error::RepoError;
pub use formats::FORMATS;
pub use keys::{
    KeyObject, KitError, NewKeys, PASSPHRASE_LENGTH_MIN, PassphraseCost, PrivateKey, ReaderKeys, RecoveryKit, Secret,
    WrappedKey, WriterKeys,
};
pub use names::Writer;
pub use object::{
    BlockIdentity, OBJECT_VERSION, ObjectKey, ObjectOptions, ObjectReader, ObjectWriter, OpenedSlot, STRIPE_LENGTH,
    SealedObject, StoredBlock, Trailer,
};
pub use owner::OwnerObject;
pub use repository::{
    Backup, BackupInfo, CheckDepth, CheckOptions, CheckReport, Finding, Listed, LostBackup, Misfit, NewRepository,
    Opened, RebuildOptions, Rebuilt, Repository, RowFinding, RowStream, Uncommitted, Unlock, check_without_key,
    newest_commit,
};
pub use rows::{
    BlockRow, EntryRecord, EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, KeyedDigest, Location,
    MemberCodec, ObjectNumber, ObjectRow, Row, Table, Version,
};
pub use run::{RunOptions, RunReference};
pub use state::SealedState;
