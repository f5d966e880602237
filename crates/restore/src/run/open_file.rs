//! Files of a window: opened before their content comes, finished after it.

use std::sync::{Arc, Mutex, PoisonError};

use types::ErrorKind;

use super::Restore;
use crate::plan::{Part, PlannedFile, PlannedSymlink, Window};
use crate::{LocalFile, Opened, RestoreError, TargetError};

/// A file that is being restored.
pub(super) struct OpenFile {
    plan: Arc<PlannedFile>,
    /// `None` if it could not be opened.
    handle: Option<LocalFile>,
    /// Whether the file was there and may hold some of the content.
    is_existing: bool,
    /// Up to where content and holes are accounted for, in bytes.
    position: u64,
    bytes_written: Mutex<u64>,
    failure: Mutex<Option<String>>,
}

impl OpenFile {
    /// The file, if it is open and nothing of it has failed.
    pub(super) fn writable(&self) -> Option<&LocalFile> {
        let has_failed = self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.handle.as_ref().filter(|_| !has_failed)
    }

    /// Notes the first reason why the file cannot be restored.
    pub(super) fn fail(&self, reason: impl ToString) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| reason.to_string());
    }

    /// Notes that a piece was written.
    pub(super) fn add_written(&self, bytes: u64) {
        *self.bytes_written.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn has_written(&self) -> bool {
        *self.bytes_written.lock().unwrap_or_else(PoisonError::into_inner) > 0
    }
}

impl Restore {
    /// Makes symbolic links and opens files; takes out of the parts what is in place already.
    pub(super) fn open_window(
        &self,
        window: Window,
        mut carried: Option<OpenFile>,
    ) -> Result<(Vec<Part>, Vec<OpenFile>), RestoreError> {
        for (path, reason) in &window.failures {
            self.report().fail(path, reason);
        }
        for symlink in &window.symlinks {
            self.make_symlink(symlink)?;
        }
        let mut parts = window.parts;
        let mut files = Vec::with_capacity(parts.len());
        for part in &mut parts {
            let mut file = match carried.take().filter(|_| !part.is_first) {
                Some(file) => file,
                None => self.open_file(&part.file)?,
            };
            if let Err(error) = self.prepare(&mut file, part) {
                stop_if_full(error).map(|error| file.fail(error))?;
                part.extents.clear();
            }
            files.push(file);
        }
        Ok((parts, files))
    }

    fn make_symlink(&self, symlink: &PlannedSymlink) -> Result<(), RestoreError> {
        let Some((first, others)) = symlink.paths.split_first() else { return Ok(()) };
        self.progress.add_file();
        match self.target.make_symlink(first, &symlink.target, &symlink.metadata) {
            Ok(warnings) => {
                let mut report = self.report();
                report.symlinks += 1;
                report.warnings.add(warnings);
            }
            Err(error) => return self.note(first, error),
        }
        others.iter().try_for_each(|path| self.link(first, path))
    }

    fn link(&self, first: &crate::RelativePath, path: &crate::RelativePath) -> Result<(), RestoreError> {
        match self.target.link(first, path) {
            Ok(()) => self.report().links += 1,
            Err(error) => self.note(path, error)?,
        }
        Ok(())
    }

    fn open_file(&self, plan: &Arc<PlannedFile>) -> Result<OpenFile, RestoreError> {
        let mut file = OpenFile {
            plan: Arc::clone(plan),
            handle: None,
            is_existing: false,
            position: 0,
            bytes_written: Mutex::new(0),
            failure: Mutex::new(None),
        };
        let Some(path) = plan.paths.first() else { return Ok(file) };
        let opened = self.target.open_file(path, &plan.paths).and_then(|opened| {
            let (handle, is_existing) = match opened {
                Opened::New(handle) => (handle, false),
                Opened::Existing(handle) => (handle, true),
            };
            handle.set_length(plan.size)?;
            Ok((handle, is_existing))
        });
        match opened {
            Ok((handle, is_existing)) => (file.handle, file.is_existing) = (Some(handle), is_existing),
            Err(error) => file.fail(stop_if_full(error)?),
        }
        Ok(file)
    }

    /// Checks the extents of a part; in a file that was there makes its holes, and leaves out what is identical.
    fn prepare(&self, file: &mut OpenFile, part: &mut Part) -> Result<(), TargetError> {
        let Some(handle) = file.handle.as_ref().filter(|_| file.failure().is_none()) else {
            part.extents.clear();
            return Ok(());
        };
        let end = |offset: u64, length: u32| offset.checked_add(u64::from(length));
        let fits = |(offset, extent): &(u64, repo::ExtentRecord)| {
            end(*offset, extent.length).is_some_and(|end| end <= file.plan.size)
        };
        if !part.extents.iter().all(fits) {
            file.fail("one of its extents lies beyond its end: the tables are damaged");
            part.extents.clear();
            return Ok(());
        }
        if !file.is_existing {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(part.extents.len());
        for (offset, extent) in part.extents.drain(..) {
            if offset > file.position {
                handle.punch_hole(file.position, offset - file.position)?;
            }
            file.position = file.position.max(offset + u64::from(extent.length));
            if self.is_in_place(handle, offset, &extent)? {
                self.report().bytes_kept += u64::from(extent.length);
                self.progress.add_bytes(u64::from(extent.length));
            } else {
                wanted.push((offset, extent));
            }
        }
        part.extents = wanted;
        if part.is_last && file.position < file.plan.size {
            handle.punch_hole(file.position, file.plan.size - file.position)?;
        }
        Ok(())
    }

    /// Whether a file holds the bytes of an extent. Only whole blocks can be told by their digest.
    fn is_in_place(&self, handle: &LocalFile, offset: u64, extent: &repo::ExtentRecord) -> Result<bool, TargetError> {
        if extent.block_offset != 0 || extent.length != extent.location.plain_length {
            return Ok(false);
        }
        let bytes = handle.read_at(offset, extent.length as usize)?;
        Ok(self.keys.keyed(&block::digest(&bytes)) == extent.digest)
    }

    /// Gives complete files their metadata and names, and removes those that failed. Gives the last one if it goes on.
    pub(super) fn finish_window(
        &self,
        parts: &[Part],
        files: Arc<Vec<OpenFile>>,
    ) -> Result<Option<OpenFile>, RestoreError> {
        let files = Arc::try_unwrap(files).unwrap_or_else(|_| Vec::new());
        let mut carried = None;
        for (part, file) in parts.iter().zip(files) {
            if part.is_last {
                self.finish_file(&file)?;
            } else {
                carried = Some(file);
            }
        }
        Ok(carried)
    }

    fn finish_file(&self, file: &OpenFile) -> Result<(), RestoreError> {
        let Some((first, others)) = file.plan.paths.split_first() else { return Ok(()) };
        self.progress.add_file();
        let finished = match (file.failure(), &file.handle) {
            (None, Some(handle)) => handle.finish(&file.plan.metadata).map_err(|error| error.to_string()),
            (failure, _) => Err(failure.unwrap_or_else(|| "it was not opened".to_owned())),
        };
        match finished {
            Ok(warnings) => {
                let mut report = self.report();
                report.files += 1;
                report.files_kept += u64::from(file.is_existing && !file.has_written());
                report.warnings.add(warnings);
            }
            Err(reason) => {
                let removed = file.handle.as_ref().map_or(Ok(()), |_| self.target.remove(first));
                let mut report = self.report();
                for path in &file.plan.paths {
                    report.fail(path, &reason);
                }
                if let Err(error) = removed {
                    report.fail(first, error);
                }
                return Ok(());
            }
        }
        others.iter().try_for_each(|path| self.link(first, path))
    }
}

/// A full disk ends the restore; all else concerns one file.
fn stop_if_full(error: TargetError) -> Result<TargetError, RestoreError> {
    if error.kind() == ErrorKind::NoSpace { Err(error.into()) } else { Ok(error) }
}
