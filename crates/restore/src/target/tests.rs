//! The target against a real file system.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use types::{Device, ErrorKind, FileKind, Timestamp};

use super::local::Unfinished;
use super::{Existing, Found, LocalTarget, NewFile, TargetError};
use crate::{Metadata, RelativePath};

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text.as_bytes()).unwrap()
}

fn metadata(kind: FileKind, mode: u32) -> Metadata {
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    Metadata {
        kind,
        mode,
        uid: user,
        gid: group,
        atime: Timestamp { seconds: 5, nanoseconds: 6 },
        mtime: Timestamp { seconds: -77, nanoseconds: 123_456_789 },
        xattrs: Vec::new(),
    }
}

fn new_file(target: &LocalTarget, at: &str) -> NewFile {
    target.new_file(&path(at)).unwrap()
}

/// Makes a file of that content.
fn put(target: &LocalTarget, at: &str, content: &[u8]) {
    let file = new_file(target, at);
    file.write_at(content, 0).unwrap();
    target.finish_file(file, &metadata(FileKind::File, 0o644)).unwrap();
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn bytes_of(path: &Path) -> Vec<u8> {
    runtime::Files::real().read(path).unwrap()
}

#[test]
fn a_tree_is_written_with_its_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(&folder.path().join("out"), Existing::Refuse).unwrap();
    target.make_directory(&path("d")).unwrap();
    let file = new_file(&target, "d/f");
    file.set_length(1 << 20).unwrap();
    file.write_at(b"tail", (1 << 20) - 4).unwrap();
    assert_eq!(names_in(&target.path().join("d")), [""; 0], "nobody sees it before it is finished");
    target.finish_file(file, &metadata(FileKind::File, 0o4440)).unwrap();
    target.link(&path("d/f"), &path("d/g")).unwrap();
    target.make_symlink(&path("d/s"), b"../\xff", &metadata(FileKind::Symlink, 0o777)).unwrap();
    target.finish_directory(&path("d"), &metadata(FileKind::Directory, 0o500)).unwrap();

    let out = target.path().join("d");
    let stat = std::fs::metadata(out.join("f")).unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.mtime(), stat.mtime_nsec()), (0o4440, -77, 123_456_789));
    assert_eq!((stat.len(), stat.nlink()), (1 << 20, 2));
    assert!(stat.blocks() * 512 < 1 << 19, "the hole takes no space");
    let link = std::fs::symlink_metadata(out.join("s")).unwrap();
    assert_eq!((link.mtime(), link.mtime_nsec()), (-77, 123_456_789));
    let directory = std::fs::metadata(&out).unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.mtime()), (0o500, -77));
}

#[test]
fn a_folder_that_holds_something_is_refused_unless_overwriting_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let target = LocalTarget::open(&out, Existing::Refuse).unwrap();
    put(&target, "f", b"");
    assert!(matches!(LocalTarget::open(&out, Existing::Refuse), Err(TargetError::NotEmpty { .. })));
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    assert!(matches!(target.find_file(&path("f"), &[path("f")]).unwrap(), Found::Own(_)));
}

#[test]
fn no_symbolic_link_in_the_target_leads_a_write_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (out, outside) = (folder.path().join("out"), folder.path().join("outside"));
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, out.join("d")).unwrap();
    symlink(outside.join("f"), out.join("f")).unwrap();

    assert!(matches!(target.new_file(&path("d/f")), Err(TargetError::Entry { .. })));
    target.make_directory(&path("d")).unwrap();
    put(&target, "d/f", b"inside");
    put(&target, "f", b"inside");

    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(bytes_of(&out.join("d/f")), b"inside");
    assert_eq!(bytes_of(&out.join("f")), b"inside");
}

#[test]
fn a_file_that_shares_its_content_with_a_name_elsewhere_is_another_ones() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    put(&target, "f", b"old");
    std::fs::hard_link(out.join("f"), folder.path().join("elsewhere")).unwrap();

    let names = [path("f"), path("g")];
    assert!(matches!(target.find_file(&path("f"), &names).unwrap(), Found::Foreign(_)));
    put(&target, "f", b"new");
    target.link(&path("f"), &path("g")).unwrap();
    assert_eq!(bytes_of(&folder.path().join("elsewhere")), b"old");
    assert!(matches!(target.find_file(&path("f"), &names).unwrap(), Found::Own(_)), "both names are its own");
}

#[test]
fn a_directory_in_the_way_is_an_error_that_names_it_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    for unfinished in [Unfinished::Nameless, Unfinished::Named] {
        let mut target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
        target.unfinished = unfinished;
        let file = new_file(&target, "d");
        target.make_directory(&path("d")).unwrap();
        target.make_directory(&path("d/e")).unwrap();
        put(&target, "f", b"");
        let refusals = [
            target.new_file(&path("d")).err(),
            target.finish_file(file, &metadata(FileKind::File, 0o600)).err(),
            target.make_symlink(&path("d"), b"x", &metadata(FileKind::Symlink, 0o777)).err(),
            target.link(&path("f"), &path("d")).err(),
        ];
        for refused in refusals {
            assert!(
                matches!(&refused, Some(TargetError::DirectoryInTheWay { path: at }) if *at == path("d")),
                "{refused:?}"
            );
        }
        assert_eq!(names_in(folder.path()), ["d", "f"]);
        runtime::Files::real().remove_dir_all(&folder.path().join("d")).unwrap();
    }
}

#[test]
fn what_was_there_is_replaced_in_one_step_with_or_without_nameless_files() {
    let folder = tempfile::tempdir().unwrap();
    for unfinished in [Unfinished::Nameless, Unfinished::Named] {
        let mut target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
        target.unfinished = unfinished;
        put(&target, "f", b"old");
        let file = new_file(&target, "f");
        file.write_at(b"new", 0).unwrap();
        assert_eq!(file.temporary.is_some(), unfinished == Unfinished::Named);
        drop(new_file(&target, "f"));
        assert_eq!(bytes_of(&folder.path().join("f")), b"old");
        assert_eq!(names_in(folder.path()).len(), if unfinished == Unfinished::Named { 2 } else { 1 });
        target.finish_file(file, &metadata(FileKind::File, 0o644)).unwrap();
        assert_eq!(
            (bytes_of(&folder.path().join("f")), names_in(folder.path())),
            (b"new".to_vec(), vec!["f".to_owned()])
        );
    }
}

#[test]
fn a_file_whose_attributes_find_no_room_is_kept_and_the_attributes_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Refuse).unwrap();
    let mut wanted = metadata(FileKind::File, 0o644);
    let xattr = |number: usize| (Bytes::from(format!("user.{number}")), Bytes::from(vec![7; 65_536]));
    wanted.xattrs = (0..300).map(xattr).collect();
    let file = new_file(&target, "f");
    file.write_at(b"content", 0).unwrap();
    let warnings = target.finish_file(file, &wanted).unwrap();
    let mut list = vec![0; 65_536];
    let length = rustix::fs::listxattr(folder.path().join("f"), &mut list[..]).unwrap_or(0);
    let taken = list[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")).count();
    assert_eq!(warnings.xattrs + taken as u64, 300, "ext4 has room for none of them, XFS for all");
    assert_eq!(bytes_of(&folder.path().join("f")), b"content");
}

#[test]
fn a_path_deeper_than_path_max_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Refuse).unwrap();
    let name = "n".repeat(250);
    let mut deep = RelativePath::root();
    for _ in 0..20 {
        deep = deep.join(&types::Name::new(name.clone()).unwrap());
        target.make_directory(&deep).unwrap();
    }
    let file = deep.join(&types::Name::new("f").unwrap());
    assert!(file.as_bytes().len() > 4096);
    let handle = target.new_file(&file).unwrap();
    handle.write_at(b"deep", 0).unwrap();
    target.finish_file(handle, &metadata(FileKind::File, 0o600)).unwrap();
    let Found::Own(handle) = target.find_file(&file, &[]).unwrap() else { panic!("is not there") };
    assert_eq!(handle.read_at(0, 10).unwrap(), b"deep");
}

#[test]
fn holes_are_compared_and_copied_without_reading_them() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    let length = 1 << 40;
    let file = new_file(&target, "f");
    file.set_length(length).unwrap();
    assert!(file.is_zero(0..length).unwrap());
    let at = 1 << 39;
    file.write_at(b"in the middle", at).unwrap();
    assert!(
        !file.is_zero(0..length).unwrap() && file.is_zero(0..at).unwrap() && file.is_zero(at + 13..length).unwrap()
    );
    let copy = new_file(&target, "g");
    file.copy_to(&copy, length).unwrap();
    assert_eq!(copy.read_at(at, 13).unwrap(), b"in the middle");
    target.finish_file(copy, &metadata(FileKind::File, 0o600)).unwrap();
    assert!(std::fs::metadata(folder.path().join("g")).unwrap().blocks() < 1024);
}

#[test]
fn attributes_that_a_kept_file_had_before_go() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    let mut wanted = metadata(FileKind::File, 0o644);
    wanted.xattrs = vec![(Bytes::from_static(b"user.old"), Bytes::from_static(b"1"))];
    let warnings = target.finish_file(new_file(&target, "f"), &wanted).unwrap();
    if warnings.xattrs > 0 {
        return; // This file system has no extended attributes.
    }
    wanted.xattrs = vec![(Bytes::from_static(b"user.new"), Bytes::from_static(b"2"))];
    let Found::Own(file) = target.find_file(&path("f"), &[path("f")]).unwrap() else { panic!("not there") };
    file.finish(&wanted).unwrap();
    let mut list = [0; 256];
    let length = rustix::fs::listxattr(folder.path().join("f"), &mut list[..]).unwrap();
    assert_eq!(&list[..length], b"user.new\0");
    assert_eq!(std::fs::metadata(folder.path().join("f")).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn pipes_and_sockets_take_the_place_of_what_was_there_and_are_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    put(&target, "p", b"a file was here");
    std::fs::create_dir(folder.path().join("d")).unwrap();
    for (kind, at) in [(FileKind::Pipe, "p"), (FileKind::Socket, "s")] {
        let warnings = target.make_special(&path(at), Device::default(), &metadata(kind, 0o4642)).unwrap();
        assert_eq!(warnings.total(), 0);
        let stat = folder.path().join(at).symlink_metadata().unwrap();
        let is_kind = if kind == FileKind::Pipe { stat.file_type().is_fifo() } else { stat.file_type().is_socket() };
        assert!(is_kind, "{kind:?}");
        assert_eq!((stat.mode() & 0o7777, stat.atime(), stat.atime_nsec()), (0o4642, 5, 6));
        assert_eq!((stat.mtime(), stat.mtime_nsec()), (-77, 123_456_789));
        let refused = target.make_special(&path("d"), Device::default(), &metadata(kind, 0o600)).unwrap_err();
        assert!(matches!(refused, TargetError::DirectoryInTheWay { .. }), "{refused}");
    }
    assert_eq!(names_in(folder.path()), ["d", "p", "s"]);
}

#[test]
fn a_device_is_made_with_its_number_by_whoever_may_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Refuse).unwrap();
    let device = Device { major: 1, minor: 300 };
    for (kind, at) in [(FileKind::CharDevice, "c"), (FileKind::BlockDevice, "b")] {
        match target.make_special(&path(at), device, &metadata(kind, 0o600)) {
            Ok(_) => {
                let stat = folder.path().join(at).symlink_metadata().unwrap();
                let kinds = (stat.file_type().is_char_device(), stat.file_type().is_block_device());
                assert_eq!(kinds, (kind == FileKind::CharDevice, kind == FileKind::BlockDevice));
                assert_eq!(stat.rdev(), rustix::fs::makedev(1, 300));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
                assert!(names_in(folder.path()).is_empty());
            }
        }
    }
}
