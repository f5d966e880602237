//! What a tree is, as the cluster has it and as a folder has it after a restore.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use backup::Options;
use namespace::View;
use restore::{Existing, LocalTarget, Plan, RestoreOptions, Selection, Source};
use runtime::Files;
use types::{FileKind, Job, Lin};

use crate::cluster::Cluster;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    kind: FileKind,
    mode: u32,
    mtime: (i64, i64),
    content: Vec<u8>,
    /// The paths of the file, if there are several.
    names: Vec<Vec<u8>>,
}

/// Paths with what is there.
pub type Tree = BTreeMap<Vec<u8>, Found>;

/// Options under which a job of a small tree has many units and objects.
pub fn small() -> Options {
    let mut options = Options::default();
    options.cut.items_max = 5;
    options.cut.bytes_target = 400_000;
    options.cut.range_length = 1_000_000;
    options.objects.capacity = 1 << 20;
    options.poll = std::time::Duration::from_millis(20);
    options.restart_pause = std::time::Duration::from_millis(50);
    options.retry_first = std::time::Duration::from_millis(10);
    options.request_deadline = std::time::Duration::from_secs(2);
    options.check_deadline = std::time::Duration::from_secs(1);
    options.owner_grace = std::time::Duration::from_millis(200);
    options
}

/// The tree below a directory of the cluster.
pub async fn of_cluster(cluster: &Cluster, view: &View, root: Lin) -> Tree {
    let mut tree = Tree::new();
    let mut names: BTreeMap<Lin, Vec<Vec<u8>>> = BTreeMap::new();
    let mut waiting = vec![(Vec::new(), root)];
    let mut files = Vec::new();
    while let Some((path, lin)) = waiting.pop() {
        let attributes = view.attributes(lin).unwrap();
        let content = match attributes.kind {
            FileKind::File => cluster.read(view, lin).await,
            FileKind::Symlink => view.symlink_target(lin).unwrap().to_vec(),
            FileKind::Pipe | FileKind::Socket => Vec::new(),
            // Only root could restore one.
            kind @ (FileKind::CharDevice | FileKind::BlockDevice) => panic!("{kind:?} in the tree"),
            FileKind::Directory => {
                let below = |name: &[u8]| [&path[..], name].join(&b'/');
                let entries = view.read_directory(lin, None, usize::MAX).unwrap();
                waiting.extend(entries.into_iter().map(|entry| (below(entry.name.as_bytes()), entry.lin)));
                Vec::new()
            }
        };
        names.entry(lin).or_default().push(path.clone());
        let mtime = (attributes.mtime.seconds, i64::from(attributes.mtime.nanoseconds));
        let found = Found { kind: attributes.kind, mode: attributes.mode, mtime, content, names: Vec::new() };
        files.push((path, lin, found));
    }
    for (path, lin, mut found) in files {
        found.names.clone_from(&names[&lin]);
        found.names.sort();
        tree.insert(path, found);
    }
    tree
}

/// The tree below a folder.
pub fn of_folder(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut names: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    let mut waiting = vec![(Vec::new(), root.to_owned())];
    let mut files = Vec::new();
    while let Some((path, place)) = waiting.pop() {
        let stat = place.symlink_metadata().unwrap();
        let (kind, content) = if stat.is_dir() {
            for entry in std::fs::read_dir(&place).unwrap() {
                let entry = entry.unwrap();
                waiting.push(([&path[..], entry.file_name().as_bytes()].join(&b'/'), entry.path()));
            }
            (FileKind::Directory, Vec::new())
        } else if stat.is_symlink() {
            (FileKind::Symlink, place.read_link().unwrap().as_os_str().as_bytes().to_vec())
        } else if stat.file_type().is_fifo() {
            (FileKind::Pipe, Vec::new())
        } else if stat.file_type().is_socket() {
            (FileKind::Socket, Vec::new())
        } else {
            (FileKind::File, Files::real().read(&place).unwrap())
        };
        names.entry(stat.ino()).or_default().push(path.clone());
        // Linux gives every symbolic link this mode.
        let mode = if stat.is_symlink() { 0o750 } else { stat.mode() & 0o7777 };
        let mtime = (stat.mtime(), stat.mtime_nsec());
        files.push((path, stat.ino(), Found { kind, mode, mtime, content, names: Vec::new() }));
    }
    for (path, inode, mut found) in files {
        found.names.clone_from(&names[&inode]);
        found.names.sort();
        tree.insert(path, found);
    }
    tree
}

/// Restores what a job has backed up into a new folder, and gives the tree below a path of it.
pub async fn restored(cluster: &Cluster, job: &Job, below: &str) -> Tree {
    let source = Source { repository: cluster.repository().await, set: job.set, epoch: job.epoch };
    let out = cluster.folder.path().join(format!("restored-{}", job.id));
    let options = RestoreOptions::new(cluster.folder.path().join("names"));
    let plan = Plan::make(&source, &Selection::Everything, &Files::real(), options).await.unwrap();
    let target = LocalTarget::open(&out, Existing::Refuse).unwrap();
    let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();
    assert!(report.is_complete(), "{:?}", report.failures);
    of_folder(&out.join(below.trim_start_matches('/')))
}

/// Files, directories and links in a tree; one with several names counts once.
pub fn lins(tree: &Tree) -> u64 {
    tree.iter().filter(|(path, found)| found.names.first() == Some(*path)).count() as u64
}

/// Asserts that two trees are the same, and names the first path that is not.
pub fn assert_same(expected: &Tree, found: &Tree) {
    for (path, there) in expected {
        let name = String::from_utf8_lossy(path);
        let here = found.get(path).unwrap_or_else(|| panic!("{name:?} was not restored"));
        let summary = |found: &Found| (found.kind, found.mode, found.mtime, found.content.len(), found.names.clone());
        assert_eq!(summary(there), summary(here), "{name:?}");
        assert!(there.content == here.content, "the content of {name:?}");
    }
    assert_eq!(expected.len(), found.len(), "nothing else was restored");
}
