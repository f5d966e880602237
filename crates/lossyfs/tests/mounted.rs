//! The file system as programs see it.

#![allow(clippy::disallowed_methods, reason = "tests look at the real files from outside")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use lossyfs::Mount;
use runtime::Seed;
use testkit::power::Disk;

/// A mount, unless this machine does not let us.
fn mount(disk: Disk, at: &Path) -> Option<Mount> {
    match Mount::new(disk, at) {
        Err(error) if error.is_unavailable() => {
            testkit::skip(&error.to_string());
            None
        }
        mounted => Some(mounted.expect("root mounts")),
    }
}

#[test]
fn a_power_loss_takes_what_was_not_synced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = mount(Disk::new(64 << 20), folder.path()) else { return };
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("d")).unwrap();
    let mut kept = File::create(path("d/kept")).unwrap();
    kept.write_all(&[7; 100_000]).unwrap();
    kept.sync_all().unwrap();
    fs::hard_link(path("d/kept"), path("linked")).unwrap();
    File::open(path("d")).unwrap().sync_all().unwrap();
    File::open(folder.path()).unwrap().sync_all().unwrap();
    kept.write_all_at(&[8; 8192], 0).unwrap();
    fs::write(path("d/lost"), b"never synced").unwrap();
    assert_eq!(fs::read(path("d/kept")).unwrap()[..8192], [8; 8192]);
    assert_eq!(fs::metadata(path("linked")).unwrap().nlink(), 2);
    drop(kept);
    let cut = mounted.disk();
    mounted.unmount().unwrap();

    let mut lost = 0;
    for seed in 0..16 {
        let mounted = mount(cut.after_power_loss(&Seed::fixed(seed)), folder.path()).unwrap();
        let bytes = fs::read(path("linked")).unwrap();
        assert_eq!((bytes.len(), &bytes[8192..]), (100_000, &[7; 100_000 - 8192][..]), "seed {seed}");
        lost += usize::from(!path("d/lost").exists());
        mounted.unmount().unwrap();
    }
    assert!((1..16).contains(&lost), "a name that nobody synced was lost {lost} times of 16");
}

#[test]
fn holes_room_and_directories_are_as_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = mount(Disk::new(1 << 20), folder.path()) else { return };
    let path = |name: &str| folder.path().join(name);
    let file = OpenOptions::new().create_new(true).write(true).read(true).open(path("f")).unwrap();
    file.write_all_at(&[1; 512 << 10], 0).unwrap();
    rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
        4096,
        256 << 10,
    )
    .unwrap();
    assert_eq!(file.metadata().unwrap().blocks() * 512, 256 << 10);
    assert_eq!(fs::read(path("f")).unwrap()[4096..8192], [0; 4096]);
    let full = fs::write(path("g"), vec![2; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    for number in 0..500 {
        File::create(path(&format!("n{number}"))).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 502);
    fs::rename(path("f"), path("n1")).unwrap();
    assert_eq!(fs::metadata(path("n1")).unwrap().len(), 512 << 10);
    drop(file);
    mounted.unmount().unwrap();
}

/// As `rm -r` and RocksDB do it: names are removed while the directory is read.
#[test]
fn a_directory_whose_names_are_removed_while_it_is_read_is_empty_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mounted) = mount(Disk::new(1 << 20), folder.path()) else { return };
    for number in 0..2000 {
        File::create(folder.path().join(format!("a name of some length {number}"))).unwrap();
    }
    let mut seen = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
        seen += 1;
    }
    assert_eq!((seen, fs::read_dir(folder.path()).unwrap().count()), (2000, 0));
    mounted.unmount().unwrap();
}
