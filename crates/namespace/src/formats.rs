//! The formats of this crate, for `--version`.

use crate::{meta, rows};

/// What is written to the store, and in which version.
pub const FORMATS: [(&str, u32); 2] = [("state store", meta::FORMAT), ("state row", rows::ROW_VERSION as u32)];
