//! The door to the outside: tasks, time, randomness, files, sockets, logs and metrics.
//!
//! Everything in Holdfast that starts a task, reads a clock, draws a random number or touches a file or a socket does it
//! through this crate (rule P35), so that a simulation can stand behind it. `clippy.toml` refuses the direct ways and
//! names the replacement. Two exceptions are known: RocksDB's own I/O, and the sockets and files inside `object_store`.
//!
//! This crate knows no word of the domain and depends on no other crate of the workspace.

mod blocking;
mod budget;
mod clock;
mod directory_entry;
mod file;
mod file_error;
mod files;
mod held_folder;
mod lock;
pub mod metrics;
pub mod net;
mod seed;
mod shutdown;
mod task_end;
mod tasks;
pub mod telemetry;
mod watch;

pub use blocking::blocking;
pub use budget::{ByteBudget, BytePermit};
pub use clock::{Clock, TimedOut, WallTime};
pub use directory_entry::{DirectoryEntry, EntryKind};
pub use file::File;
pub use file_error::{FileError, FileOperation};
pub use files::{Files, Space};
pub use held_folder::HeldFolder;
pub use lock::{LockError, LockGuard};
pub use metrics::Metrics;
pub use seed::Seed;
pub use shutdown::Shutdown;
pub use task_end::TaskEnd;
pub use tasks::{OnError, Stuck, TaskFailure, Tasks};
pub use watch::{Change, Watch};
