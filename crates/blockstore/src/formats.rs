//! The formats of this crate, for `--version`.

use crate::index::ROW_VERSION;
use crate::{gone, identity, record, scrub_progress, segment};

/// What is written to a volume and beside it, and in which version.
pub const FORMATS: [(&str, u32); 6] = [
    ("volume", identity::VERSION as u32),
    ("segment", segment::VERSION as u32),
    ("gone segments", gone::VERSION as u32),
    ("block record", record::VERSION as u32),
    ("scrub progress", scrub_progress::VERSION as u32),
    ("block index", ROW_VERSION as u32),
];
