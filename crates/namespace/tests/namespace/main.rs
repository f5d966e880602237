//! The state machine from outside: one binary, so that RocksDB is linked once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod blocks;
mod changes;
mod durability;
mod sessions;
mod snapshots;
mod tree;
mod world;
