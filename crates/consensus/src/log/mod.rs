//! The Raft log: segment files with checksummed records, the vote, and how far the log is committed.
//!
//! What: [`LogStore`] is what openraft writes to and reads from; `FORMAT.md` has the bytes. Relies on: `fdatasync`
//! brings a file's bytes and length to the medium, `rename` within a folder is atomic, a synced folder keeps its
//! entries.
//!
//! **Order of durable steps.** All writes go through one thread, in order; an entry is acknowledged after the sync that
//! follows its write, a vote after its file was replaced and synced. **Crash.** An unfinished write at the end of the
//! last segment is cut off when the log is opened; damage anywhere else, or in what a later record shows to have been
//! durable, is an error: the log never silently loses what it acknowledged. **Limits.** Records up to 64 MiB, segments
//! under 4 GiB, a queue of 1024 writes, 32 MiB of entries in memory.

mod committed_file;
pub(crate) mod decoders;
mod entry;
mod error;
mod fields;
mod journal;
mod record;
mod segment;
mod store;
mod table;
mod tail;
mod vote_file;
mod writer;

#[cfg(test)]
mod power_tests;
#[cfg(test)]
mod tests;

pub use error::LogError;
pub(crate) use record::VERSION as RECORD_VERSION;
pub(crate) use segment::VERSION as SEGMENT_VERSION;
pub(crate) use store::{LogFolder, LogOptions, LogStore};
pub(crate) use vote_file::VERSION as VOTE_VERSION;
