//! What tests share: trees made from a seed, a comparison of two trees, clusters of real processes, and disks that lose
//! their power.
//!
//! Four parts, each usable alone:
//!
//! - [`tree`] makes a directory tree that holds everything a file system can hold and people forget (names that are not
//!   UTF-8, holes, link groups, set-id bits, times before 1970), and changes one as a day's work would.
//! - [`compare`] tells two trees apart: type, mode, owner, time, extended attributes, link groups, holes, bytes.
//! - [`cluster`] starts `holdfastd` processes on loopback, waits for what they are to do, kills them, and never leaves
//!   one behind.
//! - [`power`] keeps the disk of every moment of a program, and tells what a loss of power may leave of it.
//!
//! This crate is for tests only. It works on real files, real processes and the real clock, and not through the crate
//! `runtime`, because what it checks is what the operating system ends up with; but [`power`] stands behind `runtime`.

#![allow(clippy::disallowed_methods, reason = "tests look at the real files, processes and clock from outside")]

pub mod cluster;
pub mod compare;
mod error;
mod inode;
pub mod power;
mod seeds;
mod skip;
mod small_disk;
pub mod tree;

pub use error::{FileOperation, TestkitError};
pub use seeds::{rounds, seed};
pub use skip::skip;
pub use small_disk::SmallDisk;
