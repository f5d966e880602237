//! The disk of every moment of a program that works through `runtime::Files`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use runtime::{Change, FileOperation, Files, Watch};
use tempfile::TempDir;

use super::disk::{Disk, Number, ROOT, Taken};
use super::refusal::Refusal;

/// Enough for any test: the real disk is the one that may be full.
const CAPACITY_BYTES: u64 = 1 << 40;
const FILE_MODE: u16 = 0o600;
const FOLDER_MODE: u16 = 0o700;

/// How many changes the disk had seen. Whoever was answered before this was answered before all later changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(usize);

/// Mirrors what happens to a folder through the [`Files`] that it gives, and keeps the disk of every moment.
///
/// What others do to the folder, RocksDB among them, it does not see: for its disk that never was.
#[derive(Debug)]
pub struct Recorder {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    /// The disk before each change, and what the change was to.
    history: Vec<(Disk, PathBuf)>,
    /// The syncs that are going on, and how much had happened when they began.
    syncs: BTreeMap<PathBuf, (ThreadId, usize)>,
}

/// A folder for a disk to be recorded in or laid out: in memory, if this machine has a folder there. What is to survive is
/// in the mirror, and there is no need to wait for the syncs of a real disk.
///
/// # Panics
/// When no temporary folder is to be had.
#[must_use]
pub fn folder() -> TempDir {
    let in_memory = tempfile::tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("a temporary folder is to be had")
}

impl Moment {
    /// The moment before anything happened.
    pub const FIRST: Self = Self(0);

    /// The moment so many changes later.
    #[must_use]
    pub const fn later(self, changes: u64) -> Self {
        Self(self.0 + changes as usize)
    }
}

impl Recorder {
    /// Records what happens in a folder that is empty now.
    #[must_use]
    pub fn new(root: &Path) -> Arc<Self> {
        Self::of(root, Disk::new(CAPACITY_BYTES))
    }

    /// Lays a disk out in an empty folder, and records what happens to it there: for the second loss of power, in the
    /// middle of a recovery.
    ///
    /// # Errors
    /// The real disk's.
    pub fn lay_out(root: &Path, disk: Disk) -> io::Result<Arc<Self>> {
        write_folder(&disk, ROOT, root)?;
        Ok(Self::of(root, disk))
    }

    fn of(root: &Path, disk: Disk) -> Arc<Self> {
        let state = State { disk, history: Vec::new(), syncs: BTreeMap::new() };
        Arc::new(Self { root: root.to_owned(), state: Mutex::new(state) })
    }

    /// The way to the folder that is recorded.
    #[must_use]
    pub fn files(self: &Arc<Self>) -> Files {
        Files::watched(Arc::clone(self) as Arc<dyn Watch>)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment(self.state().history.len())
    }

    /// The disk of a moment, with what was not synced then; the disk of now if the moment is not over.
    #[must_use]
    pub fn disk(&self, moment: Moment) -> Disk {
        let state = self.state();
        state.history.get(moment.0).map_or(&state.disk, |(disk, _)| disk).clone()
    }

    /// Every moment from one on.
    pub fn moments_from(&self, first: Moment) -> impl Iterator<Item = Moment> + use<> {
        (first.0..=self.now().0).map(Moment)
    }

    /// Looks whether the folder has each file of the mirror with the same bytes. If not, something happened in a way that
    /// cannot be recorded, and no conclusion from the recording holds.
    ///
    /// # Errors
    /// The first file that differs or cannot be read.
    pub fn check_mirror(&self) -> io::Result<()> {
        let disk = self.disk(self.now());
        compare_folder(&disk, ROOT, &self.root)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch for Recorder {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        if matches!(operation, FileOperation::Sync | FileOperation::SyncFolder) {
            let mut state = self.state();
            let begun = state.history.len();
            state.syncs.insert(path.to_owned(), (std::thread::current().id(), begun));
        }
        Ok(())
    }

    fn after(&self, change: Change<'_>) {
        let Ok(path) = change.path().strip_prefix(&self.root) else { return };
        let mut state = self.state();
        if let Change::Synced(path) | Change::SyncedFolder(path) = change {
            state.check_sync(path);
        }
        let before = state.disk.clone();
        state.history.push((before, change.path().to_owned()));
        // A file that lost its name while it was open has no way to come back: what happens to it is of no concern.
        let outcome = mirror(&mut state.disk, change, path, &self.root);
        debug_assert!(matches!(outcome, Ok(()) | Err(Refusal::NotFound)), "{change:?}: {outcome:?}");
    }
}

impl State {
    /// A sync is told when it is over. What it covers is certain only if nothing happened to its file meanwhile.
    fn check_sync(&mut self, path: &Path) {
        let (thread, begun) = self.syncs.remove(path).unwrap_or((std::thread::current().id(), 0));
        let during = self.history.get(begun..).unwrap_or_default();
        let meanwhile = during.iter().any(|(_, changed)| changed == path || changed.parent() == Some(path));
        assert!(
            thread == std::thread::current().id() && !meanwhile,
            "{} was changed while it was synced: what of it is safe cannot be told",
            path.display()
        );
    }
}

fn mirror(disk: &mut Disk, change: Change<'_>, path: &Path, root: &Path) -> Result<(), Refusal> {
    match change {
        Change::MadeFolders(_) => make_folders(disk, path).map(drop),
        Change::Opened(_) => {
            let (folder, name) = place(disk, path)?;
            match disk.create(folder, name, FILE_MODE) {
                Err(Refusal::Exists) => Ok(()),
                made => made.map(drop),
            }
        }
        Change::Wrote { offset, bytes, .. } => disk.write(find(disk, path)?, offset, bytes),
        Change::Resized { length, .. } => disk.resize(find(disk, path)?, length),
        Change::Punched { offset, length, .. } => disk.punch(find(disk, path)?, offset, length),
        Change::Synced(_) | Change::SyncedFolder(_) => disk.sync(find(disk, path)?),
        Change::Renamed { to, .. } => {
            let to = to.strip_prefix(root).map_err(|_| Refusal::Invalid)?;
            let (from, to) = (place(disk, path)?, place(disk, to)?);
            disk.rename(from, to, Taken::Replace)
        }
        Change::Removed(_) => {
            let (folder, name) = place(disk, path)?;
            remove(disk, folder, name)
        }
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.iter().filter(|name| name.as_bytes() != b".")
}

fn find(disk: &Disk, path: &Path) -> Result<Number, Refusal> {
    names(path).try_fold(ROOT, |folder, name| disk.lookup(folder, name))
}

/// The folder that a path lies in, and its name there.
fn place<'p>(disk: &Disk, path: &'p Path) -> Result<(Number, &'p OsStr), Refusal> {
    let name = path.file_name().ok_or(Refusal::Invalid)?;
    Ok((find(disk, path.parent().unwrap_or(Path::new("")))?, name))
}

fn make_folders(disk: &mut Disk, path: &Path) -> Result<Number, Refusal> {
    names(path).try_fold(ROOT, |folder, name| match disk.lookup(folder, name) {
        Err(Refusal::NotFound) => disk.create_directory(folder, name, FOLDER_MODE),
        found => found,
    })
}

/// Removes a file, or a folder with all in it.
fn remove(disk: &mut Disk, folder: Number, name: &OsStr) -> Result<(), Refusal> {
    let number = disk.lookup(folder, name)?;
    if !disk.status(number)?.is_directory {
        return disk.unlink(folder, name);
    }
    for inner in disk.list(number)?.keys() {
        remove(disk, number, inner)?;
    }
    disk.remove_directory(folder, name)
}

fn write_folder(disk: &Disk, folder: Number, path: &Path) -> io::Result<()> {
    visit(disk, folder, path, &mut |disk, number, path| {
        if disk.status(number).is_ok_and(|status| status.is_directory) {
            std::fs::create_dir(path)?;
            return std::fs::set_permissions(path, std::fs::Permissions::from_mode(FOLDER_MODE.into()));
        }
        std::fs::write(path, bytes_of(disk, number)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(FILE_MODE.into()))
    })
}

fn compare_folder(disk: &Disk, folder: Number, path: &Path) -> io::Result<()> {
    visit(disk, folder, path, &mut |disk, number, path| {
        if disk.status(number).is_ok_and(|status| status.is_directory) {
            return std::fs::symlink_metadata(path).map(drop);
        }
        match std::fs::read(path)? == bytes_of(disk, number)? {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} is not what was recorded", path.display()))),
        }
    })
}

type Visit<'a> = &'a mut dyn FnMut(&Disk, Number, &Path) -> io::Result<()>;

/// Shows each file and folder below a folder with its path, folders before what is in them.
fn visit(disk: &Disk, folder: Number, path: &Path, show: Visit<'_>) -> io::Result<()> {
    for (name, number) in disk.list(folder).map_err(io::Error::other)? {
        let path = path.join(&name);
        show(disk, number, &path)?;
        if disk.status(number).is_ok_and(|status| status.is_directory) {
            visit(disk, number, &path, show)?;
        }
    }
    Ok(())
}

fn bytes_of(disk: &Disk, number: Number) -> io::Result<Vec<u8>> {
    disk.read(number, 0, u64::MAX).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use runtime::Seed;

    use super::*;

    /// A number in a file that is to be replaced without ever being lost.
    type Save = fn(&Files, &Path, u8) -> Result<(), runtime::FileError>;

    const VALUES: u8 = 4;

    /// What a writer promised that a loss of power did not keep: the value that was answered last, and what is there.
    fn broken_promises(save: Save) -> BTreeSet<(u8, Option<Vec<u8>>)> {
        let folder = folder();
        let path = folder.path().join("value");
        let recorder = Recorder::new(folder.path());
        let files = recorder.files();
        let mut answered = Vec::new();
        for value in 1..=VALUES {
            save(&files, &path, value).unwrap();
            answered.push((recorder.now(), value));
        }
        recorder.check_mirror().unwrap();
        let mut broken = BTreeSet::new();
        for moment in recorder.moments_from(Moment::FIRST) {
            let promised = answered.iter().rev().find(|(at, _)| *at <= moment).map_or(0, |(_, value)| *value);
            for seed in 0..60 {
                let left = recorder.disk(moment).after_power_loss(&Seed::fixed(seed));
                let found = find(&left, Path::new("value")).ok().map(|file| left.read(file, 0, 9000).unwrap());
                let kept = |value| found == Some(vec![value; 9000]) || (value == 0 && found.is_none());
                if !kept(promised) && !kept(promised + 1) {
                    broken.insert((promised, found));
                }
            }
        }
        broken
    }

    fn write_new(files: &Files, path: &Path, value: u8) -> Result<runtime::File, runtime::FileError> {
        let new = path.with_extension("new");
        files.remove_if_there(&new)?;
        let file = files.create(&new)?;
        file.write_all_at(0, &[value; 9000])?;
        Ok(file)
    }

    #[test]
    fn a_careful_writer_keeps_what_it_promised() {
        assert!(broken_promises(|files, path, value| files.write_atomic(path, &[value; 9000], 0o600)).is_empty());
    }

    #[test]
    fn a_writer_that_does_not_sync_the_folder_after_its_rename_is_caught() {
        let broken = broken_promises(|files, path, value| {
            write_new(files, path, value)?.sync_data()?;
            files.rename(&path.with_extension("new"), path)
        });
        assert!(broken.contains(&(1, None)), "the file is lost");
        assert!(broken.contains(&(3, Some(vec![1; 9000]))), "an older one is back");
        let torn = |bytes: &Vec<u8>| bytes.len() != 9000 || bytes.iter().any(|byte| *byte != bytes[0]);
        assert!(!broken.iter().any(|(_, found)| found.as_ref().is_some_and(torn)), "but each is whole");
    }

    #[test]
    fn a_writer_that_does_not_sync_the_file_before_its_rename_is_caught() {
        let broken = broken_promises(|files, path, value| {
            write_new(files, path, value)?;
            files.rename(&path.with_extension("new"), path)?;
            files.sync_dir(path.parent().unwrap_or(path))
        });
        assert!(broken.iter().any(|(_, found)| *found == Some(Vec::new())), "the classic: an empty file");
        assert!(broken.iter().any(|(_, found)| *found == Some(vec![0; 9000])), "and one of zeros");
    }

    #[test]
    fn a_writer_in_place_is_caught() {
        let broken = broken_promises(|files, path, value| {
            let file = files.open_write(path)?;
            file.write_all_at(0, &[value; 9000])?;
            file.sync_data()?;
            files.sync_dir(path.parent().unwrap_or(path))
        });
        let mixed = |bytes: &Vec<u8>| bytes.contains(&1) && bytes.contains(&2);
        assert!(broken.iter().any(|(_, found)| found.as_ref().is_some_and(mixed)), "torn between two values");
    }

    #[test]
    fn folders_that_were_made_survive_with_what_is_synced_in_them() {
        let root = folder();
        let recorder = Recorder::new(root.path());
        let deep = root.path().join("a/b/c");
        recorder.files().create_dirs(&deep).unwrap();
        recorder.files().write_atomic(&deep.join("file"), b"kept", 0o600).unwrap();
        for seed in 0..60 {
            let left = recorder.disk(recorder.now()).after_power_loss(&Seed::fixed(seed));
            assert!(find(&left, Path::new("a/b/c/file")).is_ok(), "seed {seed}");
        }
    }

    #[test]
    fn a_disk_is_laid_out_as_it_was_recorded() {
        let (before, after) = (folder(), folder());
        let recorder = Recorder::new(before.path());
        let files = recorder.files();
        let deep = before.path().join("a/b");
        files.create_dirs(&deep).unwrap();
        let file = files.create(&deep.join("file")).unwrap();
        file.write_all_at(5000, b"behind a hole").unwrap();
        file.write_all_at(0, &[7; 5000]).unwrap();
        file.punch_hole(0, 4096).unwrap();
        file.set_len(5006).unwrap();
        files.write_atomic(&before.path().join("gone"), b"", 0o600).unwrap();
        files.remove(&before.path().join("gone")).unwrap();
        files.rename(&before.path().join("a"), &before.path().join("z")).unwrap();
        recorder.check_mirror().unwrap();

        let again = Recorder::lay_out(after.path(), recorder.disk(recorder.now())).unwrap();
        again.check_mirror().unwrap();
        let bytes = again.files().read(&after.path().join("z/b/file")).unwrap();
        assert_eq!((bytes.len(), &bytes[..4096], &bytes[4999..]), (5006, &[0; 4096][..], &b"\x07behind"[..]));
        assert_eq!(again.files().list(after.path()).unwrap().len(), 1);
        Files::real().write_atomic(&after.path().join("z/b/file"), b"behind its back", 0o600).unwrap();
        assert!(again.check_mirror().is_err());
    }
}
