//! The formats of this crate, for `--version`.

use crate::table;

/// What is written, and in which version.
pub const FORMATS: [(&str, u32); 1] = [("stored block", table::VERSION as u32)];
