//! Backs up a set of files and directories to a repository, by workers on all nodes.
//!
//! The job itself is a state machine in the replicated state (`namespace`); this crate does the I/O that it commands.

mod coordinate;
mod job_site;
mod metrics;
mod options;
mod pack;
mod plan;
mod runner;
mod set;
mod surroundings;
mod work;
mod worker;
#[cfg(test)]
mod world;

pub use coordinate::{Desk, Desks, Finding, Next, OwnError, Owner, Queues, Ticket};
pub use job_site::OpenError;
pub use metrics::BackupMetrics;
pub use options::Options;
pub use pack::{Differ, Difference, PackError, Piece, Pieces};
pub use plan::{
    CutOptions, Holders, Item, Nomination, Place, PlanError, PlanTotals, Planner, SpoolReader, Unit, UnitName,
    UnitSpool,
};
pub use runner::{Handle, Runner};
pub use set::Membership;
pub use surroundings::{BlockReadError, BlockSource, Keys, PeerError, Peers, Sites, State, StateError, Surroundings};
pub use work::{Pull, Pulled, Report, WorkerId};
pub use worker::{Line, WorkError, Worker};
