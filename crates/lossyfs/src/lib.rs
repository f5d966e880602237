//! A file system in memory that loses what was not synced when its power is cut.
//!
//! Killing a process loses nothing that it wrote: the kernel has it. Only a file system that forgets shows whether a
//! program synced what it relied upon. This one is mounted through FUSE, so that real processes, RocksDB among them, run
//! on it; a [`Disk`] can be copied while they do, and [`Disk::after_power_loss`] gives what would be left of it.
//!
//! **What survives** is what POSIX promises, and beyond that what a seed decides:
//! - `fsync` and `fdatasync` of a file keep its bytes and its length, and *not* its name.
//! - `fsync` of a directory keeps the names in it, and what must have happened before them.
//! - Of the pages (4 KiB) of a file that were written since its last sync, each survives or not; so does the length.
//! - Of the changes of names since the last syncs of their directories, a prefix survives: file systems with a journal
//!   keep their order. A rename is one change.
//!
//! Attributes are kept at once, for nothing of ours relies on the order of those. There are no symbolic links, special
//! files or extended attributes.

mod disk;
mod file;
mod mount;
mod names;
mod refusal;

pub use disk::{Disk, Number, ROOT};
pub use mount::{Mount, MountError};
pub use refusal::Refusal;
