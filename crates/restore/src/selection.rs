//! What of a backup is restored, and to where in the target.

use std::collections::BTreeMap;

use repo::{Backup, RootRecord};
use types::{FileKind, Lin, Name};

use crate::{RelativePath, RestoreError};

/// What of a backup is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of it. Paths in the target are those that the cluster had, from its root.
    Everything,
    /// One directory or file, by the path that it had in the cluster. A directory becomes the target folder itself, a
    /// file goes into it.
    Path(Vec<u8>),
}

/// Where the selected LINs go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Directories from which the selection goes down, and where each is in the target.
    pub(crate) directories: BTreeMap<Lin, RelativePath>,
    /// Files and symbolic links that are selected by themselves.
    pub(crate) files: BTreeMap<Lin, RelativePath>,
    /// Whether every entry of the backup is selected.
    pub(crate) whole: bool,
}

impl Selection {
    /// Finds out what is selected.
    ///
    /// # Errors
    /// The backup has no such path, or the repository cannot be read.
    pub(crate) async fn place(&self, backup: &Backup) -> Result<Placement, RestoreError> {
        let roots = &backup.info().roots;
        match self {
            Self::Everything => place_roots(backup, roots, &RelativePath::root(), true).await,
            Self::Path(path) => {
                let wanted = parse(path)?;
                if let Some((lin, kind)) = find(backup, &wanted).await? {
                    return Ok(place_one(lin, kind, &wanted));
                }
                let below = roots.iter().filter(|root| below(&root.path, &wanted).is_some()).cloned();
                let below: Vec<_> = below.collect();
                if below.is_empty() {
                    return Err(no_path(&wanted));
                }
                let whole = below.len() == roots.len();
                place_roots(backup, &below, &wanted, whole).await
            }
        }
    }
}

fn place_one(lin: Lin, kind: FileKind, path: &RelativePath) -> Placement {
    let mut placement = Placement::default();
    if kind == FileKind::Directory {
        placement.directories.insert(lin, RelativePath::root());
    } else {
        let name = path.split().and_then(|(_, name)| RelativePath::parse(name).ok());
        placement.files.insert(lin, name.unwrap_or_default());
    }
    placement
}

async fn place_roots(
    backup: &Backup,
    roots: &[RootRecord],
    from: &RelativePath,
    whole: bool,
) -> Result<Placement, RestoreError> {
    let mut placement = Placement { whole, ..Placement::default() };
    for root in roots {
        // What has no path cannot be placed; to take it for the target itself would lay it over the rest.
        parse(&root.path)?;
        let path = below(&root.path, from).unwrap_or_default();
        match backup.inode(root.lin).await?.and_then(|row| row.inode).map(|inode| inode.kind) {
            Some(FileKind::Directory) => placement.directories.insert(root.lin, path),
            Some(FileKind::File | FileKind::Symlink) => placement.files.insert(root.lin, path),
            None => return Err(RestoreError::NoPath { path: String::from_utf8_lossy(&root.path).into_owned() }),
        };
    }
    Ok(placement)
}

/// The path of a root below another path; `None` if it does not lie there.
fn below(root: &[u8], from: &RelativePath) -> Option<RelativePath> {
    let root = RelativePath::parse(root).ok()?;
    let rest = match from.as_bytes() {
        [] => root.as_bytes(),
        from => root.as_bytes().strip_prefix(from)?.strip_prefix(b"/")?,
    };
    RelativePath::parse(rest).ok()
}

/// Goes down from the deepest root that the path lies in.
async fn find(backup: &Backup, wanted: &RelativePath) -> Result<Option<(Lin, FileKind)>, RestoreError> {
    let mut found: Option<(usize, Lin, RelativePath)> = None;
    for root in &backup.info().roots {
        let path = parse(&root.path)?;
        let depth = path.components().count();
        let lies_in = path == *wanted || below(wanted.as_bytes(), &path).is_some();
        if lies_in && found.as_ref().is_none_or(|(best, ..)| depth >= *best) {
            found = Some((depth, root.lin, below(wanted.as_bytes(), &path).unwrap_or_default()));
        }
    }
    let Some((_, mut lin, rest)) = found else { return Ok(None) };
    for component in rest.components() {
        let name = Name::new(component.to_vec())
            .map_err(|source| RestoreError::NotAPath { path: wanted.to_string(), source })?;
        match backup.entry(lin, &name).await?.and_then(|row| row.entry) {
            Some(entry) => lin = entry.lin,
            None => return Err(no_path(wanted)),
        }
    }
    let kind = backup.inode(lin).await?.and_then(|row| row.inode).map(|inode| inode.kind);
    kind.map(|kind| Some((lin, kind))).ok_or_else(|| no_path(wanted))
}

fn parse(path: &[u8]) -> Result<RelativePath, RestoreError> {
    let text = || String::from_utf8_lossy(path).into_owned();
    RelativePath::parse(path).map_err(|source| RestoreError::NotAPath { path: text(), source })
}

fn no_path(path: &RelativePath) -> RestoreError {
    RestoreError::NoPath { path: path.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_placed_below_what_is_restored() {
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        assert_eq!(below(b"/data/projects", &RelativePath::root()), Some(path("data/projects")));
        assert_eq!(below(b"/data/projects", &path("/data")), Some(path("projects")));
        assert_eq!(below(b"/data/projects", &path("/dat")), None);
        assert_eq!(below(b"/data", &path("/data/projects")), None);
        assert_eq!(below(b"/", &RelativePath::root()), Some(RelativePath::root()));
    }
}
