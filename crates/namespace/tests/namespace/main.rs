//! The state machine from outside: one binary, so that RocksDB is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod blocks;
mod callers;
mod changes;
mod clones;
mod cluster;
mod cuts;
mod durability;
mod histories;
mod holds;
mod holes;
mod locks;
mod model;
mod orphans;
mod pins;
mod quota_histories;
mod quotas;
mod scale;
mod sessions;
mod snapshots;
mod tails;
mod times;
mod tree;
mod world;
