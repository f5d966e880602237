//! Backups come back when the cluster is gone, and damage is named.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::cluster::Cluster;
use testkit::compare::{CompareOptions, compare};
use testkit::tree::{TreeOptions, make};

/// A cluster with a tree at `/tree`, a site and a policy; and what a person keeps: the kit and the passphrase.
struct Protected {
    cluster: Cluster,
    tree: PathBuf,
    repository: PathBuf,
    kit: PathBuf,
    passphrase: PathBuf,
}

impl Protected {
    fn new() -> Self {
        let cluster = Cluster::formed(3).unwrap();
        let [tree, repository, kit, passphrase] =
            ["tree", "repository", "kit", "passphrase"].map(|name| cluster.path(name));
        make(&tree, TreeOptions { entries: 200, bytes_max: 16 << 20 }, &testkit::seed()).unwrap();
        fs::create_dir(&repository).unwrap();
        fs::write(&passphrase, "correct horse battery staple\n").unwrap();
        let url = format!("file://{}", repository.display());
        let cli = cluster.cli(1);
        cli.ok(&["fs", "put", "-r", &shown(&tree), "/tree"]).unwrap();
        cli.ok(&["site", "add", "cloud", &url, "--passphrase-file", &shown(&passphrase)]).unwrap();
        cli.ok(&["repo", "kit", "cloud", "--passphrase-file", &shown(&passphrase), "--output", &shown(&kit)]).unwrap();
        cli.ok(&["policy", "create", "daily", "--site", "cloud", "/tree"]).unwrap();
        Self { cluster, tree, repository, kit, passphrase }
    }

    fn back_up(&self) {
        self.cluster.cli(2).ok(&["backup", "run", "daily"]).unwrap();
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_backup_comes_back_when_the_cluster_is_gone() {
    let mut protected = Protected::new();
    protected.back_up();
    protected.cluster.destroy().unwrap();

    let target = protected.cluster.path("restored");
    let command = ["restore", "--kit", &shown(&protected.kit), &shown(&target)];
    protected.cluster.cli_without_cluster().ok(&command).unwrap();

    let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

#[test]
fn an_unchanged_tree_gives_a_second_backup_that_adds_little() {
    let protected = Protected::new();
    protected.back_up();
    let first = bytes_below(&protected.repository);
    protected.back_up();
    let added = bytes_below(&protected.repository) - first;
    assert!(added < 64 << 10, "{added} bytes added to {first}");
}

/// P30 and law 11: one flipped bit anywhere is found and the object is named.
#[test]
fn a_flipped_bit_in_any_kind_of_object_is_found_and_named() {
    let protected = Protected::new();
    protected.back_up();
    for kind in ["objects", "tables", "commits"] {
        let object = first_file_below(&protected.repository.join(kind));
        let whole = fs::read(&object).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&object, damaged).unwrap();

        let command = ["repo", "check", "--deep", "--kit", &shown(&protected.kit)];
        let output = protected.cluster.cli_without_cluster().run(&command).unwrap();

        assert_ne!(output.code, Some(0), "{kind}");
        let said = output.stderr + &String::from_utf8_lossy(&output.stdout);
        let name = object.file_name().unwrap().to_string_lossy().into_owned();
        assert!(said.contains(&name), "{kind}: {name} is not named in: {said}");
        fs::write(&object, whole).unwrap();
    }
}

/// A lost commit takes its own backup and no other; and nobody is given an older backup without having asked for it.
#[test]
fn a_damaged_newest_commit_is_named_and_the_backup_before_it_still_comes_back() {
    let protected = Protected::new();
    protected.back_up();
    protected.back_up();
    let commit = first_file_below(&protected.repository.join("commits"));
    fs::write(&commit, b"not a commit").unwrap();
    let target = protected.cluster.path("restored");
    let cli = protected.cluster.cli_without_cluster();

    let refused = cli.run(&["restore", "--kit", &shown(&protected.kit), &shown(&target)]).unwrap();
    assert_eq!(refused.code, Some(7), "{}", refused.stderr);
    let name = commit.file_name().unwrap().to_string_lossy();
    assert!(refused.stderr.contains(&*name) && refused.stderr.contains("--epoch 1"), "{}", refused.stderr);
    assert!(!target.exists());

    cli.ok(&["restore", "--kit", &shown(&protected.kit), "--epoch", "1", &shown(&target)]).unwrap();
    let comparison = compare(&protected.tree, &target.join("tree"), CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

#[test]
fn a_wrong_passphrase_is_refused_and_nothing_is_written() {
    let protected = Protected::new();
    protected.back_up();
    fs::write(&protected.passphrase, "wrong\n").unwrap();
    let target = protected.cluster.path("restored");

    let url = format!("file://{}", protected.repository.display());
    let command = ["restore", "--url", &url, "--passphrase-file", &shown(&protected.passphrase), &shown(&target)];
    let output = protected.cluster.cli_without_cluster().run(&command).unwrap();

    assert_eq!(output.code, Some(9), "{}", output.stderr);
    assert!(output.stderr.contains("passphrase"), "{}", output.stderr);
    assert!(!target.exists());
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { pending.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn first_file_below(folder: &Path) -> PathBuf {
    files_below(folder).into_iter().next().expect("a backup has objects of every kind")
}

fn bytes_below(folder: &Path) -> u64 {
    files_below(folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum()
}
