use std::sync::Mutex;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder is to be had")
}

/// Remembers the operations, and fails those of one kind.
struct Recorder {
    seen: Mutex<Vec<FileOperation>>,
    failing: Option<FileOperation>,
}

impl Recorder {
    fn failing(failing: Option<FileOperation>) -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), failing })
    }
}

impl Watch for Recorder {
    fn before(&self, operation: FileOperation, _: &Path) -> io::Result<()> {
        self.seen.lock().unwrap().push(operation);
        if self.failing == Some(operation) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

#[test]
fn an_atomic_write_syncs_the_file_before_the_rename_and_the_folder_after() {
    let folder = folder();
    let recorder = Recorder::failing(None);
    Files::watched(recorder.clone()).write_atomic(&folder.path().join("a"), b"new", 0o600).unwrap();
    let seen = recorder.seen.lock().unwrap().clone();
    use FileOperation::{Open, Remove, Rename, Sync, SyncFolder, Write};
    assert_eq!(seen, [Remove, Open, Write, Sync, Rename, SyncFolder]);
}

#[test]
fn an_atomic_write_that_fails_leaves_the_old_bytes_and_no_temporary_file() {
    let folder = folder();
    let path = folder.path().join("a");
    Files::real().write_atomic(&path, b"old", 0o600).unwrap();
    for failing in [FileOperation::Write, FileOperation::Sync, FileOperation::Rename] {
        let files = Files::watched(Recorder::failing(Some(failing)));
        let error = files.write_atomic(&path, b"new", 0o600).unwrap_err();
        assert!(error.is_no_space() && error.operation == failing);
        assert_eq!(Files::real().read(&path).unwrap(), b"old");
        assert_eq!(Files::real().list(folder.path()).unwrap().len(), 1);
    }
}

#[test]
fn an_atomic_write_replaces_what_a_crash_left_and_its_mode() {
    let folder = folder();
    let path = folder.path().join("key");
    let files = Files::real();
    files.write_atomic(&folder.path().join("key.new"), b"left", 0o644).unwrap();
    files.write_atomic(&path, b"secret", 0o600).unwrap();
    assert_eq!(files.mode(&path).unwrap(), 0o600);
    assert_eq!(files.read(&path).unwrap(), b"secret");
}

#[test]
fn errors_name_path_and_operation() {
    let error = Files::real().read(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(error.is_not_found());
    assert!(error.to_string().starts_with("cannot read /nowhere/at/all: "), "{error}");
}

#[test]
fn a_lock_is_held_once_and_free_after_the_drop() {
    let folder = folder();
    let path = folder.path().join("lock");
    let files = Files::real();
    let held = files.lock(&path).unwrap();
    assert!(matches!(files.lock(&path), Err(LockError::Held { .. })));
    drop(held);
    drop(files.lock(&path).unwrap());
}

#[test]
fn a_file_is_read_and_written_by_position() {
    let folder = folder();
    let file = Files::real().create(&folder.path().join("a")).unwrap();
    file.write_all_at(4, b"late").unwrap();
    file.write_all_at(0, b"soon").unwrap();
    file.sync_data().unwrap();
    assert_eq!(file.read_exact_at(2, 4).unwrap(), b"onla");
    let mut buffer = [0; 16];
    assert_eq!(file.read_at(6, &mut buffer).unwrap(), 2);
    assert!(file.read_exact_at(6, 3).unwrap_err().is_too_short());
    file.set_len(4).unwrap();
    assert_eq!(file.len().unwrap(), 4);
}

#[test]
fn a_punched_hole_reads_as_zeros_and_the_length_stays() {
    let folder = folder();
    let file = Files::real().open_write(&folder.path().join("a")).unwrap();
    file.write_all_at(0, &[7; 3 * 4096]).unwrap();
    file.punch_hole(4096, 4096).unwrap();
    assert_eq!(file.read_exact_at(4096, 4096).unwrap(), [0; 4096]);
    assert_eq!(file.len().unwrap(), 3 * 4096);
}

#[test]
fn allocated_space_does_not_change_the_length() {
    let folder = folder();
    let file = Files::real().create(&folder.path().join("a")).unwrap();
    file.allocate(1 << 20).unwrap();
    assert!(file.is_empty().unwrap());
}

#[test]
fn what_exists_must_not_be_created_and_what_is_absent_may_be_removed() {
    let folder = folder();
    let files = Files::real();
    let deep = folder.path().join("b/c");
    files.create_dirs(&deep).unwrap();
    assert_eq!(files.mode(&deep).unwrap(), 0o700);
    drop(files.create(&deep.join("file")).unwrap());
    assert!(files.create(&deep.join("file")).unwrap_err().is_already_there());
    assert!(files.open_update(&deep.join("other")).unwrap_err().is_not_found());
    files.remove_dir_all(&folder.path().join("b")).unwrap();
    assert!(!files.exists(&deep).unwrap());
    files.remove_dir_all(&deep).unwrap();
    files.remove_if_there(&deep.join("file")).unwrap();
}

#[test]
fn a_listing_is_sorted_and_tells_kinds() {
    let folder = folder();
    let files = Files::real();
    files.create_dirs(&folder.path().join("b")).unwrap();
    drop(files.create(&folder.path().join("a")).unwrap());
    std::os::unix::fs::symlink("a", folder.path().join("c")).unwrap();
    let kinds: Vec<_> = files.list(folder.path()).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    let expected =
        [("a", crate::EntryKind::File), ("b", crate::EntryKind::Directory), ("c", crate::EntryKind::Symlink)];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.into(), kind)));
}

#[test]
fn there_is_no_more_free_space_than_space() {
    let space = Files::real().free_space(folder().path()).unwrap();
    assert!(space.free > 0 && space.free <= space.total);
}
