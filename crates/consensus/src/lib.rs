//! One Raft group: the order of all operations, and the replicated state that follows from it.
//!
//! What it is: a log of our own ([`log`]), the state store of `namespace` behind the log, and a [`Handle`] with which
//! the rest of a node proposes, reads and changes the membership. openraft decides who leads and what is committed; it
//! is named in this crate and nowhere else. What it is not: it knows no operation, no address but the members', and no
//! socket; messages go through a [`Transport`].
//!
//! **Order of durable steps.** A proposal is collected with others into one entry, the entry is synced in the logs of a
//! majority, then applied on each node by one write to its state store. That store has no log of its own: a crash takes
//! it back to its last flush, and the entries since then are applied again. So an entry leaves the log only when a flush
//! that began after it was applied has succeeded (rule P5).
//!
//! **Crash.** At each step either the entry is in the logs of a majority, and is applied, or it is not, and the caller
//! was told nothing. A caller whose request has a key asks again and gets the first result.
//!
//! **Limits.** See [`Options`]: queue, bytes in flight, entry size, entries in flight, log kept.

mod collect;
#[cfg(test)]
mod conformance;
#[doc(hidden)]
pub mod decoders;
mod error;
mod formats;
mod forward;
mod handle;
mod lease;
mod log;
mod member;
mod membership;
mod message;
mod metrics;
mod network;
mod options;
mod payload;
mod pipeline;
mod position;
mod progress;
mod propose;
mod raft_types;
mod read;
mod retention;
mod route;
mod serve;
mod stall;
mod start;
mod state;
mod status;
mod transport;
mod watch;

pub use error::ConsensusError;
pub use formats::FORMATS;
pub use handle::{Handle, RequestResult};
pub use log::LogError;
pub use options::{Batching, Options, Retention, Timing};
pub use start::{Surroundings, create, start};
pub use state::StateError;
pub use status::{Member, Role, Status, Vote};
pub use transport::{MessageKind, Transport, TransportError};
