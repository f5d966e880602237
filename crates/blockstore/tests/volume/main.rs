//! Facts about a volume, by its public face and the bytes on the disk.

#![allow(clippy::indexing_slicing, clippy::print_stdout, clippy::unwrap_used, reason = "all of this is a test")]

mod basics;
mod compaction;
mod compaction_crash;
mod crash;
mod damage;
mod full_disk;
mod histories;
mod power;
mod support;
