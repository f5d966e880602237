//! The programs under test.

use std::path::{Path, PathBuf};

use super::ClusterError;

/// Where the two programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The daemon.
    pub holdfastd: PathBuf,
    /// The command line.
    pub holdfast: PathBuf,
}

impl Programs {
    /// Finds them in `HOLDFAST_PROGRAMS`, or where cargo puts them: a test runs from `deps`, they lie in the folder
    /// above.
    ///
    /// # Errors
    ///
    /// [`ClusterError::MissingProgram`], because cargo does not build the programs of other packages for a test.
    pub fn find() -> Result<Self, ClusterError> {
        let folder = match std::env::var_os("HOLDFAST_PROGRAMS") {
            Some(folder) => PathBuf::from(folder),
            None => built_beside(&std::env::current_exe().unwrap_or_default()),
        };
        let found = |name: &str| {
            let path = folder.join(name);
            if path.is_file() { Ok(path) } else { Err(ClusterError::MissingProgram { path }) }
        };
        Ok(Self { holdfastd: found("holdfastd")?, holdfast: found("holdfast")? })
    }
}

fn built_beside(test: &Path) -> PathBuf {
    let folder = test.parent().unwrap_or(Path::new(""));
    let above = if folder.ends_with("deps") { folder.parent() } else { None };
    above.unwrap_or(folder).to_owned()
}
