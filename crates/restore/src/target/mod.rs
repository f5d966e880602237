//! Where a restore writes to.

mod error;
mod local;
#[cfg(test)]
mod tests;

pub use error::TargetError;
pub use local::{Existing, LocalFile, LocalTarget, Opened};
