//! Changes a tree as a day's work would.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use runtime::Seed;

use super::{content, maker};
use crate::error::{Context, FileOperation, TestkitError};
use crate::inode;

/// One thing that was done, and to which path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: ChangeKind,
    /// The path, as it was called before.
    pub path: PathBuf,
}

/// What can be done to a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A new file.
    New,
    /// Bytes overwritten in the middle of a file.
    Edited,
    /// Bytes added at its end.
    Appended,
    /// Bytes cut off its end.
    Truncated,
    /// A file under another name in another directory.
    RenamedFile,
    /// A directory under another name, with everything in it.
    RenamedDirectory,
    /// A file gone.
    DeletedFile,
    /// A directory gone, with everything in it.
    DeletedDirectory,
    /// Other permissions.
    Mode,
    /// Another owner, where this process may do that.
    Owner,
    /// Another time.
    Time,
    /// An extended attribute set.
    Xattr,
    /// A further name of a file.
    HardLink,
}

const KINDS: [ChangeKind; 13] = [
    ChangeKind::New,
    ChangeKind::Edited,
    ChangeKind::Appended,
    ChangeKind::Truncated,
    ChangeKind::RenamedFile,
    ChangeKind::Mode,
    ChangeKind::Owner,
    ChangeKind::Time,
    ChangeKind::Xattr,
    ChangeKind::HardLink,
    ChangeKind::DeletedFile,
    ChangeKind::RenamedDirectory,
    ChangeKind::DeletedDirectory,
];

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.path.as_os_str().as_bytes().escape_ascii())
    }
}

/// Makes `count` changes below `root` and tells them. Every kind comes in turn, so thirteen show all of them, as far as
/// the tree has something to change.
///
/// # Errors
///
/// What the operating system refused.
pub fn change(root: &Path, count: u64, seed: &Seed) -> Result<Vec<Change>, TestkitError> {
    let mut changer = Changer { seed, root, directories: Vec::new(), files: Vec::new(), made: 0 };
    changer.look_again()?;
    let mut changes = Vec::new();
    for kind in KINDS.iter().cycle().copied().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        if let Some(path) = changer.one(kind)? {
            changes.push(Change { kind, path: path.strip_prefix(root).unwrap_or(&path).to_owned() });
        }
    }
    Ok(changes)
}

struct Changer<'a> {
    seed: &'a Seed,
    root: &'a Path,
    /// Without the root.
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    made: u64,
}

impl Changer<'_> {
    /// Does one thing, or nothing if the tree has no file or directory for it.
    fn one(&mut self, kind: ChangeKind) -> Result<Option<PathBuf>, TestkitError> {
        match kind {
            ChangeKind::New => self.create().map(Some),
            ChangeKind::RenamedDirectory | ChangeKind::DeletedDirectory => self.one_directory(kind),
            _ => self.one_file(kind),
        }
    }

    fn one_file(&mut self, kind: ChangeKind) -> Result<Option<PathBuf>, TestkitError> {
        if self.files.is_empty() {
            return Ok(None);
        }
        let index = self.index_below(self.files.len());
        let Some(path) = self.files.get(index).cloned() else { return Ok(None) };
        match kind {
            ChangeKind::Edited | ChangeKind::Appended | ChangeKind::Truncated => self.rewrite(kind, &path)?,
            ChangeKind::RenamedFile => {
                let to = self.new_path("moved");
                fs::rename(&path, &to).context(FileOperation::Rename, &path)?;
                self.files.swap_remove(index);
                self.files.push(to);
            }
            ChangeKind::HardLink => {
                let to = self.new_path("linked");
                fs::hard_link(&path, &to).context(FileOperation::Create, &to)?;
                self.files.push(to);
            }
            ChangeKind::DeletedFile => {
                fs::remove_file(&path).context(FileOperation::Remove, &path)?;
                self.files.swap_remove(index);
            }
            ChangeKind::Owner => maker::describe_owner(&path, self.seed)?,
            ChangeKind::Time => maker::describe_time(&path, self.seed)?,
            ChangeKind::Xattr => inode::set_xattr(&path, "user.changed", &self.seed.bytes::<16>())?,
            _ => inode::set_mode(&path, inode::mode(&inode::inspect(&path)?) ^ 0o011)?,
        }
        Ok(Some(path))
    }

    fn one_directory(&mut self, kind: ChangeKind) -> Result<Option<PathBuf>, TestkitError> {
        if self.directories.is_empty() {
            return Ok(None);
        }
        let Some(path) = self.directories.get(self.index_below(self.directories.len())).cloned() else {
            return Ok(None);
        };
        if kind == ChangeKind::DeletedDirectory {
            fs::remove_dir_all(&path).context(FileOperation::Remove, &path)?;
        } else {
            self.made += 1;
            let name = OsString::from(format!("moved directory {}", self.made));
            fs::rename(&path, path.with_file_name(name)).context(FileOperation::Rename, &path)?;
        }
        self.look_again()?;
        Ok(Some(path))
    }

    fn create(&mut self) -> Result<PathBuf, TestkitError> {
        let path = self.new_path("new");
        let length = content::length(self.seed, 4 << 20);
        fs::write(&path, content::bytes(self.seed, length)).context(FileOperation::Write, &path)?;
        maker::describe(&path, self.seed)?;
        self.files.push(path.clone());
        Ok(path)
    }

    fn rewrite(&self, kind: ChangeKind, path: &Path) -> Result<(), TestkitError> {
        let file = OpenOptions::new().write(true).open(path).context(FileOperation::Write, path)?;
        let length = inode::inspect(path)?.len();
        let some = content::bytes(self.seed, 1 + self.seed.below(100_000));
        let outcome = match kind {
            ChangeKind::Edited => file.write_all_at(&some, self.seed.below(length + 1)),
            ChangeKind::Appended => file.write_all_at(&some, length),
            _ => file.set_len(self.seed.below(length + 1)),
        };
        outcome.context(FileOperation::Write, path)
    }

    /// A path that is free, in any directory.
    fn new_path(&mut self, word: &str) -> PathBuf {
        self.made += 1;
        let index = self.index_below(self.directories.len() + 1);
        self.directories.get(index).map_or(self.root, PathBuf::as_path).join(format!("{word} {}", self.made))
    }

    fn index_below(&self, count: usize) -> usize {
        usize::try_from(self.seed.below(count as u64)).unwrap_or_default()
    }

    /// Lists the tree, in an order that depends on nothing but names.
    fn look_again(&mut self) -> Result<(), TestkitError> {
        self.directories.clear();
        self.files.clear();
        let mut pending = vec![self.root.to_owned()];
        while let Some(directory) = pending.pop() {
            let listing = fs::read_dir(&directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let mut paths: Vec<PathBuf> =
                listing.context(FileOperation::Read, &directory)?.iter().map(fs::DirEntry::path).collect();
            paths.sort();
            for path in paths {
                let kind = inode::inspect(&path)?.file_type();
                if kind.is_dir() {
                    pending.push(path.clone());
                    self.directories.push(path);
                } else if kind.is_file() {
                    self.files.push(path);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{CompareOptions, compare};
    use crate::tree::{TreeOptions, make};

    #[test]
    fn every_kind_of_change_happens_and_the_comparison_sees_them() {
        let folder = tempfile::tempdir().unwrap();
        let seed = crate::seed();
        let number = seed.u64();
        let options = TreeOptions { entries: 200, bytes_max: 4 << 20 };
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        make(&a, options, &Seed::fixed(number)).unwrap();
        make(&b, options, &Seed::fixed(number)).unwrap();

        let changes = change(&b, KINDS.len() as u64, &seed).unwrap();

        assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), KINDS);
        let comparison = compare(&a, &b, CompareOptions::default()).unwrap();
        assert!(comparison.differences.len() >= 5, "{changes:?} gave {:?}", comparison.differences);
    }
}
