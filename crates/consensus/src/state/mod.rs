//! The state that follows from the log: the store of `namespace`, its copies, and its replacement.
//!
//! Relies on: one `apply` is one write, which holds the place in the log too; a copy is of one such moment. **Order of
//! durable steps** and **crash**: see [`stores`] for the replacement; what was applied since the last flush is applied
//! again from the log. **Limits.** One write takes 64 entries or 8 MiB; one copy is kept; one is received at a time.

mod checkpoint;
mod error;
mod incoming;
mod machine;
mod shelf;
mod stores;

pub(crate) use checkpoint::{Checkpoint, Contents, FileEntry};
pub use error::StateError;
pub(crate) use incoming::{Chunk, Incoming};
pub(crate) use machine::{Machine, Transfer, snapshot_of};
pub(crate) use shelf::Shelf;
pub(crate) use stores::Stores;
