//! The segment files of a volume, a bounded number of them open.
//!
//! A segment ends in two steps: first it is recorded as gone, then its file is removed. Behind the first step nobody reads
//! it for its blocks, whether or not the file is still there.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use runtime::{File, FileError, Files};
use types::VolumeId;

use crate::BlockStoreError;
use crate::gone::Gone;
use crate::index::Row;
use crate::segment::{SegmentHeader, SegmentId, SegmentNumber};
use crate::walk::Segment;

/// A process may have 1,024 files open by default, and RocksDB and sockets want theirs.
const OPEN_MAX: usize = 256;
const FILE_MODE: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct SegmentFiles {
    files: Files,
    folder: PathBuf,
    /// The file that says which segments are gone.
    record: PathBuf,
    volume: VolumeId,
    gone: Mutex<Gone>,
    /// Held while the record of them is written.
    recording: Mutex<()>,
    open: Mutex<Open>,
    /// Whether the file system takes no holes.
    no_holes: AtomicBool,
}

#[derive(Debug, Default)]
struct Open {
    files: BTreeMap<SegmentNumber, File>,
    oldest_first: VecDeque<SegmentNumber>,
}

impl SegmentFiles {
    /// The segments of the volume in a folder.
    pub(crate) fn of(files: Files, folder: &Path, volume: VolumeId) -> Result<Self, BlockStoreError> {
        let record = folder.join("gone");
        Ok(Self {
            gone: Mutex::new(Gone::read(&files, &record, volume)?),
            files,
            folder: folder.join("segments"),
            record,
            volume,
            recording: Mutex::default(),
            open: Mutex::default(),
            no_holes: AtomicBool::new(false),
        })
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
        self.locked(|open| {
            // An open file that was removed would keep its space.
            if !self.is_gone(number) {
                open.keep(number, &file);
            }
        });
        Ok(self.segment(number, file))
    }

    /// Whether a segment is recorded as gone.
    pub(crate) fn is_gone(&self, number: SegmentNumber) -> bool {
        self.gone(|gone| gone.contains(number))
    }

    /// The number for the next segment. None is used twice: a segment that is recorded as gone stays so.
    pub(crate) fn number_behind(&self, last: Option<SegmentNumber>) -> SegmentNumber {
        self.gone(|gone| gone.last()).max(last).map_or(SegmentNumber::FIRST, SegmentNumber::next)
    }

    /// Records that a segment is gone, for good when this returns.
    pub(crate) fn record_gone(&self, number: SegmentNumber) -> Result<(), FileError> {
        let _alone = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = self.gone(|gone| gone.clone());
        gone.insert(number);
        self.files.write_atomic(&self.record, &gone.to_bytes(self.volume), FILE_MODE)?;
        self.gone(|current| *current = gone);
        self.locked(|open| open.forget(number));
        Ok(())
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

    /// Closes all files, so that the next use opens them anew: an error of a sync is told to each open file once.
    pub(crate) fn close_all(&self) {
        self.locked(|open| *open = Open::default());
    }

    /// Removes a segment that holds no records.
    pub(crate) fn remove(&self, number: SegmentNumber) -> Result<(), FileError> {
        self.locked(|open| open.forget(number));
        self.files.remove(&self.path(number))?;
        self.files.sync_dir(&self.folder)
    }

    /// Gives the space of a dead record back. If that fails, it stays in use until its segment is removed: worth a line in
    /// the log and no more.
    pub(crate) fn give_back(&self, row: &Row) {
        if self.no_holes.load(Ordering::Relaxed) || self.is_gone(row.segment) {
            return;
        }
        let punched = self.get(row.segment).and_then(|segment| segment.punch_payload(row));
        match punched {
            Err(error) if error.io_kind() == ErrorKind::Unsupported => {
                self.no_holes.store(true, Ordering::Relaxed);
                tracing::warn!(volume = %self.volume, %error, "the file system takes no holes: space comes back when segments are copied");
            }
            Err(error) => {
                tracing::warn!(volume = %self.volume, %error, "the space of a dead block is not given back yet");
            }
            Ok(()) => {}
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

    fn gone<T>(&self, work: impl FnOnce(&mut Gone) -> T) -> T {
        work(&mut self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Open) -> T) -> T {
        work(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Open {
    fn forget(&mut self, number: SegmentNumber) {
        if self.files.remove(&number).is_some() {
            self.oldest_first.retain(|other| *other != number);
        }
    }

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
