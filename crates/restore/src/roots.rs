//! Where the roots of a backup lie in the target.
//!
//! Each lies where its commit says, unless the tree of another root says otherwise: a commit may give a root a path that
//! is none, or one where something else lies, as when a directory was moved out of another root and a new one took its
//! place. Such a root is restored all the same, beside the others, under a name that nothing else has. Two LINs never
//! share a path: one would be laid over the other without a word.

use std::fmt;

use repo::{Backup, RootRecord};
use types::{FileKind, Lin, Name};

use crate::{RelativePath, RestoreError};

/// Names that are tried for a displaced root. More are taken only in a tree that was made for that.
const NAMES_MAX: u32 = 1000;

/// A root that is not restored to the path that it has in its commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplacedRoot {
    /// The root.
    pub lin: Lin,
    /// Its path in the commit, as far as it is text.
    pub path: String,
    /// Where it is restored to, from the root of the backup's tree.
    pub placed: RelativePath,
    /// Why.
    pub reason: &'static str,
}

impl fmt::Display for DisplacedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, placed, reason, .. } = self;
        write!(f, "what the backup has as {path:?} is restored as {placed}: {reason}")
    }
}

/// A root, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct PlacedRoot {
    pub(crate) lin: Lin,
    pub(crate) path: RelativePath,
    /// Set if it lies elsewhere than its commit says.
    pub(crate) displaced: Option<DisplacedRoot>,
    /// Whether its path lies in another root, whose tree then tells where it is.
    pub(crate) is_within: bool,
}

/// The roots whose paths are paths, in the order of the commit.
struct Known<'a> {
    backup: &'a Backup,
    roots: Vec<(Lin, RelativePath)>,
}

/// Finds a place for each root.
///
/// # Errors
/// The repository cannot be read.
pub(crate) async fn place_roots(backup: &Backup) -> Result<Vec<PlacedRoot>, RestoreError> {
    let records = &backup.info().roots;
    let parsed = records.iter().filter_map(|root| Some((root.lin, RelativePath::parse(&root.path).ok()?)));
    let known = Known { backup, roots: parsed.collect() };
    let mut placed: Vec<PlacedRoot> = Vec::with_capacity(records.len());
    for root in records {
        if placed.iter().all(|other| other.lin != root.lin) {
            placed.push(known.place(root).await?);
        }
    }
    Ok(placed)
}

impl Known<'_> {
    async fn place(&self, root: &RootRecord) -> Result<PlacedRoot, RestoreError> {
        let reason = match RelativePath::parse(&root.path) {
            Ok(path) => match self.why_taken(root.lin, &path).await? {
                None => {
                    let mut others = self.roots.iter().filter(|(lin, _)| *lin != root.lin);
                    let is_within = others.any(|(_, other)| path.below(other).is_some());
                    return Ok(PlacedRoot { lin: root.lin, path, displaced: None, is_within });
                }
                Some(reason) => reason,
            },
            Err(_) => "that is not a path",
        };
        let placed = self.free_name(root).await?;
        let path = String::from_utf8_lossy(&root.path).into_owned();
        let displaced = DisplacedRoot { lin: root.lin, path, placed: placed.clone(), reason };
        Ok(PlacedRoot { lin: root.lin, path: placed, displaced: Some(displaced), is_within: false })
    }

    /// Why a root cannot lie at its path: of two roots at one path the first keeps it.
    async fn why_taken(&self, lin: Lin, path: &RelativePath) -> Result<Option<&'static str>, RestoreError> {
        let first = self.roots.iter().find(|(_, other)| other == path);
        if first.is_some_and(|(other, _)| *other != lin) {
            return Ok(Some("another root has that path"));
        }
        let is_taken = self.is_taken_by_a_tree(lin, path).await?;
        Ok(is_taken.then_some("something else lies there in another root"))
    }

    /// Whether the tree of another root has something else at the path, or above it what is no directory.
    async fn is_taken_by_a_tree(&self, lin: Lin, path: &RelativePath) -> Result<bool, RestoreError> {
        for (other, base) in &self.roots {
            let Some(rest) = path.below(base).filter(|_| *other != lin) else { continue };
            match self.tenant(*other, &rest).await? {
                None => {}
                Some(Tenant::Lin(found)) if found == lin => {}
                Some(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// A name in the top directory that no root and nothing in a root has.
    async fn free_name(&self, root: &RootRecord) -> Result<RelativePath, RestoreError> {
        for number in 0..NAMES_MAX {
            let name = match number {
                0 => format!("root-{}", root.lin),
                _ => format!("root-{}-{number}", root.lin),
            };
            let Ok(path) = RelativePath::parse(name.as_bytes()) else { continue };
            let meets = |other: &RelativePath| *other == path || other.below(&path).is_some();
            let is_used = self.roots.iter().any(|(_, other)| meets(other));
            if !is_used && !self.is_taken_by_a_tree(root.lin, &path).await? {
                return Ok(path);
            }
        }
        Err(RestoreError::NoPath { path: String::from_utf8_lossy(&root.path).into_owned() })
    }

    /// What lies at a path of a tree.
    async fn tenant(&self, root: Lin, path: &RelativePath) -> Result<Option<Tenant>, RestoreError> {
        let Some(inode) = self.backup.inode(root).await?.and_then(|row| row.inode) else { return Ok(None) };
        let (mut lin, mut kind) = (root, inode.kind);
        for component in path.components() {
            if kind != FileKind::Directory {
                return Ok(Some(Tenant::Blocked));
            }
            let Ok(name) = Name::new(component.to_vec()) else { return Ok(None) };
            match self.backup.entry(lin, &name).await?.and_then(|row| row.entry) {
                Some(entry) => (lin, kind) = (entry.lin, entry.kind),
                None => return Ok(None),
            }
        }
        Ok(Some(Tenant::Lin(lin)))
    }
}

/// What lies at a path, or above it.
enum Tenant {
    Lin(Lin),
    /// Above it lies what is no directory.
    Blocked,
}
