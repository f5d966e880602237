//! From two snapshots to work units.

mod cut;
mod error;
mod holders;
mod planner;
mod spool;
mod unit;
mod walk;

pub use cut::{CutOptions, Cutter, Nomination};
pub use error::PlanError;
pub use holders::Holders;
pub use planner::{PlanTotals, Planner};
pub use spool::{Place, SpoolReader, UnitSpool};
pub use unit::{Item, Unit, UnitName};
