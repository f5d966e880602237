//! Tells two trees apart: type, mode, owner, time, extended attributes, link groups, holes, bytes.
//!
//! Not compared: times of access and of the last change of the inode, inode numbers, and how a directory is laid out,
//! because nobody can restore them.

mod difference;
mod holes;
mod pair;
mod walk;

pub use difference::{Aspect, Difference};
pub use walk::{CompareOptions, Comparison, compare};
