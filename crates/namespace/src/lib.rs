//! The replicated state machine: the tree with its snapshots and its change index, and the cluster's own records.
//!
//! Every node feeds the same log to a [`Store`] and so has the same rows: nothing here reads a clock, draws a random
//! number or depends on the order of a hash map. Reads go through a [`View`], which does not move.
//!
//! # What it relies on
//! RocksDB's atomic batches, snapshots and `atomic_flush`; entries that come in the order of the log, each once; times
//! and keys that came in with the operations. It is not the log: it runs without a WAL.
//!
//! # Order of durable steps
//! One call of [`Store::apply`] is one batch in memory, and how far it goes is a row of that batch. [`Store::flush`]
//! makes all families durable at once, and gives the index up to which the log may be purged then.
//!
//! # A crash
//! Before a flush has succeeded, the store comes back as the flush before it left it, and the log has the rest. In the
//! midst of a batch, nothing of the batch is there. While a checkpoint is made, its folder is incomplete and to be
//! removed by whoever wanted it.
//!
//! # Limits
//! A batch is held in memory twice, so its size is the caller's to bound. FORMAT.md beside this crate has the limits of
//! what is stored, and every key, row and invariant.

mod accounts;
mod apply;
mod changes;
mod check;
mod database;
#[doc(hidden)]
pub mod decoders;
mod error;
mod extents;
mod family;
mod formats;
mod genesis;
mod history;
mod holds;
mod index;
mod inode;
mod job;
mod keys;
mod locks;
mod meta;
mod ops;
mod orphans;
mod overlay;
mod pins;
mod places;
mod publish;
mod read;
mod rows;
mod scopes;
mod session;
mod store;
mod tables;
mod tails;
mod time;
mod transaction;
mod tree;
mod view;

pub use changes::ChangeFlags;
pub use check::Fault;
pub use error::{Failure, StoreError};
pub use family::Family;
pub use formats::FORMATS;
pub use genesis::GENESIS;
pub use rows::Usage;
pub use session::LEASE_TICKS;
pub use store::{Applied, Entry, Results, Store};
pub use time::{TIME_SLACK, TimeJump};
pub use view::{
    Change, ChangeCursor, ChangePage, DirectoryEntry, File, NamedLock, Runs, SessionState, Sought, StoredContent, View,
};
