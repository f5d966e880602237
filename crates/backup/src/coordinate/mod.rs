//! What the owner of a job does: plans, gives out units, notes objects, merges their tables, commits.

mod desk;
mod error;
mod owner;
mod queues;

pub use desk::{Desk, Desks};
pub use error::OwnError;
pub use owner::Owner;
pub use queues::{Next, Queues, Ticket};
