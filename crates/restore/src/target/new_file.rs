//! A file that gets its name when it is whole.

use std::ffi::{OsStr, OsString};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{LocalFile, LocalTarget, TargetError};
use crate::{Metadata, RelativePath, Warnings};

/// Tells the temporary names of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file under a temporary name beside its own. [`NewFile::finish`] puts it in place of whatever file is there; one that
/// is dropped before is removed, so that what was there stays as it was.
#[derive(Debug)]
pub struct NewFile {
    file: Arc<LocalFile>,
    place: Place,
}

#[derive(Debug)]
struct Place {
    parent: Arc<OwnedFd>,
    /// `None` once it has its own name.
    temporary: Option<OsString>,
    path: RelativePath,
}

impl LocalTarget {
    /// Makes an empty file that is to get this path. A crash leaves a file whose name begins with `.holdfast-`.
    ///
    /// # Errors
    /// Fails if a file cannot be made there.
    pub fn new_file(&self, path: &RelativePath) -> Result<NewFile, TargetError> {
        let (parent, _) = self.parent_and_name(path)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = OsString::from(format!(".holdfast-{}-{number}", std::process::id()));
            match fs::openat(&parent, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(handle) => {
                    let file = Arc::new(LocalFile::new(handle, path.clone()));
                    return Ok(NewFile { file, place: Place { parent, temporary: Some(name), path: path.clone() } });
                }
                // What another process left when it was killed.
                Err(Errno::EXIST) => {}
                Err(source) => return Err(TargetError::Entry { path: path.clone(), action: "make file", source }),
            }
        }
    }
}

impl NewFile {
    /// The file, for a thread that outlives its writer's patience: what such a thread still writes, nobody sees.
    #[must_use]
    pub fn file(&self) -> Arc<LocalFile> {
        Arc::clone(&self.file)
    }

    /// Sets the metadata and gives the file its name; the content must be complete.
    ///
    /// # Errors
    /// Fails if the file refuses its mode or times, or a directory has the name.
    pub fn finish(mut self, metadata: &Metadata) -> Result<Warnings, TargetError> {
        let warnings = self.file.finish(metadata)?;
        self.place.take()?;
        Ok(warnings)
    }
}

impl Deref for NewFile {
    type Target = LocalFile;

    fn deref(&self) -> &LocalFile {
        &self.file
    }
}

impl Place {
    fn take(&mut self) -> Result<(), TargetError> {
        let (Some(temporary), Some((_, name))) = (&self.temporary, self.path.split()) else { return Ok(()) };
        let (parent, name) = (&*self.parent, <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        match fs::renameat(parent, temporary, parent, name) {
            Ok(()) => {
                self.temporary = None;
                Ok(())
            }
            Err(Errno::ISDIR) => Err(TargetError::DirectoryInTheWay { path: self.path.clone() }),
            Err(source) => Err(TargetError::Entry { path: self.path.clone(), action: "put in place", source }),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Whoever cannot remove it sees it by its name.
            let _ = fs::unlinkat(&*self.parent, temporary, AtFlags::empty());
        }
    }
}
