//! Walks two trees side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::difference::{Aspect, Difference};
use super::pair::{Pair, Side};
use crate::error::{Context, FileOperation, TestkitError};
use crate::inode;

/// How close two trees must be.
#[derive(Clone, Copy, Debug)]
pub struct CompareOptions {
    /// Holes are compared in steps of this many bytes: the block of the coarser of the two file systems.
    pub hole_granularity: u64,
}

impl Default for CompareOptions {
    /// Steps of 4 KiB, the block of the usual file systems.
    fn default() -> Self {
        Self { hole_granularity: 4096 }
    }
}

/// What a comparison saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Paths that both trees have, the roots included.
    pub entries: u64,
    /// Apparent bytes of the files compared.
    pub bytes: u64,
    /// What is not the same, in the order of paths.
    pub differences: Vec<Difference>,
}

/// Compares the tree at `left`, the original, with the one at `right`.
///
/// # Errors
///
/// What the operating system refused. A difference is no error.
pub fn compare(left: &Path, right: &Path, options: CompareOptions) -> Result<Comparison, TestkitError> {
    let mut walk = Walk { roots: [left, right], options, groups: LinkGroups::default(), seen: Comparison::default() };
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        pending.extend(walk.pair(&relative)?.into_iter().rev());
    }
    Ok(walk.seen)
}

struct Walk<'a> {
    roots: [&'a Path; 2],
    options: CompareOptions,
    groups: LinkGroups,
    seen: Comparison,
}

impl Walk<'_> {
    /// Compares one path that both sides have, and gives the paths inside to go on with.
    fn pair(&mut self, relative: &Path) -> Result<Vec<PathBuf>, TestkitError> {
        let paths =
            self.roots.map(|root| if relative.as_os_str().is_empty() { root.to_owned() } else { root.join(relative) });
        let metadata = [inode::inspect(&paths[0])?, inode::inspect(&paths[1])?];
        self.seen.entries += 1;
        if metadata[0].is_file() {
            self.seen.bytes += metadata[0].len();
        }
        let left = Side { path: &paths[0], metadata: &metadata[0] };
        let right = Side { path: &paths[1], metadata: &metadata[1] };
        let found = Pair::new(relative, left, right).compare(self.options)?;
        self.seen.differences.extend(found);
        self.seen.differences.extend(self.groups.compare(relative, &metadata));
        if metadata.iter().all(Metadata::is_dir) { self.children(relative, &paths) } else { Ok(Vec::new()) }
    }

    fn children(&mut self, relative: &Path, paths: &[PathBuf; 2]) -> Result<Vec<PathBuf>, TestkitError> {
        let (left, right) = (names(&paths[0])?, names(&paths[1])?);
        for name in left.difference(&right) {
            self.note_presence(relative.join(name), ["present", "missing"]);
        }
        for name in right.difference(&left) {
            self.note_presence(relative.join(name), ["missing", "present"]);
        }
        Ok(left.intersection(&right).map(|name| relative.join(name)).collect())
    }

    fn note_presence(&mut self, path: PathBuf, sides: [&str; 2]) {
        let [left, right] = sides.map(str::to_owned);
        self.seen.differences.push(Difference { path, aspect: Aspect::Presence, left, right });
    }
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>, TestkitError> {
    let listing = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    Ok(listing.context(FileOperation::Read, directory)?.iter().map(fs::DirEntry::file_name).collect())
}

/// Files with several names: each is known by the first of its paths that both sides have, in the order of the walk.
/// Two trees have the same groups when every path has the same first one.
#[derive(Default)]
struct LinkGroups {
    first_paths: [HashMap<(u64, u64), PathBuf>; 2],
}

impl LinkGroups {
    fn compare(&mut self, path: &Path, metadata: &[Metadata; 2]) -> Option<Difference> {
        if !metadata.iter().any(|side| !side.is_dir() && side.nlink() > 1) {
            return None;
        }
        let mut first = BTreeMap::new();
        for (side, (known, metadata)) in self.first_paths.iter_mut().zip(metadata).enumerate() {
            let key = (metadata.dev(), metadata.ino());
            first.insert(side, known.entry(key).or_insert_with(|| path.to_owned()).clone());
        }
        let [left, right] = [0, 1].map(|side| format!("the file of {:?}", first.get(&side)));
        (left != right).then(|| Difference { path: path.to_owned(), aspect: Aspect::LinkGroup, left, right })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, symlink};

    use super::*;

    /// Two equal trees, then one side changed; what the comparison says about it.
    fn aspects_after(spoil: impl Fn(&Path)) -> Vec<Aspect> {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["left", "right"].map(|name| folder.path().join(name));
        for root in &roots {
            fs::create_dir_all(root.join("d")).unwrap();
            fs::write(root.join("d/file"), b"some bytes").unwrap();
            fs::hard_link(root.join("d/file"), root.join("d/link")).unwrap();
            fs::write(root.join("other"), b"some bytes").unwrap();
            symlink("target", root.join("symlink")).unwrap();
            let sparse = fs::File::create(root.join("sparse")).unwrap();
            sparse.set_len(1 << 20).unwrap();
            sparse.write_all_at(b"x", 500_000).unwrap();
        }
        spoil(&roots[1]);
        for root in &roots {
            for path in ["d/file", "d/link", "d", "other", "symlink", "sparse", ""] {
                let path = root.join(path);
                if fs::symlink_metadata(&path).is_ok() {
                    inode::set_modified(&path, 1, 2).unwrap();
                }
            }
        }
        let comparison = compare(&roots[0], &roots[1], CompareOptions::default()).unwrap();
        comparison.differences.iter().map(|difference| difference.aspect).collect()
    }

    #[test]
    fn equal_trees_have_no_difference() {
        assert_eq!(aspects_after(|_| {}), []);
    }

    #[test]
    fn a_missing_and_a_further_path_are_seen() {
        assert_eq!(aspects_after(|root| fs::remove_file(root.join("other")).unwrap()), [Aspect::Presence]);
        assert_eq!(aspects_after(|root| fs::write(root.join("more"), b"").unwrap()), [Aspect::Presence]);
    }

    #[test]
    fn another_kind_is_seen() {
        let spoil = |root: &Path| {
            fs::remove_file(root.join("other")).unwrap();
            fs::create_dir(root.join("other")).unwrap();
        };
        assert_eq!(aspects_after(spoil), [Aspect::Kind]);
    }

    #[test]
    fn another_mode_is_seen() {
        assert_eq!(aspects_after(|root| inode::set_mode(&root.join("d"), 0o1755).unwrap()), [Aspect::Mode]);
    }

    #[test]
    fn another_owner_is_seen() {
        if !inode::is_root() {
            return crate::skip("only root can give files away");
        }
        assert_eq!(aspects_after(|root| inode::set_owner(&root.join("symlink"), 1, 2).unwrap()), [Aspect::Owner]);
    }

    #[test]
    fn a_time_that_is_one_nanosecond_off_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["left", "right"].map(|name| folder.path().join(name));
        for (nanoseconds, root) in (7..).zip(&roots) {
            fs::create_dir(root).unwrap();
            inode::set_modified(root, -5, nanoseconds).unwrap();
        }
        let comparison = compare(&roots[0], &roots[1], CompareOptions::default()).unwrap();
        let shown: Vec<String> = comparison.differences.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [".: Modified: -5.000000007 | -5.000000008"]);
    }

    #[test]
    fn another_extended_attribute_is_seen() {
        let spoil = |root: &Path| inode::set_xattr(&root.join("other"), "user.a", b"b").unwrap();
        assert_eq!(aspects_after(spoil), [Aspect::Xattrs]);
    }

    #[test]
    fn a_broken_link_group_is_seen() {
        let spoil = |root: &Path| {
            fs::remove_file(root.join("d/link")).unwrap();
            fs::copy(root.join("d/file"), root.join("d/link")).unwrap();
        };
        assert_eq!(aspects_after(spoil), [Aspect::LinkGroup]);
    }

    #[test]
    fn another_target_another_length_and_another_byte_are_seen() {
        let retarget = |root: &Path| {
            fs::remove_file(root.join("symlink")).unwrap();
            symlink("elsewhere", root.join("symlink")).unwrap();
        };
        assert_eq!(aspects_after(retarget), [Aspect::Target]);
        assert_eq!(
            aspects_after(|root| fs::write(root.join("other"), b"more bytes than that").unwrap()),
            [Aspect::Length]
        );
        assert_eq!(aspects_after(|root| fs::write(root.join("other"), b"some bytez").unwrap()), [Aspect::Bytes]);
    }

    #[test]
    fn a_filled_hole_is_seen_and_a_further_one_is_not() {
        let fill = |root: &Path| {
            let file = fs::OpenOptions::new().write(true).open(root.join("sparse")).unwrap();
            file.write_all_at(&[0; 100_000], 100_000).unwrap();
        };
        assert_eq!(aspects_after(fill), [Aspect::Holes]);
        let folder = tempfile::tempdir().unwrap();
        let roots = ["left", "right"].map(|name| folder.path().join(name));
        fs::write(&roots[0], vec![0; 1 << 20]).unwrap();
        fs::File::create(&roots[1]).unwrap().set_len(1 << 20).unwrap();
        roots.iter().for_each(|root| inode::set_modified(root, 1, 2).unwrap());
        assert_eq!(compare(&roots[0], &roots[1], CompareOptions::default()).unwrap().differences, []);
    }
}
