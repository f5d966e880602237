//! Where a restore writes to.

mod error;
mod local;
mod new_file;
#[cfg(test)]
mod tests;

pub use error::TargetError;
pub use local::{Existing, LocalFile, LocalTarget, Opened};
pub use new_file::NewFile;
