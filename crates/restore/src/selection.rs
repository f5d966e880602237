//! What of a backup is restored, and to where in the target.

use std::collections::BTreeMap;

use repo::Backup;
use types::{FileKind, Lin, Name};

use crate::roots::{DisplacedRoot, PlacedRoot, place_roots};
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
    /// Files of other kinds that are selected by themselves.
    pub(crate) files: BTreeMap<Lin, PlacedFile>,
    /// Roots that lie elsewhere than the commit says.
    pub(crate) displaced: Vec<DisplacedRoot>,
    /// Whether every entry of the backup is selected.
    pub(crate) whole: bool,
}

/// Where a file that is no directory goes that is selected by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedFile {
    pub(crate) path: RelativePath,
    pub(crate) claim: Claim,
}

/// What the path of a selected file is worth beside names that it has in selected directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is one more name.
    Name,
    /// It counts if there is no other name: where it would lie, those directories tell.
    Fallback,
}

impl Selection {
    /// Finds out what is selected.
    ///
    /// # Errors
    /// The backup has no such path, or the repository cannot be read.
    pub(crate) async fn place(&self, backup: &Backup) -> Result<Placement, RestoreError> {
        let roots = place_roots(backup).await?;
        match self {
            Self::Everything => place_all(backup, &roots, &RelativePath::root(), true).await,
            Self::Path(path) => {
                let wanted = parse(path)?;
                if let Some((lin, kind)) = find(backup, &roots, &wanted).await? {
                    return Ok(place_one(lin, kind, &wanted));
                }
                let below: Vec<_> = roots.iter().filter(|root| root.path.below(&wanted).is_some()).cloned().collect();
                if below.is_empty() {
                    return Err(no_path(&wanted));
                }
                let whole = below.len() == roots.len();
                place_all(backup, &below, &wanted, whole).await
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
        placement.files.insert(lin, PlacedFile { path: name.unwrap_or_default(), claim: Claim::Fallback });
    }
    placement
}

async fn place_all(
    backup: &Backup,
    roots: &[PlacedRoot],
    from: &RelativePath,
    whole: bool,
) -> Result<Placement, RestoreError> {
    let mut placement = Placement { whole, ..Placement::default() };
    for root in roots {
        let path = root.path.below(from).unwrap_or_default();
        match backup.inode(root.lin).await?.and_then(|row| row.inode).map(|inode| inode.kind) {
            Some(FileKind::Directory) => drop(placement.directories.insert(root.lin, path)),
            Some(_) => {
                let claim = if root.is_within || root.displaced.is_some() { Claim::Fallback } else { Claim::Name };
                placement.files.insert(root.lin, PlacedFile { path, claim });
            }
            None => return Err(no_path(&root.path)),
        }
        placement.displaced.extend(root.displaced.clone());
    }
    Ok(placement)
}

/// Goes down from the deepest root that the path lies in.
async fn find(
    backup: &Backup,
    roots: &[PlacedRoot],
    wanted: &RelativePath,
) -> Result<Option<(Lin, FileKind)>, RestoreError> {
    let above = roots.iter().filter(|root| root.path == *wanted || wanted.below(&root.path).is_some());
    let Some(root) = above.max_by_key(|root| root.path.components().count()) else { return Ok(None) };
    let (mut lin, rest) = (root.lin, wanted.below(&root.path).unwrap_or_default());
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
