//! Makes a tree.
//!
//! The same seed and options make the same tree on the same kind of file system and for the same kind of user: owners,
//! and extended attributes outside `user.`, are set by root only.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use runtime::Seed;

use super::{content, names};
use crate::error::{Context, FileOperation, TestkitError};
use crate::inode;

/// How large a tree is to be.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Directory entries to make, the root not counted.
    pub entries: u64,
    /// Bytes of data to write at most; when they are used up, files are empty.
    pub bytes_max: u64,
}

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeSummary {
    /// Files, those with several names counted once.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Further names of files.
    pub hard_links: u64,
    /// Files with holes.
    pub sparse_files: u64,
    /// Bytes of data, holes left out.
    pub bytes: u64,
}

/// Makes a tree in `root`, which must not exist.
///
/// # Errors
///
/// What the operating system refused.
pub fn make(root: &Path, options: TreeOptions, seed: &Seed) -> Result<TreeSummary, TestkitError> {
    let mut maker = Maker {
        seed,
        bytes_left: options.bytes_max,
        directories: Vec::new(),
        files: Vec::new(),
        summary: TreeSummary::default(),
    };
    maker.directory(root.to_owned())?;
    for number in 0..options.entries {
        maker.entry(number)?;
    }
    maker.finish()
}

/// Files of a tree that may get further names; a few suffice.
const LINK_CANDIDATES_MAX: usize = 64;

struct Maker<'a> {
    seed: &'a Seed,
    bytes_left: u64,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    summary: TreeSummary,
}

impl Maker<'_> {
    fn entry(&mut self, number: u64) -> Result<(), TestkitError> {
        let parent = self.pick(&self.directories).to_owned();
        let path = parent.join(names::name(number, self.seed));
        match self.seed.below(20) {
            0 | 1 => self.directory(path),
            2 => self.symlink(&path),
            3 if !self.files.is_empty() => self.hard_link(&path),
            4 => self.sparse_file(&path),
            _ => self.file(path),
        }
    }

    fn pick<'p>(&self, paths: &'p [PathBuf]) -> &'p Path {
        let index = usize::try_from(self.seed.below(paths.len() as u64)).unwrap_or_default();
        paths.get(index).map_or(Path::new(""), PathBuf::as_path)
    }

    fn directory(&mut self, path: PathBuf) -> Result<(), TestkitError> {
        fs::create_dir(&path).context(FileOperation::Create, &path)?;
        self.summary.directories += 1;
        self.directories.push(path);
        Ok(())
    }

    fn file(&mut self, path: PathBuf) -> Result<(), TestkitError> {
        let length = content::length(self.seed, self.bytes_left);
        fs::write(&path, content::bytes(self.seed, length)).context(FileOperation::Write, &path)?;
        self.summary.files += 1;
        self.summary.bytes += length;
        self.bytes_left -= length;
        describe(&path, self.seed)?;
        if self.files.len() < LINK_CANDIDATES_MAX {
            self.files.push(path);
        }
        Ok(())
    }

    fn sparse_file(&mut self, path: &Path) -> Result<(), TestkitError> {
        let length = 1 + self.seed.below(16 << 20);
        let written = content::write_sparse(path, self.seed, length)?;
        self.summary.files += 1;
        self.summary.sparse_files += 1;
        self.summary.bytes += written;
        describe(path, self.seed)
    }

    fn hard_link(&mut self, path: &Path) -> Result<(), TestkitError> {
        self.summary.hard_links += 1;
        fs::hard_link(self.pick(&self.files), path).context(FileOperation::Create, path)
    }

    fn symlink(&mut self, path: &Path) -> Result<(), TestkitError> {
        let long = "x/".repeat(500);
        let target = match self.seed.below(4) {
            0 => OsStr::new("."),
            1 => OsStr::new("nowhere/at all"),
            2 => OsStr::from_bytes(b"/\xff\xfe"),
            _ => OsStr::new(&long),
        };
        symlink(target, path).context(FileOperation::Create, path)?;
        self.summary.symlinks += 1;
        describe_symlink(path, self.seed)
    }

    /// Directories are described last and deepest first: each new entry moves the time of its directory.
    fn finish(self) -> Result<TreeSummary, TestkitError> {
        for directory in self.directories.iter().rev() {
            describe_directory(directory, self.seed)?;
        }
        Ok(self.summary)
    }
}

/// Owners to choose from; nobody needs to exist behind a number.
const OWNERS: [(u32, u32); 4] = [(0, 0), (1000, 1000), (65_534, 65_534), (123_456, 654_321)];
const FILE_MODES: [u32; 6] = [0o644, 0o600, 0o755, 0o4755, 0o2750, 0o444];
const DIRECTORY_MODES: [u32; 4] = [0o755, 0o700, 0o1777, 0o2775];
/// Long ago, before the epoch of Unix, the recent past, and beyond 2038.
const TIMES: [i64; 4] = [1, -86_400 * 365, 1_700_000_000, 4_102_444_800];

fn choose<T: Copy>(choices: &[T], seed: &Seed) -> T {
    let index = usize::try_from(seed.below(choices.len() as u64)).unwrap_or_default();
    *choices.get(index).expect("the index is below the number of choices")
}

/// Gives a new file owner, mode, extended attributes and time, in the order in which none undoes another.
pub(super) fn describe(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    describe_owner(path, seed)?;
    inode::set_mode(path, choose(&FILE_MODES, seed))?;
    describe_xattrs(path, seed)?;
    describe_time(path, seed)
}

fn describe_directory(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    describe_owner(path, seed)?;
    inode::set_mode(path, choose(&DIRECTORY_MODES, seed))?;
    describe_xattrs(path, seed)?;
    describe_time(path, seed)
}

fn describe_symlink(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    describe_owner(path, seed)?;
    describe_time(path, seed)
}

pub(super) fn describe_owner(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    let (user, group) = choose(&OWNERS, seed);
    if inode::is_root() { inode::set_owner(path, user, group) } else { Ok(()) }
}

fn describe_xattrs(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    match seed.below(8) {
        0 => inode::set_xattr(path, "user.holdfast.colour", b"green"),
        1 => inode::set_xattr(path, "user.empty", b""),
        2 => {
            let value: [u8; 1500] = seed.bytes();
            inode::set_xattr(path, "user.größe", &value)?;
            inode::set_xattr(path, "user.second", b"\0\xff\n")
        }
        3 if inode::is_root() => inode::set_xattr(path, "trusted.holdfast", b"root alone sees this"),
        _ => Ok(()),
    }
}

pub(super) fn describe_time(path: &Path, seed: &Seed) -> Result<(), TestkitError> {
    let nanoseconds = i64::try_from(seed.below(1_000_000_000)).unwrap_or_default();
    inode::set_modified(path, choose(&TIMES, seed), nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{CompareOptions, compare};

    #[test]
    fn the_same_seed_makes_the_same_tree() {
        let folder = tempfile::tempdir().unwrap();
        let number = crate::seed().u64();
        let options = TreeOptions { entries: 150, bytes_max: 20 << 20 };
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let made = make(&a, options, &Seed::fixed(number)).unwrap();
        assert_eq!(make(&b, options, &Seed::fixed(number)).unwrap(), made);
        let comparison = compare(&a, &b, CompareOptions::default()).unwrap();
        assert_eq!(comparison.differences, []);
        assert_eq!(comparison.entries, 151);
    }

    #[test]
    fn a_tree_of_some_size_holds_every_kind_of_entry() {
        let folder = tempfile::tempdir().unwrap();
        let options = TreeOptions { entries: 400, bytes_max: 8 << 20 };
        let made = make(&folder.path().join("a"), options, &Seed::fixed(1)).unwrap();
        for count in [made.files, made.directories, made.symlinks, made.hard_links, made.sparse_files] {
            assert!(count > 3, "{made:?}");
        }
        assert_eq!(made.files + made.directories - 1 + made.symlinks + made.hard_links, 400);
    }
}
