//! Sites: the places that keep backups, behind one narrow interface.
//!
//! A [`Site`] keeps immutable objects under names. It is asked for nothing that some object store cannot do: put an
//! object that is not there, read it or a range of it, its size, list names in order, delete. There is no overwrite, no
//! append and no rename, on purpose: a repository is write-once (law 6), so nothing here can destroy what is there
//! except [`Site::delete`], which only the reaper calls.
//!
//! What is implemented: `file:///path`, through `object_store` with syncing switched on, so that an acknowledged object
//! survives the loss of power. A URL of another kind gives a typed error that says so.
//!
//! Whoever works with a site for long asks for a [`Site::steady`] one: its requests end in time, and what may pass is
//! tried again.
//!
//! [`Medium`] is the trait behind a site; [`Recording`], [`Faulty`] and [`Flaky`] wrap one, [`Memory`] is one for tests and
//! simulations. Every medium passes the same [`conformance`] suite.

mod error;
mod faulty;
mod flaky;
mod folder;
mod location;
mod medium;
mod memory;
mod probe;
mod recording;
mod retry;
mod site;
mod steady;

pub mod conformance;

pub use error::{Operation, SiteError};
pub use faulty::{FaultPlan, Faulty};
pub use flaky::Flaky;
pub use folder::Folder;
pub use location::Location;
pub use medium::{Medium, Reply};
pub use memory::Memory;
pub use probe::ProbeReport;
pub use recording::{Recording, Requests};
pub use retry::Retry;
pub use site::{LIST_LIMIT_MAX, Listed, Put, READ_LENGTH_MAX, Site};
