//! Walks of subtrees, in directory order: a directory, then its files, then its directories.

use namespace::{DirectoryEntry, View};
use types::{FileKind, Lin, Name};

use super::PlanError;
use crate::set::if_there;

/// Entries that are read at a time.
const PAGE: usize = 1024;

/// What a walk has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The LIN.
    pub lin: Lin,
    /// Its kind.
    pub kind: FileKind,
    /// The directory and name by which it was found; `None` for the root of the walk.
    pub link: Option<(Lin, Name)>,
}

/// Whether a walk goes on below what it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Descent {
    /// Into the directory.
    Into,
    /// Past it.
    Past,
}

/// Calls `visit` for a LIN and all that is below it. A LIN with several names comes once for each.
///
/// # Errors
/// Those of `visit`, or the store failed.
pub fn walk(
    view: &View,
    root: Lin,
    mut visit: impl FnMut(&Visit) -> Result<Descent, PlanError>,
) -> Result<(), PlanError> {
    let Some(attributes) = if_there(view.attributes(root))? else { return Ok(()) };
    let mut directories = Vec::new();
    let found = Visit { lin: root, kind: attributes.kind, link: None };
    if visit(&found)? == Descent::Into && found.kind == FileKind::Directory {
        directories.push(root);
    }
    while let Some(directory) = directories.pop() {
        let mut below = Vec::new();
        each_entry(view, directory, |entry| {
            let found = Visit { lin: entry.lin, kind: entry.kind, link: Some((directory, entry.name)) };
            if visit(&found)? == Descent::Into && found.kind == FileKind::Directory {
                below.push(found.lin);
            }
            Ok(())
        })?;
        directories.extend(below.into_iter().rev());
    }
    Ok(())
}

fn each_entry(
    view: &View,
    directory: Lin,
    mut visit: impl FnMut(DirectoryEntry) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    let mut after: Option<Name> = None;
    loop {
        let page = view.read_directory(directory, after.as_ref(), PAGE)?;
        let last = page.len() < PAGE;
        after = page.last().map(|entry| entry.name.clone());
        page.into_iter().try_for_each(&mut visit)?;
        if last {
            return Ok(());
        }
    }
}
