//! What the owner of a job does: plans, gives out units, notes objects, merges their tables, commits.

mod desk;
mod error;
mod heir;
mod owner;
mod queues;
mod way;

pub use desk::{Desk, Desks};
pub use error::OwnError;
pub use heir::{Heir, find_heir, give_to, hand_on};
pub use owner::Owner;
pub use queues::{Next, Queues, Ticket};
pub use way::{Finding, pass_on};
