//! Units on disk while they wait.
//!
//! A plan may have more items than fit into memory, and is made faster than it is worked off. The spool is a file of
//! this process: a new owner of the job makes its own, so nothing is synced and nothing is recovered.

use std::path::Path;

use runtime::{File, FileError, Files};

use super::{PlanError, Unit};

/// Where a unit lies in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    offset: u64,
    length: usize,
}

/// A file of units. Dropping it removes the file.
#[derive(Debug)]
pub struct UnitSpool {
    files: Files,
    file: File,
    end: u64,
}

impl UnitSpool {
    /// Makes an empty spool at that path, in place of what a process before this one left there.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(files: &Files, path: &Path) -> Result<Self, FileError> {
        files.remove_if_there(path)?;
        Ok(Self { files: files.clone(), file: files.create(path)?, end: 0 })
    }

    /// Adds a unit.
    ///
    /// # Errors
    /// The disk is full or broken.
    pub fn push(&mut self, unit: &Unit) -> Result<Place, PlanError> {
        let bytes = postcard::to_stdvec(unit).expect("plain data is always serialisable into memory");
        self.file.write_all_at(self.end, &bytes)?;
        let place = Place { offset: self.end, length: bytes.len() };
        self.end += bytes.len() as u64;
        Ok(place)
    }

    /// Gives a reader that can be used while units are added.
    #[must_use]
    pub fn reader(&self) -> SpoolReader {
        SpoolReader { file: self.file.clone() }
    }
}

impl Drop for UnitSpool {
    fn drop(&mut self) {
        // What cannot be removed now is replaced by the next spool of that path.
        let _ = self.files.remove_if_there(self.file.path());
    }
}

/// Reads units of a spool.
#[derive(Clone, Debug)]
pub struct SpoolReader {
    file: File,
}

impl SpoolReader {
    /// Reads a unit.
    ///
    /// # Errors
    /// The disk is broken.
    pub fn read(&self, place: Place) -> Result<Unit, PlanError> {
        let bytes = self.file.read_exact_at(place.offset, place.length)?;
        postcard::from_bytes(&bytes).map_err(|_| PlanError::Damaged { offset: place.offset })
    }
}
