//! Restores from a repository: plan, then run, into a target.
//!
//! Needs nothing but the repository and its key; no cluster has to live. It knows neither how a repository lays out its
//! objects (`repo`) nor how a site is reached (`site`).

mod metadata;
mod relative_path;
mod target;

pub use metadata::{Metadata, Warnings};
pub use relative_path::RelativePath;
pub use target::{Existing, LocalFile, LocalTarget, Opened, TargetError};
