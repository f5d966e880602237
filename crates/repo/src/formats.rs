//! The formats of this crate, for `--version`.

use crate::commit::COMMIT_VERSION;
use crate::object::OBJECT_VERSION;
use crate::{bootstrap, keys, owner};

/// What is written to a repository, and in which version; the blocks in it are those of the cluster.
pub const FORMATS: [(&str, u32); 6] = [
    ("repository", bootstrap::VERSION),
    ("repository key", keys::KEY_VERSION),
    ("repository owner", owner::VERSION),
    ("upload object", OBJECT_VERSION as u32),
    ("commit", COMMIT_VERSION as u32),
    block::FORMATS[0],
];
