//! Whatever a commit says of its roots, all of them are restored, and no two lie on one path.

use std::os::unix::fs::MetadataExt;

use restore::{Existing, RestoreError};
use types::FileKind;

use crate::world::{Options, Tree, World, read};

/// A directory with one file that holds its own LIN.
fn marked(tree: &mut Tree, lin: u64) {
    tree.directory(lin);
    tree.file(lin + 100, lin, "file", 1);
    tree.inline(lin + 100, &[u8::try_from(lin).unwrap()]);
}

/// Restores all, and gives which root is restored to a path of its own, and its path in the commit.
async fn displaced(world: &World) -> Vec<(u64, String, String)> {
    let (_, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    let plan = world.plan(None, Options::Usual).await.unwrap();
    plan.displaced().iter().map(|root| (root.lin.get(), root.path.clone(), root.placed.to_string())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_whose_path_is_none_is_restored_under_its_number() {
    let world = World::with_roots(&[(1, b"/data/../srv"), (2, b"/root-1")], |tree| {
        marked(tree, 1);
        marked(tree, 2);
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, [(1, "/data/../srv".into(), "/root-1-1".into())]);
    assert_eq!(read(&world.out().join("root-1-1/file")), [1]);
    assert_eq!(read(&world.out().join("root-1/file")), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_on_the_path_of_what_lies_in_another_root_is_restored_beside_it() {
    let world = World::with_roots(&[(3, b"/a/sub"), (2, b"/a")], |tree| {
        marked(tree, 2);
        tree.entry(2, "sub", 4, FileKind::Directory);
        marked(tree, 4);
        marked(tree, 3);
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, [(3, "/a/sub".into(), "/root-3".into())]);
    for (path, lin) in [("a/file", 2), ("a/sub/file", 4), ("root-3/file", 3)] {
        assert_eq!(read(&world.out().join(path)), [lin], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_below_a_file_of_another_root_is_restored_beside_it() {
    let world = World::with_roots(&[(2, b"/a"), (3, b"/a/file/deep")], |tree| {
        marked(tree, 2);
        marked(tree, 3);
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, [(3, "/a/file/deep".into(), "/root-3".into())]);
    assert_eq!((read(&world.out().join("a/file")), read(&world.out().join("root-3/file"))), (vec![2], vec![3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_roots_with_one_path_the_second_is_restored_under_its_number_and_found_there() {
    let world = World::with_roots(&[(5, b"/a"), (2, b"//a/")], |tree| {
        marked(tree, 2);
        marked(tree, 5);
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, [(2, "//a/".into(), "/root-2".into())]);
    assert_eq!((read(&world.out().join("a/file")), read(&world.out().join("root-2/file"))), (vec![5], vec![2]));
    for (path, lin) in [("/a", 5), ("/root-2", 2)] {
        std::fs::remove_dir_all(world.out()).unwrap();
        let (_, report) = world.restore(Some(path), Existing::Refuse, Options::Usual).await;
        assert_eq!((report.failed, read(&world.out().join("file"))), (0, vec![lin]), "{path}");
    }
    let error = world.plan(Some("/root-5"), Options::Usual).await.unwrap_err();
    assert!(matches!(error, RestoreError::NoPath { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_within_another_root_lies_there_and_nowhere_else() {
    let world = World::with_roots(&[(2, b"/a"), (3, b"/a/old"), (4, b"/a/new/deep")], |tree| {
        marked(tree, 2);
        tree.entry(2, "new", 3, FileKind::Directory);
        marked(tree, 3);
        tree.entry(3, "deep", 4, FileKind::Directory);
        marked(tree, 4);
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, []);
    for (path, lin) in [("a/file", 2), ("a/new/file", 3), ("a/new/deep/file", 4)] {
        assert_eq!(read(&world.out().join(path)), [lin], "{path}");
    }
    assert!(!world.out().join("a/old").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_root_with_a_name_in_another_root_keeps_its_own_path() {
    let world = World::with_roots(&[(2, b"/a"), (9, b"/elsewhere/file"), (10, b"/a/old")], |tree| {
        marked(tree, 2);
        tree.file(9, 2, "link", 1);
        tree.inline(9, b"9");
        tree.file(10, 2, "renamed", 1);
        tree.inline(10, b"x");
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, []);
    let inode = |path: &str| world.out().join(path).metadata().unwrap().ino();
    assert_eq!(read(&world.out().join("elsewhere/file")), b"9");
    assert_eq!(inode("elsewhere/file"), inode("a/link"));
    assert_eq!(read(&world.out().join("a/renamed")), b"x");
    assert!(!world.out().join("a/old").exists(), "of its names in a root the tree of the root tells");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_that_is_no_directory_brings_those_above_it() {
    let world = World::with_roots(&[(9, b"/x/y/file"), (70, b"/z/link")], |tree| {
        tree.inode(9, FileKind::File, 1, b"");
        tree.inline(9, b"9");
        tree.inode(70, FileKind::Symlink, 6, b"../out");
    });
    let world = world.await;
    assert_eq!(displaced(&world).await, []);
    assert_eq!(read(&world.out().join("x/y/file")), b"9");
    assert!(world.out().join("z/link").symlink_metadata().unwrap().is_symlink());
}
