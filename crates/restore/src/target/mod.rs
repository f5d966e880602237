//! Where a restore writes to.

mod attributes;
mod error;
mod file;
mod local;
mod special;
#[cfg(test)]
mod tests;

pub use error::TargetError;
pub use file::{LocalFile, NewFile};
pub use local::{Existing, Found, LocalTarget};
