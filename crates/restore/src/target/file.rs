//! Files of the target: those that were there, and those that are being written.

use std::ffi::OsString;
use std::ops::{Deref, Range};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{self, AtFlags, SeekFrom};
use rustix::io::{self, Errno};

use super::TargetError;
use super::attributes::set_metadata;
use crate::{Metadata, RelativePath, Warnings};

/// Bytes that are compared or copied at a time.
const STEP: u64 = 1 << 20;

/// A regular file that is open.
#[derive(Debug)]
pub struct LocalFile {
    pub(super) handle: OwnedFd,
    pub(super) path: RelativePath,
}

/// A file that is being written. It gets its name when it is finished ([`super::LocalTarget::finish_file`]) and takes
/// the place of what was there at once; until then what was there stays as it is. Dropped before that, it is gone.
#[derive(Debug)]
pub struct NewFile {
    pub(super) file: Arc<LocalFile>,
    /// Where it lies meanwhile, if the file system has no files without names.
    pub(super) temporary: Option<Temporary>,
}

/// A name that is not the final one.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) parent: Arc<OwnedFd>,
    /// `None` once it is another one's.
    pub(super) name: Option<OsString>,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // What cannot be removed now is of no use, and under a name of ours.
            let _ = fs::unlinkat(&self.parent, name, AtFlags::empty());
        }
    }
}

impl Deref for NewFile {
    type Target = LocalFile;

    fn deref(&self) -> &LocalFile {
        &self.file
    }
}

impl NewFile {
    /// The file, for a thread that outlives its writer's patience: what such a thread still writes, nobody sees.
    #[must_use]
    pub fn file(&self) -> Arc<LocalFile> {
        Arc::clone(&self.file)
    }
}

impl LocalFile {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Fails if the disk is broken.
    pub fn length(&self) -> Result<u64, TargetError> {
        let stat = fs::fstat(&self.handle).map_err(|source| self.error("look at", source))?;
        Ok(u64::try_from(stat.st_size).unwrap_or_default())
    }

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// Fails if the disk is full or broken.
    pub fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> Result<(), TargetError> {
        while !bytes.is_empty() {
            let written = match io::pwrite(&self.handle, bytes, offset) {
                Ok(0) => return Err(self.error("write", Errno::IO)),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(source) => return Err(self.error("write", source)),
            };
            bytes = bytes.get(written..).unwrap_or_default();
            offset += written as u64;
        }
        Ok(())
    }

    /// Reads a range; bytes beyond the end are missing from the answer.
    ///
    /// # Errors
    /// Fails if the disk is broken.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, TargetError> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match io::pread(&self.handle, rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(source) => return Err(self.error("read", source)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Sets the length; what is added is a hole.
    ///
    /// # Errors
    /// Fails if the file cannot be that long.
    pub fn set_length(&self, length: u64) -> Result<(), TargetError> {
        fs::ftruncate(&self.handle, length).map_err(|source| self.error("set length of", source))
    }

    /// Whether a range reads as zeros. Takes as long as there is data in it, however long its holes are.
    ///
    /// # Errors
    /// Fails if the disk is broken.
    pub fn is_zero(&self, range: Range<u64>) -> Result<bool, TargetError> {
        self.steps(range, |_, bytes| Ok(bytes.iter().all(|byte| *byte == 0)))
    }

    /// Copies what is before an offset to another file, its holes as holes.
    ///
    /// # Errors
    /// Fails if the disk is full or broken.
    pub fn copy_to(&self, other: &Self, end: u64) -> Result<(), TargetError> {
        self.steps(0..end, |offset, bytes| other.write_at(&bytes, offset).map(|()| true)).map(drop)
    }

    /// Reads the data of a range piece by piece, until one is refused. Whether none was.
    fn steps(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(u64, Vec<u8>) -> Result<bool, TargetError>,
    ) -> Result<bool, TargetError> {
        let mut at = range.start;
        while let Some(data) = self.data(at..range.end)? {
            at = data.start;
            while at < data.end {
                let length = usize::try_from(STEP.min(data.end - at)).unwrap_or_default();
                let bytes = self.read_at(at, length)?;
                if bytes.is_empty() {
                    return Ok(true); // it has become shorter
                }
                let offset = at;
                at += bytes.len() as u64;
                if !take(offset, bytes)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The first data in a range; where a file system does not tell of holes, all of it.
    fn data(&self, range: Range<u64>) -> Result<Option<Range<u64>>, TargetError> {
        if range.is_empty() {
            return Ok(None);
        }
        let start = match fs::seek(&self.handle, SeekFrom::Data(range.start)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some(range)),
            Err(source) => return Err(self.error("read", source)),
        };
        if start >= range.end {
            return Ok(None);
        }
        let hole = fs::seek(&self.handle, SeekFrom::Hole(start)).map_err(|source| self.error("read", source))?;
        Ok(Some(start..hole.min(range.end)))
    }

    /// Sets owner, extended attributes, mode and times; the content must be complete.
    ///
    /// # Errors
    /// Fails if the file refuses its mode or times.
    pub fn finish(&self, metadata: &Metadata) -> Result<Warnings, TargetError> {
        set_metadata(self.handle.as_fd(), &self.path, metadata)
    }

    fn error(&self, action: &'static str, source: Errno) -> TargetError {
        TargetError::Entry { path: self.path.clone(), action, source }
    }
}
