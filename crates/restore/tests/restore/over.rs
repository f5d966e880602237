//! Restores over what is there already.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use restore::{Existing, Report};
use runtime::Files;

use crate::world::{Options, World, read};
use crate::{BLOCK, block_bytes, check};

/// Everything in a folder, with what it holds: names and digests of content.
fn listing(folder: &Path) -> Vec<(std::path::PathBuf, Option<types::Digest>)> {
    let mut found = vec![];
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                waiting.push(path.clone());
            }
            found.push((path.clone(), kind.is_file().then(|| block::digest(&read(&path)))));
        }
    }
    found.sort();
    found
}

async fn restore_over(world: &World) -> Report {
    world.restore(None, Existing::Overwrite, Options::Usual).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_leaves_every_name_of_what_was_there_as_it_was() {
    let world = World::new().await;
    world.restore(None, Existing::Refuse, Options::Usual).await;
    let data = world.out().join("srv/data");
    let files = Files::real();
    for (path, at) in [("d/large", 10), ("d/deep/small-20", 0), ("linked", 3)] {
        files.open_write(&data.join(path)).unwrap().write_all_at(at, b"of the user").unwrap();
    }
    std::fs::hard_link(data.join("linked"), data.join("d/mine")).unwrap();
    let before = listing(&data);
    world.damage_all_slots();

    let report = restore_over(&world).await;
    assert_eq!(report.failed, 1 + 1 + 3, "{:?}", report.failures);
    assert_eq!(listing(&data), before);
    let inodes = ["linked", "d/again", "d/mine"].map(|path| data.join(path).metadata().unwrap().ino());
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "the names still share one file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_backup_does_not_have_keeps_the_content_that_it_had() {
    let world = World::new().await;
    world.restore(None, Existing::Refuse, Options::Usual).await;
    let data = world.out().join("srv/data");
    std::fs::hard_link(data.join("linked"), data.join("d/mine")).unwrap();
    std::fs::hard_link(data.join("d/large"), data.join("d/larger")).unwrap();
    Files::real().open_write(&data.join("d/larger")).unwrap().write_all_at(10, b"of the user").unwrap();
    let mine = [data.join("d/mine"), data.join("d/larger")].map(|path| (read(&path), path));
    let modes = mine.clone().map(|(_, path)| path.metadata().unwrap().permissions());

    let report = restore_over(&world).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    check(&data);
    for ((content, path), mode) in mine.iter().zip(modes) {
        assert!(read(path) == *content, "{}", path.display());
        assert_eq!((path.metadata().unwrap().nlink(), path.metadata().unwrap().permissions()), (1, mode));
    }
    assert_eq!(&read(&mine[1].1)[..BLOCK][10..21], b"of the user");
    assert_ne!(block_bytes(0)[10..21], *b"of the user");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_kind_gives_way_unless_it_is_a_directory() {
    let world = World::new().await;
    world.restore(None, Existing::Refuse, Options::Usual).await;
    let data = world.out().join("srv/data");
    let outside = world.folder.path().join("outside");
    std::fs::write(&outside, "outside").unwrap();
    let replace = |path: &str| {
        std::fs::remove_file(data.join(path)).unwrap();
        data.join(path)
    };
    symlink(&outside, replace("inline")).unwrap();
    symlink(&outside, replace("d/again")).unwrap();
    std::fs::write(replace("d/link"), "a file").unwrap();
    std::fs::create_dir(replace("d/deep/small-20")).unwrap();
    std::fs::write(data.join("d/deep/small-20/mine"), "mine").unwrap();

    let report = restore_over(&world).await;
    let failed: Vec<_> = report.failures.iter().map(|failed| failed.path.to_string()).collect();
    assert_eq!(failed, ["/srv/data/d/deep/small-20"], "{:?}", report.failures);
    assert_eq!(report.failures[0].reason, "a directory is in the way");
    assert_eq!((report.damaged, report.failures[0].kind), (0, types::ErrorKind::AlreadyExists));
    assert_eq!(read(&data.join("d/deep/small-20/mine")), b"mine");
    assert_eq!(read(&outside), b"outside");

    std::fs::remove_dir_all(data.join("d/deep/small-20")).unwrap();
    std::fs::remove_dir_all(data.join("d/deep")).unwrap();
    std::fs::write(data.join("d/deep"), "a file where a directory was").unwrap();
    assert_eq!(restore_over(&world).await.failed, 0);
    check(&data);
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_that_nobody_may_write_into_are_filled_and_get_their_modes_back() {
    let world = World::new().await;
    world.restore(Some("/srv/data"), Existing::Refuse, Options::Usual).await;
    let out = world.out();
    for path in ["d/deep", "d", ""] {
        std::fs::remove_file(out.join(path).join("again")).ok();
        std::fs::set_permissions(out.join(path), std::fs::Permissions::from_mode(0o500)).unwrap();
    }
    let (_, report) = world.restore(Some("/srv/data"), Existing::Overwrite, Options::Usual).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    check(&out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_a_symbolic_link_is_the_folder_that_it_leads_to() {
    let world = World::new().await;
    let folder = world.folder.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    symlink(&folder, world.out()).unwrap();
    let (_, report) = world.restore(None, Existing::Refuse, Options::Usual).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    check(&folder.join("srv/data"));
    assert!(world.out().symlink_metadata().unwrap().is_symlink());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grew_or_shrank_or_got_content_in_its_hole_is_restored() {
    let world = World::new().await;
    world.restore(None, Existing::Refuse, Options::Usual).await;
    let data = world.out().join("srv/data");
    let files = Files::real();
    files.open_write(&data.join("d/large")).unwrap().write_all_at(2_000_000, b"in the hole").unwrap();
    files.open_write(&data.join("inline")).unwrap().write_all_at(1000, b"beyond the end").unwrap();
    files.open_write(&data.join("d/deep/empty")).unwrap().write_all_at(0, b"not empty").unwrap();
    files.open_write(&data.join("d/deep/small-20")).unwrap().set_len(10).unwrap();
    let report = restore_over(&world).await;
    assert_eq!(report.failed, 0, "{:?}", report.failures);
    check(&data);
    let names = listing(&data);
    assert!(names.iter().all(|(path, _)| !path.to_string_lossy().contains(".holdfast")), "nothing is left behind");
}
