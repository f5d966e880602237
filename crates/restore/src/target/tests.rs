//! The target against a real file system.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use bytes::Bytes;
use types::{FileKind, Timestamp};

use super::{Existing, LocalFile, LocalTarget, Opened, TargetError};
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

fn new_file(target: &LocalTarget, at: &str) -> LocalFile {
    match target.open_file(&path(at), &[path(at)]).unwrap() {
        Opened::New(file) => file,
        Opened::Existing(_) => panic!("{at} was there"),
    }
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
    file.finish(&metadata(FileKind::File, 0o4440)).unwrap();
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
    new_file(&target, "f");
    assert!(matches!(LocalTarget::open(&out, Existing::Refuse), Err(TargetError::NotEmpty { .. })));
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    assert!(matches!(target.open_file(&path("f"), &[path("f")]).unwrap(), Opened::Existing(_)));
}

#[test]
fn no_symbolic_link_in_the_target_leads_a_write_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (out, outside) = (folder.path().join("out"), folder.path().join("outside"));
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, out.join("d")).unwrap();
    symlink(outside.join("f"), out.join("f")).unwrap();

    assert!(matches!(target.open_file(&path("d/f"), &[]), Err(TargetError::Entry { .. })));
    target.make_directory(&path("d")).unwrap();
    new_file(&target, "d/f").write_at(b"inside", 0).unwrap();
    new_file(&target, "f").write_at(b"inside", 0).unwrap();

    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(bytes_of(&out.join("d/f")), b"inside");
    assert_eq!(bytes_of(&out.join("f")), b"inside");
}

#[test]
fn a_file_that_shares_its_content_with_a_name_elsewhere_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let target = LocalTarget::open(&out, Existing::Overwrite).unwrap();
    new_file(&target, "f").write_at(b"old", 0).unwrap();
    std::fs::hard_link(out.join("f"), folder.path().join("elsewhere")).unwrap();

    let names = [path("f"), path("g")];
    let Opened::New(file) = target.open_file(&path("f"), &names).unwrap() else { panic!("kept") };
    file.write_at(b"new", 0).unwrap();
    target.link(&path("f"), &path("g")).unwrap();
    assert_eq!(bytes_of(&folder.path().join("elsewhere")), b"old");
    assert!(matches!(target.open_file(&path("f"), &names).unwrap(), Opened::Existing(_)), "both names are its own");
}

#[test]
fn a_directory_in_the_way_of_a_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    target.make_directory(&path("d")).unwrap();
    let refused = target.open_file(&path("d"), &[path("d")]);
    assert!(matches!(refused, Err(TargetError::DirectoryInTheWay { path: at }) if at == path("d")));
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
    let Opened::New(handle) = target.open_file(&file, &[]).unwrap() else { panic!("was there") };
    handle.write_at(b"deep", 0).unwrap();
    assert_eq!(handle.read_at(0, 10).unwrap(), b"deep");
}

#[test]
fn a_punched_hole_reads_as_zeros_and_foreign_attributes_go() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    let file = new_file(&target, "f");
    file.write_at(&[7; 10_000], 0).unwrap();
    file.punch_hole(100, 9000).unwrap();
    assert_eq!(file.read_at(99, 3).unwrap(), [7, 0, 0]);
    let mut wanted = metadata(FileKind::File, 0o644);
    wanted.xattrs = vec![(Bytes::from_static(b"user.old"), Bytes::from_static(b"1"))];
    let warnings = file.finish(&wanted).unwrap();
    if warnings.xattrs > 0 {
        return; // This file system has no extended attributes.
    }
    wanted.xattrs = vec![(Bytes::from_static(b"user.new"), Bytes::from_static(b"2"))];
    let Opened::Existing(file) = target.open_file(&path("f"), &[path("f")]).unwrap() else { panic!("not kept") };
    file.finish(&wanted).unwrap();
    let mut list = [0; 256];
    let length = rustix::fs::listxattr(folder.path().join("f"), &mut list[..]).unwrap();
    assert_eq!(&list[..length], b"user.new\0");
    assert_eq!(std::fs::metadata(folder.path().join("f")).unwrap().permissions().mode() & 0o7777, 0o644);
}

#[test]
fn a_new_file_takes_its_name_only_when_it_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let target = LocalTarget::open(folder.path(), Existing::Overwrite).unwrap();
    new_file(&target, "f").write_at(b"old", 0).unwrap();

    let given_up = target.new_file(&path("f")).unwrap();
    given_up.write_at(b"half of the n", 0).unwrap();
    drop(given_up);
    assert_eq!(bytes_of(&folder.path().join("f")), b"old");

    let whole = target.new_file(&path("f")).unwrap();
    whole.write_at(b"new", 0).unwrap();
    assert_eq!(bytes_of(&folder.path().join("f")), b"old");
    whole.finish(&metadata(FileKind::File, 0o640)).unwrap();
    assert_eq!(bytes_of(&folder.path().join("f")), b"new");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["f"], "nothing temporary is left");

    target.make_directory(&path("d")).unwrap();
    let in_the_way = target.new_file(&path("d")).unwrap().finish(&metadata(FileKind::File, 0o640));
    assert!(matches!(in_the_way, Err(TargetError::DirectoryInTheWay { .. })));
}
