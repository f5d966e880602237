//! A folder that can be told from another one in its place.

use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::file_error::Locate;
use crate::watch::Watched;
use crate::{FileError, FileOperation};

/// A folder that is held open. While it is, its file system is not unmounted unless somebody forces that, and whether its
/// path still leads to it can be told.
///
/// Its calls block: in a task, run them through [`crate::blocking()`].
#[derive(Debug)]
pub struct HeldFolder {
    handle: std::fs::File,
    path: PathBuf,
    watched: Watched,
}

impl HeldFolder {
    /// A handle that neither reads nor lists needs no right but that to go there.
    pub(crate) fn open(path: &Path, watched: Watched) -> io::Result<Self> {
        let flags = (OFlags::PATH | OFlags::DIRECTORY).bits().cast_signed();
        let handle = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        Ok(Self { handle, path: path.to_owned(), watched })
    }

    /// Whether its path leads to it: no longer after a forced unmount, or below something that was mounted over it.
    ///
    /// # Errors
    /// The system's, with path and operation, if it cannot be told.
    pub fn is_in_place(&self) -> Result<bool, FileError> {
        let watched = self.watched.before(FileOperation::Inspect, &self.path);
        watched.and_then(|()| self.compare()).at(&self.path, FileOperation::Inspect)
    }

    fn compare(&self) -> io::Result<bool> {
        let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match self.path.metadata() {
            Ok(there) => Ok(identity(there) == identity(self.handle.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Files;

    #[test]
    fn a_folder_is_told_from_one_that_took_its_place() {
        let (files, parent) = (Files::real(), tempfile::tempdir().unwrap());
        let [path, elsewhere] = ["a", "b"].map(|name| parent.path().join(name));
        files.create_dirs(&path).unwrap();
        let held = files.hold_folder(&path).unwrap();
        assert!(held.is_in_place().unwrap());
        files.rename(&path, &elsewhere).unwrap();
        assert!(!held.is_in_place().unwrap(), "nothing is there");
        files.create_dirs(&path).unwrap();
        assert!(!held.is_in_place().unwrap(), "another one is there");
        files.remove_dir_all(&path).unwrap();
        files.rename(&elsewhere, &path).unwrap();
        assert!(held.is_in_place().unwrap(), "it is back");
    }

    #[test]
    fn only_a_folder_is_held() {
        let (files, parent) = (Files::real(), tempfile::tempdir().unwrap());
        let file = parent.path().join("file");
        files.write_atomic(&file, b"", 0o600).unwrap();
        assert!(files.hold_folder(&file).unwrap_err().to_string().contains(&file.display().to_string()));
        assert!(files.hold_folder(&parent.path().join("absent")).unwrap_err().is_not_found());
    }
}
