//! A file system in memory that loses what was not synced when its power is cut.
//!
//! It is mounted through FUSE, so that real processes, RocksDB among them, run on it; its disk can be copied while they
//! do, and [`testkit::power`] tells what a loss of power would leave of it.

mod mount;

pub use mount::{Mount, MountError};
