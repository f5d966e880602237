//! What a client of the cluster needs, and no more: sessions, calls to the namespace, writing and reading of files.
//!
//! **A file is written in three steps**, in this order (law 2): its bytes are cut and encoded into blocks; the blocks go to
//! a placement group, and the answer says which seats have them on disk; only then one change publishes name, attributes
//! and extents together. A crash before the last step leaves blocks that nothing refers to, and which are orphans once
//! the session has ended; it never leaves a file with a hole in it.
//!
//! **Retries**: reads and puts are tried again, at another endpoint if there is one, until [`Options::patience`] is over.
//! Changes are tried again under the same key of the session, so they happen once (law 5). Requests that make something
//! and have no such key (a snapshot, a policy, a site, a job) are sent once. Every try has a bound of its own, so that a
//! node that hangs does not hold what another one can answer.
//!
//! When publishing is refused because a placement group has changed meanwhile, the blocks are put again, under new ids
//! (rules P11 and P12).
//!
//! **Sessions** are kept alive while they are open, also by a program that does nothing for hours. A program that was cut off
//! or asleep for longer than the lease (an hour, unless the cluster is set up otherwise) gets
//! [`ClientError::SessionOver`]: what was confirmed is done, what was on its way may be, and nothing is tried again.
//!
//! **Bounds**: requests of at most 256 changes, 8 MiB of metadata and about 8 MiB of blocks, a fixed number of them in
//! flight.

mod admin;
mod append;
mod background;
mod block_fetch;
mod block_ids;
mod block_put;
mod change_batch;
mod client;
mod clones;
mod error;
mod file_reader;
mod file_writer;
mod inode;
mod lease;
mod locks;
mod merge;
mod namespace;
mod open_files;
mod overwrite;
mod path;
mod pins;
mod placement;
mod publication;
mod quotas;
mod router;
mod session;
mod small_files;
mod sparse;
mod temporary_file;

pub use background::Pending;
pub use client::{Client, Options};
pub use error::ClientError;
pub use file_reader::{FileReader, Piece};
pub use file_writer::{FileWriter, Target};
pub use inode::{Entry, Inode, RunPage, StatFs, StoredContent};
pub use locks::NamedLock;
pub use namespace::Parts;
pub use path::{FilePath, LastLink, PathError, printable};
pub use placement::PlacementKey;
pub use quotas::NamedQuota;
pub use session::{CHANGES_MAX, ChangeResult, Session};
pub use small_files::{SMALL_FILE_LENGTH_MAX, SmallFile};
