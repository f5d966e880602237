//! The blocks on one node's disk.
//!
//! A volume is a folder of append-only segments and an index. A put is appended to the newest segment; many puts share
//! one `fdatasync`, and none is answered before its own. The index (RocksDB, without a log of its own) says where each
//! block is; whatever it lost with the power is read back from the segments, all of it if need be. `FORMAT.md` has the
//! bytes.
//!
//! # Order of durable steps, and a crash at each
//!
//! 1. Records are written. A crash leaves a cut tail, which the next open removes: nobody was answered.
//! 2. The segment is synced. A crash from here on keeps the blocks; the next open finds them behind the index.
//! 3. The index changes in memory. 4. The callers are answered. 5. RocksDB flushes when it likes, and after each segment.
//!
//! A removal is a tombstone record that goes the same way; then its bytes are given back by a hole. A crash between the
//! two leaves the bytes in use until the segment is removed: one of which less than half is needed is copied forward,
//! which has an order of its own (`compaction`).
//!
//! # Damage
//!
//! Each batch of records says how far the segment was synced before it was written. A bad record behind the last such
//! mark is a cut tail; one before it was promised to somebody, and is reported. A block whose bytes are bad when they are
//! read is quarantined: it is no longer held, is listed, and a new put replaces it; a later read or scrub that finds it
//! good, down to its digest, makes it held again. A read that the disk does not answer is an error and no damage; until
//! another one gets the whole block, it is not told as held, and a put writes it anew. After a
//! failed write or sync the volume takes no more until it is opened again, as a whole or in place ([`BlockStore::reopen`]),
//! since nobody knows what the medium has (`fsync` tells once).
//!
//! # Limits
//!
//! Bytes waiting to be written, the size of a batch, open segment files and the records of one segment in memory while
//! it is replayed are bounded. A part of the free space is left to the rest of the node.

mod broken;
mod compaction;
#[doc(hidden)]
pub mod decoders;
mod doubts;
mod error;
mod fields;
mod formats;
mod gone;
mod identity;
mod index;
mod metrics;
mod options;
mod reader;
mod record;
mod recovery;
mod scrub;
mod scrub_progress;
mod segment;
mod segment_files;
mod store;
mod usage;
mod volume_file;
mod walk;
mod writer;

pub use compaction::{Compacted, CompactionPoint};
pub use error::{BlockStoreError, Damage, FoundVolume};
pub use formats::FORMATS;
pub use metrics::BlockStoreMetrics;
pub use options::{Options, Outside};
pub use recovery::{DamagedRange, Recovery};
pub use scrub::{BadBlock, ScrubDepth, Scrubbed};
pub use scrub_progress::ScrubProgress;
pub use store::{BlockStore, NewBlock, StoredBlock};
pub use usage::Usage;
