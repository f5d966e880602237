//! An open file with positional reads and writes.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};

use crate::file_error::Locate;
use crate::watch::Watched;
use crate::{Change, FileError, FileOperation};

/// An open file. Clones are the same file; positions are given with each call, so that threads can share it.
///
/// Its calls block: in a task, run them through [`crate::blocking()`].
#[derive(Clone, Debug)]
pub struct File {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    inner: std::fs::File,
    path: Box<Path>,
    watched: Watched,
}

impl File {
    pub(crate) fn new(inner: std::fs::File, path: &Path, watched: Watched) -> Self {
        Self { open: Arc::new(Open { inner, path: path.into(), watched }) }
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn len(&self) -> Result<u64, FileError> {
        self.run(FileOperation::Inspect, |file| file.metadata().map(|metadata| metadata.len()))
    }

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn is_empty(&self) -> Result<bool, FileError> {
        Ok(self.len()? == 0)
    }

    /// Reads up to the buffer's length from that offset; less only at the end of the file.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileError> {
        self.run(FileOperation::Read, |file| read_up_to(file, offset, buffer))
    }

    /// Reads exactly that many bytes from that offset.
    ///
    /// # Errors
    /// The system's, with path and operation; [`FileError::is_too_short`] if the file ends before.
    pub fn read_exact_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, FileError> {
        let mut buffer = vec![0; length];
        self.run(FileOperation::Read, |file| file.read_exact_at(&mut buffer, offset))?;
        Ok(buffer)
    }

    /// Writes all bytes at that offset. They are not safe before a sync.
    ///
    /// # Errors
    /// The system's, with path and operation; part of the bytes may have been written.
    pub fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        let change = Change::Wrote { path: self.path(), offset, bytes };
        self.change(change, |file| file.write_all_at(bytes, offset))
    }

    /// Brings the bytes and the length to the medium (`fdatasync`). After an error nothing is known about what was
    /// written since the last sync, and another sync proves nothing: the file has to be opened again and checked.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn sync_data(&self) -> Result<(), FileError> {
        self.change(Change::Synced(self.path()), std::fs::File::sync_data)
    }

    /// Cuts the file or extends it by a hole.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn set_len(&self, length: u64) -> Result<(), FileError> {
        self.change(Change::Resized { path: self.path(), length }, |file| file.set_len(length))
    }

    /// Reserves disk space for that many bytes from the start, without a change of the file's length.
    ///
    /// # Errors
    /// The system's, with path and operation; [`FileError::is_no_space`] if there is no room.
    pub fn allocate(&self, length: u64) -> Result<(), FileError> {
        self.run(FileOperation::Allocate, |file| fallocate(file, FallocateFlags::KEEP_SIZE, 0, length))
    }

    /// Gives the range back to the file system; it then reads as zeros and the length stays.
    ///
    /// # Errors
    /// The system's, with path and operation.
    pub fn punch_hole(&self, offset: u64, length: u64) -> Result<(), FileError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let change = Change::Punched { path: self.path(), offset, length };
        self.change(change, |file| fallocate(file, flags, offset, length))
    }

    /// Runs what changes or syncs the file, and tells so.
    fn change<E: Into<std::io::Error>>(
        &self,
        change: Change<'_>,
        work: impl FnOnce(&std::fs::File) -> Result<(), E>,
    ) -> Result<(), FileError> {
        self.run(change.operation(), work)?;
        self.open.watched.after(change);
        Ok(())
    }

    fn run<T, E: Into<std::io::Error>>(
        &self,
        operation: FileOperation,
        work: impl FnOnce(&std::fs::File) -> Result<T, E>,
    ) -> Result<T, FileError> {
        self.open.watched.before(operation, self.path()).at(self.path(), operation)?;
        work(&self.open.inner).at(self.path(), operation)
    }
}

fn read_up_to(file: &std::fs::File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
