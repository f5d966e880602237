//! Settings of a restore.

use std::path::PathBuf;

/// How a restore uses memory and connections.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// Where lists of names go that do not fit in memory.
    pub spool: PathBuf,
    /// Bytes of names that are kept in memory: those of about a million files.
    pub names_in_memory: usize,
    /// Files that are restored together; three such windows are worked on at a time, and their files are open, so this
    /// keeps below the usual limit of 1024 open files.
    pub window_files: usize,
    /// Bytes that the files of a window have together, about.
    pub window_bytes: u64,
    /// The longest range that is read with one request.
    pub range_length: u64,
    /// Bytes between two wanted slots that are read along with them rather than asking twice.
    pub gap_length: u64,
    /// Range reads in flight for each window; with range and window limits this bounds memory to some 200 MiB.
    pub reads_max: usize,
}

impl RestoreOptions {
    /// The usual settings, with lists of names in that folder.
    #[must_use]
    pub const fn new(spool: PathBuf) -> Self {
        Self {
            spool,
            names_in_memory: 64 << 20,
            window_files: 256,
            window_bytes: 64 << 20,
            range_length: 8 << 20,
            gap_length: 64 << 10,
            reads_max: 8,
        }
    }
}
