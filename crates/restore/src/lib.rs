//! Restores from a repository: plan, then run, into a target.
//!
//! Needs nothing but the repository and its key; no cluster has to live. It knows neither how a repository lays out its
//! objects (`repo`) nor how a site is reached (`site`).
//!
//! Limits: the selected directories are kept in memory, some 100 bytes each; the names of files beyond a bound go to a
//! folder; content is in memory a few windows at a time (see [`RestoreOptions`]).

mod error;
mod metadata;
mod options;
mod plan;
mod relative_path;
mod report;
mod roots;
mod run;
mod selection;
mod target;

pub use error::RestoreError;
pub use metadata::{Metadata, Warnings};
pub use options::RestoreOptions;
pub use plan::{Plan, Source, Summary};
pub use relative_path::RelativePath;
pub use report::{FailedPath, Progress, Report};
pub use roots::DisplacedRoot;
pub use run::run;
pub use selection::Selection;
pub use target::{Existing, Found, LocalFile, LocalTarget, NewFile, TargetError};
