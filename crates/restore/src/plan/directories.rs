//! The selected directories: where each is in the target. They are kept in memory, some 100 bytes each.

use std::collections::BTreeMap;

use types::{Lin, Name};

use crate::{RelativePath, RestoreError};

/// The deepest path that is believed: a longer one can only come from damaged tables.
const DEPTH_MAX: usize = 1 << 16;

/// The selected directories.
#[derive(Clone, Debug, Default)]
pub struct Directories {
    parents: BTreeMap<Lin, (Lin, Name)>,
    placed: BTreeMap<Lin, RelativePath>,
}

impl Directories {
    /// Begins with the directories from which the selection goes down.
    #[must_use]
    pub const fn new(placed: BTreeMap<Lin, RelativePath>) -> Self {
        Self { parents: BTreeMap::new(), placed }
    }

    /// Adds a directory by its name in another one. Whether it was not known before.
    pub fn add(&mut self, lin: Lin, parent: Lin, name: Name) -> bool {
        let is_placed = self.placed.contains_key(&lin);
        self.parents.insert(lin, (parent, name)).is_none() && !is_placed
    }

    /// Whether the directory is selected.
    #[must_use]
    pub fn contains(&self, lin: Lin) -> bool {
        self.parents.contains_key(&lin) || self.placed.contains_key(&lin)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all().count()
    }

    /// The directories.
    pub fn all(&self) -> impl Iterator<Item = Lin> {
        let placed_only = self.placed.keys().filter(|lin| !self.parents.contains_key(lin));
        self.parents.keys().chain(placed_only).copied()
    }

    /// Where a directory is in the target; `None` if it does not lie below one of those from which the selection goes
    /// down.
    ///
    /// # Errors
    /// [`RestoreError::Cycle`].
    pub fn path(&self, lin: Lin) -> Result<Option<RelativePath>, RestoreError> {
        let mut names = Vec::new();
        let mut at = lin;
        while let Some((parent, name)) = self.parents.get(&at) {
            if names.len() >= DEPTH_MAX {
                return Err(RestoreError::Cycle { lin });
            }
            names.push(name);
            at = *parent;
        }
        let Some(base) = self.placed.get(&at) else { return Ok(None) };
        Ok(Some(names.iter().rev().fold(base.clone(), |path, name| path.join(name))))
    }

    /// All directories with their paths, each after the one that it lies in.
    ///
    /// # Errors
    /// [`RestoreError::Cycle`].
    pub fn paths(&self) -> Result<Vec<(RelativePath, Lin)>, RestoreError> {
        let paths = self.all().map(|lin| Ok(self.path(lin)?.map(|path| (path, lin))));
        let mut paths: Vec<_> = paths.filter_map(Result::transpose).collect::<Result<_, RestoreError>>()?;
        paths.sort_unstable();
        Ok(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.to_owned()).unwrap()
    }

    #[test]
    fn paths_go_up_to_where_the_selection_begins() {
        let mut directories = Directories::new(BTreeMap::from([(Lin(2), RelativePath::parse(b"/data").unwrap())]));
        directories.add(Lin(5), Lin(4), name("c"));
        directories.add(Lin(4), Lin(2), name("b"));
        directories.add(Lin(9), Lin(8), name("elsewhere"));
        assert_eq!(directories.path(Lin(5)).unwrap(), Some(RelativePath::parse(b"data/b/c").unwrap()));
        assert_eq!(directories.path(Lin(9)).unwrap(), None);
        let lins: Vec<_> = directories.paths().unwrap().into_iter().map(|(_, lin)| lin).collect();
        assert_eq!(lins, [Lin(2), Lin(4), Lin(5)]);
    }

    #[test]
    fn a_root_below_another_root_lies_where_its_entry_says() {
        let placed = [(Lin(2), &b"/a"[..]), (Lin(3), b"/a/old")];
        let placed = placed.map(|(lin, path)| (lin, RelativePath::parse(path).unwrap()));
        let mut directories = Directories::new(placed.into_iter().collect());
        assert!(!directories.add(Lin(3), Lin(2), name("new")));
        assert_eq!(directories.path(Lin(3)).unwrap(), Some(RelativePath::parse(b"/a/new").unwrap()));
        assert_eq!(directories.len(), 2);
    }

    #[test]
    fn a_directory_below_itself_is_found_out() {
        let mut directories = Directories::default();
        directories.add(Lin(5), Lin(6), name("a"));
        directories.add(Lin(6), Lin(5), name("b"));
        assert!(matches!(directories.path(Lin(5)), Err(RestoreError::Cycle { .. })));
    }
}
