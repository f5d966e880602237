//! The replicated state machine: the tree, its snapshots, its change index, and the cluster's records.
//!
//! See FORMAT.md beside this crate for every key and value.

mod apply;
mod changes;
mod check;
mod database;
mod error;
mod extents;
mod family;
mod genesis;
mod history;
mod index;
mod inode;
mod job;
mod keys;
mod meta;
mod ops;
mod overlay;
mod publish;
mod read;
mod rows;
mod session;
mod store;
mod tables;
mod transaction;
mod tree;
mod view;

pub use changes::ChangeFlags;
pub use check::Fault;
pub use error::{Failure, StoreError};
pub use family::Family;
pub use genesis::GENESIS;
pub use rows::Usage;
pub use store::{Applied, Entry, Results, Store};
pub use view::{Change, ChangeCursor, ChangePage, DirectoryEntry, File, SessionState, StoredContent, View};
