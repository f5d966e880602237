//! The source tree as git sees it: tracked files, and new ones that it does not ignore.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The files of the project, read once.
pub(crate) struct Tree {
    root: PathBuf,
    files: Vec<SourceFile>,
}

/// One file: its path from the root, with `/`, and its text.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    /// Empty for a file that is not UTF-8.
    pub(crate) text: String,
}

impl Tree {
    /// Reads the tree that the current folder belongs to.
    pub(crate) fn read() -> Result<Self> {
        let root = PathBuf::from(git(Path::new("."), &["rev-parse", "--show-toplevel"])?.trim_end());
        let listed = git(&root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])?;
        let paths = listed.split('\0').filter(|path| !path.is_empty() && root.join(path).is_file());
        let files = paths
            .map(|path| SourceFile {
                path: path.to_owned(),
                text: std::fs::read_to_string(root.join(path)).unwrap_or_default(),
            })
            .collect();
        Ok(Self { root, files })
    }

    /// Makes a tree of the given files, for tests of the checks.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() });
        Self { root: PathBuf::from("/nowhere"), files: files.collect() }
    }

    /// The folder that holds `Cargo.toml` and all else.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// All files, in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The files written in Rust.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    /// The file at this path, if there is one.
    pub(crate) fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files().find(|file| file.path == path)
    }
}

impl SourceFile {
    /// Whether the file holds tests or benches only.
    pub(crate) fn is_test(&self) -> bool {
        let mut folders = self.path.split('/');
        let name = folders.next_back().unwrap_or_default();
        name == "tests.rs" || name.ends_with("_tests.rs") || folders.any(|folder| matches!(folder, "tests" | "benches"))
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().context("start git")?;
    ensure!(output.status.success(), "git {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("read the output of git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_told_by_folder_or_name() {
        let tree = Tree::of(&[
            ("crates/repo/tests/damage.rs", ""),
            ("crates/repo/src/commit/tests.rs", ""),
            ("crates/repo/src/commit.rs", ""),
            ("crates/block/benches/cut.rs", ""),
        ]);
        let found: Vec<bool> = tree.files().map(SourceFile::is_test).collect();
        assert_eq!(found, [true, true, false, true]);
    }
}
