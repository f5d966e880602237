//! The selected directories: where each is in the target. They are kept in memory, some 100 bytes each.

use std::collections::BTreeMap;

use types::{Lin, Name};

use crate::RelativePath;

/// The deepest path that is believed: a longer one can only come from damaged tables.
const DEPTH_MAX: usize = 1 << 16;

/// Why a directory has no place in the target: the tables are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adrift {
    /// No directory from which the selection goes down is above it.
    Nowhere,
    /// It lies below itself.
    Circle,
}

impl Adrift {
    /// What is wrong with what is in the directory.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Nowhere => "its directory is missing",
            Self::Circle => "its directory lies below itself",
        }
    }
}

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

    /// Whether it has a name in another directory.
    #[must_use]
    pub fn has_name(&self, lin: Lin) -> bool {
        self.parents.contains_key(&lin)
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

    /// Where a directory is in the target.
    ///
    /// # Errors
    /// [`Adrift`]: it has no place there.
    pub fn path(&self, lin: Lin) -> Result<RelativePath, Adrift> {
        let mut names = Vec::new();
        let mut at = lin;
        while let Some((parent, name)) = self.parents.get(&at) {
            if names.len() >= DEPTH_MAX {
                return Err(Adrift::Circle);
            }
            names.push(name);
            at = *parent;
        }
        let base = self.placed.get(&at).ok_or(Adrift::Nowhere)?;
        Ok(names.iter().rev().fold(base.clone(), |path, name| path.join(name)))
    }

    /// All directories with their paths, each after the one that it lies in.
    #[must_use]
    pub fn paths(&self) -> Vec<(RelativePath, Lin)> {
        let mut paths: Vec<_> = self.all().filter_map(|lin| Some((self.path(lin).ok()?, lin))).collect();
        paths.sort_unstable();
        paths
    }

    /// The directories that have no place, by their names alone, and why.
    pub fn adrift(&self) -> impl Iterator<Item = (RelativePath, Adrift)> {
        self.parents.iter().filter_map(|(lin, (_, name))| {
            let adrift = self.path(*lin).err()?;
            Some((RelativePath::root().join(name), adrift))
        })
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
        assert_eq!(directories.path(Lin(5)).unwrap(), RelativePath::parse(b"data/b/c").unwrap());
        assert_eq!(directories.path(Lin(9)), Err(Adrift::Nowhere));
        let lins: Vec<_> = directories.paths().into_iter().map(|(_, lin)| lin).collect();
        assert_eq!(lins, [Lin(2), Lin(4), Lin(5)]);
    }

    #[test]
    fn a_root_below_another_root_lies_where_its_entry_says() {
        let placed = [(Lin(2), &b"/a"[..]), (Lin(3), b"/a/old")];
        let placed = placed.map(|(lin, path)| (lin, RelativePath::parse(path).unwrap()));
        let mut directories = Directories::new(placed.into_iter().collect());
        assert!(!directories.add(Lin(3), Lin(2), name("new")));
        assert_eq!(directories.path(Lin(3)).unwrap(), RelativePath::parse(b"/a/new").unwrap());
        assert_eq!(directories.len(), 2);
    }

    #[test]
    fn a_directory_below_itself_is_found_out() {
        let mut directories = Directories::default();
        directories.add(Lin(5), Lin(6), name("a"));
        directories.add(Lin(6), Lin(5), name("b"));
        assert_eq!(directories.path(Lin(5)), Err(Adrift::Circle));
        assert_eq!((directories.paths().len(), directories.adrift().count()), (0, 2));
    }
}
