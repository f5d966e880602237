//! The formats of this crate, for `--version`.

use crate::{log, message, payload};

/// What is written to the log and sent to other members, and in which version.
pub const FORMATS: [(&str, u32); 5] = [
    ("Raft log segment", log::SEGMENT_VERSION as u32),
    ("Raft log record", log::RECORD_VERSION as u32),
    ("Raft vote", log::VOTE_VERSION as u32),
    ("Raft entry", payload::VERSION as u32),
    ("Raft message", message::VERSION as u32),
];
