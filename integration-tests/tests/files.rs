//! Files go in through one node and come out of another.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{XattrFlags, removexattr, setxattr};
use testkit::cluster::Cluster;
use testkit::compare::{CompareOptions, compare};
use testkit::tree::{TreeOptions, make};

#[test]
fn a_file_written_through_one_node_is_read_through_another() {
    let cluster = Cluster::formed(3).unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(cluster.path("file"), &bytes).unwrap();
    let local = cluster.path("file").display().to_string();

    cluster.cli(1).ok(&["fs", "put", &local, "/file"]).unwrap();

    assert!(cluster.cli(2).ok(&["fs", "cat", "/file"]).unwrap() == bytes);
    assert!(cluster.cli(3).ok(&["fs", "cat", "/file"]).unwrap() == bytes);
}

#[test]
fn a_tree_comes_out_as_it_went_in() {
    let cluster = Cluster::formed(3).unwrap();
    let [tree, back] = ["tree", "back"].map(|name| cluster.path(name));
    make(&tree, TreeOptions { entries: 300, bytes_max: 16 << 20 }, &testkit::seed()).unwrap();

    cluster.cli(1).ok(&["fs", "put", "-r", &tree.display().to_string(), "/tree"]).unwrap();
    cluster.cli(2).ok(&["fs", "get", "-r", "/tree", &back.display().to_string()]).unwrap();

    let comparison = compare(&tree, &back, CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

/// Puts the content of a folder into a directory that is there, and gets that back.
fn put_again_and_get(cluster: &Cluster, tree: &Path, back: &Path) {
    let content = format!("{}/.", tree.display());
    cluster.cli(1).ok(&["fs", "put", "-r", &content, "/tree"]).unwrap();
    cluster.cli(1).ok(&["fs", "get", "-r", "/tree", &back.display().to_string()]).unwrap();
}

#[test]
fn directories_that_are_there_become_as_those_that_are_put_onto_them() {
    let cluster = Cluster::formed(1).unwrap();
    let [tree, back] = ["tree", "back"].map(|name| cluster.path(name));
    let below = tree.join("below");
    fs::create_dir_all(&below).unwrap();
    for folder in [&tree, &below] {
        for name in ["user.gone", "user.kept", "user.other"] {
            setxattr(folder, name, b"old", XattrFlags::empty()).unwrap();
        }
    }
    cluster.cli(1).ok(&["fs", "put", "-r", &tree.display().to_string(), "/tree"]).unwrap();

    for folder in [&tree, &below] {
        removexattr(folder, "user.gone").unwrap();
        setxattr(folder, "user.other", b"new", XattrFlags::empty()).unwrap();
        setxattr(folder, "user.new", b"new", XattrFlags::empty()).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o2750)).unwrap();
    }
    put_again_and_get(&cluster, &tree, &back);

    let comparison = compare(&tree, &back, CompareOptions::default()).unwrap();
    assert_eq!(comparison.differences, []);
}

#[test]
fn a_cluster_of_one_node_works_alone() {
    let cluster = Cluster::formed(1).unwrap();
    fs::write(cluster.path("file"), b"alone").unwrap();
    cluster.cli(1).ok(&["fs", "put", &cluster.path("file").display().to_string(), "/file"]).unwrap();
    assert_eq!(cluster.cli(1).ok(&["fs", "cat", "/file"]).unwrap(), b"alone");
}

#[test]
fn files_cannot_be_written_before_the_first_nodes_are_there() {
    let cluster = Cluster::start(1).unwrap();
    cluster.cli(1).ok(&["cluster", "init", "--first-nodes", "3"]).unwrap();
    fs::write(cluster.path("file"), vec![7; 100_000]).unwrap();

    let refused = cluster.cli(1).run(&["fs", "put", &cluster.path("file").display().to_string(), "/file"]).unwrap();

    assert_ne!(refused.code, Some(0));
    assert!(refused.stderr.contains("1 of 3"), "{}", refused.stderr);
}
