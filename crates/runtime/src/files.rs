//! Files and folders of our own data.
//!
//! A folder entry is safe only once its folder was synced: whoever creates, renames or removes a file that matters calls
//! [`Files::sync_dir`] after it. [`Files::write_atomic`] does all of it in the right order. All calls block: in a task,
//! run them through [`crate::blocking()`].

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::statvfs;

use crate::file_error::Locate;
use crate::watch::Watched;
use crate::{Change, DirectoryEntry, File, FileError, FileOperation, HeldFolder, LockError, LockGuard, Watch};

/// The mode of folders that hold our data.
const FOLDER_MODE: u32 = 0o700;
/// The mode of files that hold our data.
const FILE_MODE: u32 = 0o600;

/// The disk; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Files {
    watched: Watched,
}

/// The room of a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What we may still use.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

#[expect(clippy::disallowed_methods, reason = "this is the replacement that the bans name")]
impl Files {
    /// The machine's disks.
    #[must_use]
    pub fn real() -> Self {
        Self::default()
    }

    /// The machine's disks, each operation shown to `watch` first.
    #[must_use]
    pub fn watched(watch: Arc<dyn Watch>) -> Self {
        Self { watched: Watched(Some(watch)) }
    }

    /// Makes a folder of mode 0700 and those above it that are missing. They are there for good when this returns: what is
    /// synced into a folder whose own name is lost is lost with it.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn create_dirs(&self, path: &Path) -> Result<(), FileError> {
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && folder.symlink_metadata().is_err();
        let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
        self.change(Change::MadeFolders(path), || {
            std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)
        })?;
        missing.into_iter().rev().try_for_each(|folder| self.sync_dir(folder_of(folder)))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, FileError> {
        self.run(FileOperation::Read, path, || std::fs::read(path))
    }

    /// Replaces a file so that after a crash it has the old bytes or the new ones, and on return the new ones for good:
    /// temporary file beside it, sync, rename, sync of the folder.
    ///
    /// # Errors
    /// The system's, with path and operation; the old file is then still there.
    pub fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        let temporary = beside(path);
        let written = self.write_new(&temporary, bytes, mode).and_then(|()| self.rename(&temporary, path));
        if written.is_err() {
            // The first error is the one to report.
            let _ = self.remove(&temporary);
        }
        written?;
        self.sync_dir(folder_of(path))
    }

    fn write_new(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        // A file left by a crash may have another mode.
        self.remove_if_there(path)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        let mut file = self.change(Change::Opened(path), || options.open(path))?;
        self.change(Change::Wrote { path, offset: 0, bytes }, || file.write_all(bytes))?;
        self.change(Change::Synced(path), || file.sync_all())
    }

    /// Opens a file that is there, for reading.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn open_read(&self, path: &Path) -> Result<File, FileError> {
        self.open(path, OpenOptions::new().read(true))
    }

    /// Opens a file that is there, for reading and writing.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn open_update(&self, path: &Path) -> Result<File, FileError> {
        self.open(path, OpenOptions::new().read(true).write(true))
    }

    /// Opens a file for reading and writing; makes it, with mode 0600, if it is not there.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn open_write(&self, path: &Path) -> Result<File, FileError> {
        self.open(path, OpenOptions::new().read(true).write(true).create(true).mode(FILE_MODE))
    }

    /// Makes a file of mode 0600 that must not be there yet, and opens it for reading and writing.
    ///
    /// # Errors
    /// The system's, with path and operation; [`FileError::is_already_there`] if it is there.
    pub fn create(&self, path: &Path) -> Result<File, FileError> {
        self.open(path, OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE))
    }

    fn open(&self, path: &Path, options: &OpenOptions) -> Result<File, FileError> {
        let inner = self.change(Change::Opened(path), || options.open(path))?;
        Ok(File::new(inner, path, self.watched.clone()))
    }

    /// Renames a file or folder; replaces a file of the new name.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        self.change(Change::Renamed { from, to }, || std::fs::rename(from, to))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn remove(&self, path: &Path) -> Result<(), FileError> {
        self.change(Change::Removed(path), || std::fs::remove_file(path))
    }

    /// Removes a file unless it is not there.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn remove_if_there(&self, path: &Path) -> Result<(), FileError> {
        absent_is_fine(self.remove(path))
    }

    /// Removes a folder and all in it, unless it is not there.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn remove_dir_all(&self, path: &Path) -> Result<(), FileError> {
        absent_is_fine(self.change(Change::Removed(path), || std::fs::remove_dir_all(path)))
    }

    /// Lists a folder, sorted by name.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, FileError> {
        let mut entries: Vec<_> =
            self.run(FileOperation::List, path, || std::fs::read_dir(path)?.map(entry).collect())?;
        entries.sort_unstable();
        Ok(entries)
    }

    /// Brings a folder's entries to the medium.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn sync_dir(&self, path: &Path) -> Result<(), FileError> {
        self.change(Change::SyncedFolder(path), || std::fs::File::open(path)?.sync_all())
    }

    /// Holds a folder open, so that it can be told from another one that takes its place.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn hold_folder(&self, path: &Path) -> Result<HeldFolder, FileError> {
        self.run(FileOperation::Open, path, || HeldFolder::open(path, self.watched.clone()))
    }

    /// Whether something is at that path; a symbolic link counts as itself.
    ///
    /// # Errors
    /// The system's, with path and operation, if it cannot be told.
    pub fn exists(&self, path: &Path) -> Result<bool, FileError> {
        match self.run(FileOperation::Inspect, path, || path.symlink_metadata()) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The permission bits of a file or folder.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn mode(&self, path: &Path) -> Result<u32, FileError> {
        let metadata = self.run(FileOperation::Inspect, path, || path.symlink_metadata())?;
        Ok(metadata.permissions().mode() & 0o7777)
    }

    /// Sets the permission bits of a file or folder.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FileError> {
        let permissions = std::fs::Permissions::from_mode(mode);
        self.run(FileOperation::SetMode, path, || std::fs::set_permissions(path, permissions))
    }

    /// Locks a file for this process alone (`flock`), and makes it if it is not there. It does not wait.
    ///
    /// # Errors
    /// Another process holds it, or the system's.
    pub fn lock(&self, path: &Path) -> Result<LockGuard, LockError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = self.run(FileOperation::Lock, path, || options.open(path))?;
        self.watched.after(Change::Opened(path));
        match file.try_lock() {
            Ok(()) => Ok(LockGuard { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(LockError::Held { path: path.to_owned() }),
            Err(std::fs::TryLockError::Error(source)) => Ok(Err(source).at(path, FileOperation::Lock)?),
        }
    }

    /// The room of the file system that the path lies on.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn free_space(&self, path: &Path) -> Result<Space, FileError> {
        let found = self.run(FileOperation::FreeSpace, path, || Ok(statvfs(path)?))?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// Runs what changes or syncs something, and tells so.
    fn change<T>(&self, change: Change<'_>, work: impl FnOnce() -> io::Result<T>) -> Result<T, FileError> {
        let done = self.run(change.operation(), change.path(), work)?;
        self.watched.after(change);
        Ok(done)
    }

    fn run<T>(
        &self,
        operation: FileOperation,
        path: &Path,
        work: impl FnOnce() -> io::Result<T>,
    ) -> Result<T, FileError> {
        self.watched.before(operation, path).and_then(|()| work()).at(path, operation)
    }
}

fn entry(found: io::Result<std::fs::DirEntry>) -> io::Result<DirectoryEntry> {
    let found = found?;
    Ok(DirectoryEntry { name: found.file_name(), path: found.path(), kind: found.file_type()?.into() })
}

fn absent_is_fine(result: Result<(), FileError>) -> Result<(), FileError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

/// The temporary file that becomes `path`; always the same one, so that what a crash left is found and replaced.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[path = "files/tests.rs"]
mod tests;
