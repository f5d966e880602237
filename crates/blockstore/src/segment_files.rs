//! The segment files of a volume, a bounded number of them open.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use runtime::{File, FileError, Files};
use types::VolumeId;

use crate::index::Row;
use crate::segment::{SegmentHeader, SegmentId, SegmentNumber};
use crate::walk::Segment;

/// A process may have 1,024 files open by default, and RocksDB and sockets want theirs.
const OPEN_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct SegmentFiles {
    files: Files,
    folder: PathBuf,
    volume: VolumeId,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<SegmentNumber, File>,
    oldest_first: VecDeque<SegmentNumber>,
}

impl SegmentFiles {
    pub(crate) fn new(files: Files, folder: PathBuf, volume: VolumeId) -> Self {
        Self { files, folder, volume, open: Mutex::default() }
    }

    /// The numbers of the segments in a folder, in order.
    pub(crate) fn list(files: &Files, folder: &Path) -> Result<Vec<SegmentNumber>, FileError> {
        let entries = files.list(folder)?;
        Ok(entries.iter().filter_map(|entry| SegmentNumber::from_file_name(&entry.name)).collect())
    }

    /// Opens a segment that is there, or gives the open one.
    pub(crate) fn get(&self, number: SegmentNumber) -> Result<Segment, FileError> {
        if let Some(file) = self.locked(|open| open.files.get(&number).cloned()) {
            return Ok(self.segment(number, file));
        }
        let file = self.files.open_update(&self.path(number))?;
        self.locked(|open| open.keep(number, &file));
        Ok(self.segment(number, file))
    }

    /// Makes a segment that is on the medium, header and name, when this returns.
    pub(crate) fn create(&self, header: SegmentHeader) -> Result<Segment, FileError> {
        let path = self.path(header.id.number);
        let file = self.files.create(&path)?;
        let written = file.write_all_at(0, &header.to_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written.and_then(|()| self.files.sync_dir(&self.folder)) {
            // A segment without records is removed at the next open too.
            let _ = self.files.remove(&path);
            return Err(error);
        }
        self.locked(|open| open.keep(header.id.number, &file));
        Ok(self.segment(header.id.number, file))
    }

    /// Makes the names of all segments durable.
    pub(crate) fn sync(&self) -> Result<(), FileError> {
        self.files.sync_dir(&self.folder)
    }

    /// Removes a segment that holds no records.
    pub(crate) fn remove(&self, number: SegmentNumber) -> Result<(), FileError> {
        self.locked(|open| open.files.remove(&number));
        self.files.remove(&self.path(number))?;
        self.files.sync_dir(&self.folder)
    }

    /// Gives the space of a dead record back. If that fails, it stays in use: worth a line in the log and no more.
    pub(crate) fn give_back(&self, row: &Row) {
        let punched = self.get(row.segment).and_then(|segment| segment.punch_payload(row));
        if let Err(error) = punched {
            tracing::warn!(volume = %self.volume, %error, "the space of a dead block is not given back");
        }
    }

    pub(crate) const fn id(&self, number: SegmentNumber) -> SegmentId {
        SegmentId { volume: self.volume, number }
    }

    const fn segment(&self, number: SegmentNumber, file: File) -> Segment {
        Segment { id: self.id(number), file }
    }

    fn path(&self, number: SegmentNumber) -> PathBuf {
        self.folder.join(number.file_name())
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Open) -> T) -> T {
        work(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Open {
    fn keep(&mut self, number: SegmentNumber, file: &File) {
        if self.files.insert(number, file.clone()).is_none() {
            self.oldest_first.push_back(number);
        }
        while self.files.len() > OPEN_MAX {
            let Some(oldest) = self.oldest_first.pop_front() else { break };
            self.files.remove(&oldest);
        }
    }
}
