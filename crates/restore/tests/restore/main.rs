//! Restores from a repository in a folder into another folder.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "clippy allows them in tests, and not in what tests share"
)]
#![allow(clippy::disallowed_methods, reason = "what a user does to the target beforehand goes past the program")]

mod hardship;
mod over;
mod roots;
mod sparse;
mod world;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bytes::Bytes;
use restore::{Existing, RestoreError};
use runtime::Files;
use types::{ErrorKind, FileKind, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX};
use world::{AFTER_HOLE, BLOCK, Options, Tree, World, block_bytes, mode_of, mtime_of, read};

/// Compares what lies at a path with what the tree of the backup has there.
fn check(data: &Path) {
    let mut large = vec![0; usize::try_from(AFTER_HOLE).unwrap() + 2 * BLOCK + 1000];
    for number in 0..2_u8 {
        let at = usize::from(number) * BLOCK;
        large[at..at + BLOCK].copy_from_slice(&block_bytes(number));
        let at = usize::try_from(AFTER_HOLE).unwrap() + at;
        large[at..at + BLOCK].copy_from_slice(&block_bytes(number + 2));
    }
    let mut inline = b"inline content".to_vec();
    inline.resize(40, 0);
    for (path, content) in [("inline", &inline), ("d/large", &large), ("linked", &vec![7; 1000])] {
        assert!(read(&data.join(path)) == *content, "{path}");
    }
    assert_eq!(read(&data.join("d/deep/empty")), b"");
    (20..60_u8).for_each(|lin| assert_eq!(read(&data.join(format!("d/deep/small-{lin}"))), vec![lin; 5000]));

    let lins =
        [("", 1), ("d", 2), ("d/deep", 3), ("inline", 10), ("d/deep/empty", 11), ("d/large", 12), ("linked", 13)];
    for (path, lin) in lins.into_iter().chain([("d/link", 70)]) {
        let stat = data.join(path).symlink_metadata().unwrap();
        let (seconds, nanoseconds) = mtime_of(lin);
        assert_eq!((stat.mtime(), stat.mtime_nsec()), (seconds, i64::from(nanoseconds)), "{path}");
        if lin != 70 {
            assert_eq!(stat.mode() & 0o7777, mode_of(lin), "{path}");
        }
    }
    let large = data.join("d/large").metadata().unwrap();
    assert!(large.blocks() * 512 < AFTER_HOLE, "the hole takes no space");
    let inodes = ["linked", "d/again", "d/deep/and again"].map(|path| data.join(path).metadata().unwrap().ino());
    assert!(inodes.iter().all(|inode| *inode == inodes[0]));
    assert_eq!(data.join("d/link").read_link().unwrap().as_os_str().as_bytes(), b"../out");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_under_the_paths_that_it_had() {
    let world = World::new().await;
    let (summary, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    check(&world.out().join("srv/data"));
    assert_eq!((report.failed, report.warnings.total()), (0, 0), "{:?}", report.failures);
    assert_eq!((report.directories, report.files, report.symlinks, report.links), (3, 44, 1, 2));
    assert_eq!((summary.directories, summary.files, summary.symlinks, summary.link_groups), (3, 44, 1, 1));
    assert_eq!((summary.requests, summary.bytes_fetched), (report.requests, report.bytes_fetched));
    assert_eq!(summary.bytes, report.bytes_written);
    assert_eq!(report.requests, 1, "all slots lie side by side in one object");
    assert_eq!(world.findings().await, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_within_the_narrowest_bounds_gives_the_same() {
    let world = World::new().await;
    let (summary, report) = world.restore(None, Existing::Refuse, Options::Tiny).await;
    check(&world.out().join("srv/data"));
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    assert!(report.requests >= 44 - 1 - 1);
    assert_eq!(summary.requests, report.requests);
    assert!(!world.folder.path().join("spool").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_becomes_the_target_and_a_file_goes_into_it() {
    let world = World::new().await;
    let (_, report) = world.restore(Some("/srv/data"), Existing::Refuse, Options::Usual).await;
    check(&world.out());
    assert_eq!(report.files, 44);

    Files::real().remove_dir_all(&world.out()).unwrap();
    let (_, report) = world.restore(Some("/srv/data/d/deep/"), Existing::Refuse, Options::Usual).await;
    assert_eq!((report.directories, report.files, report.failed), (1, 42, 0));
    assert_eq!(read(&world.out().join("and again")), vec![7; 1000]);

    Files::real().remove_dir_all(&world.out()).unwrap();
    let (_, report) = world.restore(Some("/srv/data/d/large"), Existing::Refuse, Options::Usual).await;
    assert_eq!((report.directories, report.files), (0, 1));
    assert_eq!(read(&world.out().join("large"))[..BLOCK], block_bytes(0));

    Files::real().remove_dir_all(&world.out()).unwrap();
    world.restore(Some("/srv"), Existing::Refuse, Options::Usual).await;
    check(&world.out().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there_is_named() {
    let world = World::new().await;
    for path in ["/srv/data/nothing", "/elsewhere", "/srv/data/inline/below"] {
        let refused = world.plan(Some(path), Options::Usual).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(refused.to_string().contains(path), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_over_an_earlier_one_brings_only_what_differs() {
    let world = World::new().await;
    world.restore(None, Existing::Refuse, Options::Usual).await;
    let data = world.out().join("srv/data");
    let (_, again) = world.restore(None, Existing::Overwrite, Options::Usual).await;
    check(&data);
    // The file of which the backup wants a part of a block cannot be told by its digest.
    assert_eq!((again.files_kept, again.bytes_written), (43, 1000));

    let files = Files::real();
    let damaged = files.open_write(&data.join("d/large")).unwrap();
    damaged.write_all_at(10, b"damage").unwrap();
    damaged.write_all_at(AFTER_HOLE - 1000, b"not a hole").unwrap();
    files.remove(&data.join("d/deep/small-33")).unwrap();
    files.remove(&data.join("d/again")).unwrap();
    let (_, repaired) = world.restore(None, Existing::Overwrite, Options::Usual).await;
    check(&data);
    assert_eq!(repaired.bytes_written, BLOCK as u64 + 5000 + 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_costs_the_files_that_it_touches_and_nothing_half_written_stays() {
    let world = World::new().await;
    let object = world.folder.path().join("site").join(&world.object);
    let file = Files::real().open_write(&object).unwrap();
    let byte = file.read_exact_at(5000, 1).unwrap();
    file.write_all_at(5000, &[byte[0] ^ 1]).unwrap();
    let plan = world.plan(None, Options::Usual).await.unwrap();
    let target = restore::LocalTarget::open(&world.out(), Existing::Refuse).unwrap();
    let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();

    assert!(!report.is_complete());
    assert!(report.failures.iter().all(|failure| failure.reason.contains("damaged")), "{:?}", report.failures);
    assert!(report.files > 0, "what is not touched is restored");
    let data = world.out().join("srv/data");
    for failure in &report.failures {
        assert!(!world.out().join(std::ffi::OsStr::from_bytes(failure.path.as_bytes())).exists(), "{}", failure.path);
    }
    assert_eq!(read(&data.join("inline"))[..14], *b"inline content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_object_costs_the_files_that_lay_in_the_part_that_is_gone() {
    let fill = |tree: &mut Tree| {
        tree.directory(1);
        for number in 0..3 {
            tree.file(10 + number, 1, &number.to_string(), 200_000);
            tree.block(10 + number, 0, &random(number), 200_000);
        }
    };
    let world = World::of(b"/srv/data", fill).await;
    // All blocks lie side by side and are read with one request; the last one is cut.
    world.cut_object(500_000);
    let plan = world.plan(None, Options::Usual).await.unwrap();
    let target = restore::LocalTarget::open(&world.out(), Existing::Refuse).unwrap();
    let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();
    let failed: Vec<_> = report.failures.iter().map(|failed| failed.path.to_string()).collect();
    assert_eq!((failed, report.damaged), (vec!["/srv/data/2".to_owned()], 1), "{:?}", report.failures);
    for number in 0..2 {
        assert!(read(&world.out().join(format!("srv/data/{number}"))) == random(number), "{number}");
    }
}

/// Bytes that do not compress.
fn random(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; 200_000];
    runtime::Seed::fixed(number).fill(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_fails_every_file_by_name() {
    let world = World::new().await;
    Files::real().remove(&world.folder.path().join("site").join(&world.object)).unwrap();
    let plan = world.plan(None, Options::Usual).await.unwrap();
    let target = restore::LocalTarget::open(&world.out(), Existing::Refuse).unwrap();
    let report = restore::run(&plan, target, std::sync::Arc::default()).await.unwrap();
    assert_eq!((report.files, report.symlinks), (1, 1), "only what has no content");
    assert!(report.failures.iter().all(|failure| failure.reason.contains(&world.object)), "{:?}", report.failures);
    assert_eq!(report.damaged, report.failed);
    assert!(report.failures.iter().all(|failure| failure.kind == ErrorKind::Corrupt));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_whose_path_leads_out_of_the_target_stays_in_it() {
    for root in [&b"/srv/../../etc"[..], b"/..", b"/a\0b"] {
        let world = World::of(root, Tree::add).await;
        let refused = world.plan(Some("/srv"), Options::Usual).await.unwrap_err();
        assert!(matches!(&refused, RestoreError::NoPath { .. }), "{refused:?}");
        world.restore(None, Existing::Refuse, Options::Usual).await;
        check(&world.out().join("root-1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_all_the_attributes_that_they_may_have_come_back_a_few_at_a_time() {
    let name = |number| Bytes::from(format!("user.{number:0width$}", width = XATTR_NAME_LENGTH_MAX - 5));
    let xattrs: Vec<_> =
        (0..XATTRS_MAX).map(|number| (name(number), Bytes::from(vec![7; XATTR_VALUE_LENGTH_MAX]))).collect();
    let fill = |tree: &mut Tree| {
        tree.directory(1);
        for lin in 10..13 {
            let content = [u8::try_from(lin).unwrap(); 5000];
            tree.inode_with(lin, FileKind::File, 5000, b"", xattrs.clone());
            tree.entry(1, &lin.to_string(), lin, FileKind::File);
            let location = tree.small(&content);
            tree.extent(lin, 0, 5000, &content, 0, location);
        }
    };
    let world = World::of(b"/srv/data", fill).await;
    let (_, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    assert_eq!((report.failed, report.files), (0, 3), "{:?}", report.failures);
    for lin in 10..13_u8 {
        assert_eq!(read(&world.out().join(format!("srv/data/{lin}"))), [lin; 5000]);
    }
    // Their bundle would be read once for all that are held together.
    assert_eq!(report.requests, 3, "each of them fills a window");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extent_in_a_block_longer_than_any_costs_its_file_and_no_memory() {
    let length = u32::MAX;
    let fill = |tree: &mut Tree| {
        tree.directory(1);
        tree.file(10, 1, "bomb", u64::from(length));
        let location = repo::Location { plain_length: length, ..tree.small(b"bomb") };
        tree.extent(10, 0, usize::try_from(length).unwrap(), b"bomb", 0, location);
        tree.file(11, 1, "sound", 5);
        let location = tree.small(b"sound");
        tree.extent(11, 0, 5, b"sound", 0, location);
    };
    let world = World::of(b"/srv/data", fill).await;
    let files = Files::real();
    files.create_dirs(&world.out().join("srv/data")).unwrap();
    files.create(&world.out().join("srv/data/bomb")).unwrap().set_len(u64::from(length)).unwrap();
    let (_, report) = world.restore(None, Existing::Overwrite, Options::Usual).await;
    assert_eq!(read(&world.out().join("srv/data/sound")), b"sound");
    assert_eq!((report.failed, report.damaged), (1, 1));
    assert_eq!(report.failures[0].reason, "one of its blocks is longer than the format allows: the tables are damaged");
    let findings = world.findings().await;
    assert_eq!(
        findings[0],
        "backup 4, extents, /srv/data/bomb: its extent at 0 has a block longer than the format allows"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_none_is_not_set_and_lends_no_rights() {
    let fill = |tree: &mut Tree| {
        tree.directory(1);
        tree.owned(10, u32::MAX, 0, 0o6755);
        tree.entry(1, "user", 10, FileKind::File);
        tree.owned(11, 0, u32::MAX, 0o6755);
        tree.entry(1, "group", 11, FileKind::File);
    };
    let world = World::of(b"/srv/data", fill).await;
    let (_, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    assert_eq!((report.failed, report.warnings.owners, report.warnings.set_id_bits), (0, 2, 2));
    for name in ["user", "group"] {
        assert_eq!(world.out().join("srv/data").join(name).metadata().unwrap().mode() & 0o7777, 0o755);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_hang_nowhere_cost_what_is_in_them_and_nothing_else() {
    let fill = |tree: &mut Tree| {
        tree.add();
        [80, 81, 90].into_iter().for_each(|lin| tree.directory(lin));
        tree.entry(81, "round", 80, FileKind::Directory);
        tree.entry(80, "and round", 81, FileKind::Directory);
        tree.entry(91, "adrift", 90, FileKind::Directory);
        for (parent, lin, name) in [(80, 82, "in a circle"), (90, 92, "in the adrift")] {
            tree.file(lin, parent, name, 10);
        }
    };
    let world = World::of(b"/srv/data", fill).await;
    let (_, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    check(&world.out().join("srv/data"));
    let mut failed: Vec<_> =
        report.failures.iter().map(|failed| format!("{}: {}", failed.path, failed.reason)).collect();
    failed.sort();
    let (circle, adrift) = ("its directory lies below itself", "its directory is missing");
    let expected = [("adrift", adrift), ("and round", circle), ("in a circle", circle), ("in the adrift", adrift)];
    let mut expected: Vec<_> =
        expected.iter().map(|(name, what)| format!("/{name}: {what}: the tables are damaged")).collect();
    expected.push(format!("/round: {circle}: the tables are damaged"));
    assert_eq!(failed, expected);
    assert_eq!(report.damaged, 5);

    let findings = world.findings().await;
    let found = |what: &str| findings.iter().filter(|finding| finding.contains(what)).count();
    assert_eq!(found("the directories above it lie below themselves"), 2, "{findings:?}");
    assert_eq!(found("inode 91: 1 names lie in it, and it has no inode"), 1, "{findings:?}");
    assert_eq!(findings.len(), 3, "a check finds what a restore meets: {findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_come_back_as_what_they_were() {
    let world = World::of(b"/srv", |tree| {
        tree.directory(1);
        tree.inode(5, FileKind::Pipe, 0, b"");
        tree.entry(1, "pipe", 5, FileKind::Pipe);
        tree.entry(1, "same pipe", 5, FileKind::Pipe);
        tree.inode(6, FileKind::Socket, 0, b"");
        tree.entry(1, "socket", 6, FileKind::Socket);
        tree.inode(7, FileKind::CharDevice, 0, b"no number");
        tree.entry(1, "damaged", 7, FileKind::CharDevice);
        tree.inode(8, FileKind::BlockDevice, 0, b"7:300");
        tree.entry(1, "disk", 8, FileKind::BlockDevice);
    });
    let world = world.await;
    let (summary, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    assert_eq!((summary.specials, report.links, report.damaged), (3, 1, 1), "{:?}", report.failures);
    let stat = |name: &str| world.out().join("srv").join(name).symlink_metadata().ok();
    let pipe = stat("pipe").unwrap();
    assert!(pipe.file_type().is_fifo());
    assert_eq!((pipe.mode() & 0o7777, pipe.mtime(), pipe.nlink()), (mode_of(5), mtime_of(5).0, 2));
    assert_eq!(pipe.ino(), stat("same pipe").unwrap().ino());
    assert!(stat("socket").unwrap().file_type().is_socket());
    assert!(stat("damaged").is_none());
    let failed: Vec<_> = report.failures.iter().map(|failed| (failed.path.to_string(), failed.kind)).collect();
    let damaged = ("/srv/damaged".to_owned(), ErrorKind::Corrupt);
    match stat("disk") {
        Some(disk) => {
            assert!(disk.file_type().is_block_device() && disk.rdev() == rustix::fs::makedev(7, 300));
            assert_eq!((report.specials, failed), (3, vec![damaged]));
        }
        // Only a privileged user makes devices.
        None => assert_eq!((report.specials, failed), (2, vec![damaged, ("/srv/disk".to_owned(), ErrorKind::Denied)])),
    }
}
