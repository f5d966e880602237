//! Directory trees from a seed: made, and changed.

mod changer;
mod content;
mod maker;
mod names;

pub use changer::{Change, change};
pub use maker::{TreeOptions, TreeSummary, make};
