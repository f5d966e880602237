//! The segments as one log that grows at its end.
//!
//! After a failed write or sync it is broken: what the medium holds is not known, and a second sync would tell success
//! about pages that the kernel has dropped. A write for which the disk is too full breaks nothing: what was not synced is
//! cut off again.

use std::sync::Arc;

use runtime::{FileError, FileOperation};

use super::ActiveSegment;
use crate::BlockStoreError;
use crate::broken::Broken;
use crate::index::{Changes, Covered, Index, Row};
use crate::record::RecordHeader;
use crate::segment::{SEGMENT_HEADER_LENGTH, SegmentHeader};
use crate::segment_files::SegmentFiles;

/// The end of the log.
pub(crate) struct Log {
    segments: Arc<SegmentFiles>,
    active: ActiveSegment,
    segment_bytes: u64,
    failure: Option<Failure>,
    /// Why nothing can be written any more, for those who only want to know.
    broken: Broken,
    syncs: u64,
}

/// Why nothing was made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no room for this one.
    NoSpace { needed: u64 },
    /// Nothing can be written before the volume is opened again.
    Broken { reason: String },
}

impl Log {
    pub(crate) fn new(segments: Arc<SegmentFiles>, active: ActiveSegment, segment_bytes: u64) -> Self {
        Self { segments, active, segment_bytes, failure: None, broken: Broken::default(), syncs: 0 }
    }

    /// Where it says why nothing can be written any more, once that is so.
    pub(crate) fn broken(&self) -> Broken {
        self.broken.clone()
    }

    /// Whether nothing can be written before the volume is opened again.
    pub(crate) const fn is_broken(&self) -> bool {
        self.failure.is_some()
    }

    /// Goes on at the end of the log that was found again.
    pub(crate) fn resume(&mut self, active: ActiveSegment) {
        self.active = active;
        self.failure = None;
        self.broken.end();
    }

    /// Appends a record, in a new segment if the active one is full, and says where it is.
    pub(crate) fn append(
        &mut self,
        header: RecordHeader,
        payload: &[u8],
        changes: &mut Changes<'_>,
        index: &Index,
    ) -> Result<Row, Failure> {
        self.check()?;
        if self.is_full(header.record_length()) {
            self.roll(changes, index)?;
        }
        let appended = self.active.append(header, payload);
        let offset = appended.map_err(|error| self.fail(&error, header.record_length()))?;
        Ok(Row::of(&header, self.active.number(), offset))
    }

    /// Syncs what was appended and then makes the changes of the index; or forgets both.
    pub(crate) fn make_durable(&mut self, mut changes: Changes<'_>) -> Result<(), Failure> {
        let done = self.check().and_then(|()| self.sync()).and_then(|()| {
            let covered = changes.cover(self.covered()).and_then(|()| changes.commit());
            covered.map_err(|error| self.break_off(&error))
        });
        if let Some(Failure::NoSpace { .. }) = self.failure {
            self.recover_from_full();
        }
        done
    }

    /// How many bytes were appended and are not in the file yet, at most.
    pub(crate) const fn unwritten(&self) -> u64 {
        self.active.unwritten()
    }

    /// How often a segment was synced since this was asked last.
    pub(crate) fn take_syncs(&mut self) -> u64 {
        std::mem::take(&mut self.syncs)
    }

    fn check(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    fn is_full(&self, more: u64) -> bool {
        let length = self.active.length();
        length > SEGMENT_HEADER_LENGTH && length + more > self.segment_bytes
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if self.active.is_synced() {
            return Ok(());
        }
        self.syncs += 1;
        let needed = self.active.unwritten();
        self.active.sync().map_err(|error| self.fail(&error, needed))
    }

    /// Closes the active segment and begins the next. All of a closed segment is on the medium.
    fn roll(&mut self, changes: &mut Changes<'_>, index: &Index) -> Result<(), Failure> {
        self.sync()?;
        changes.cover(self.covered()).map_err(|error| self.break_off(&error))?;
        let (closed, length) = (self.active.number(), self.active.length());
        let id = self.segments.id(self.segments.number_behind(Some(closed)));
        let header = SegmentHeader { id, previous_length: if id.number == closed.next() { length } else { 0 } };
        let segment = self.segments.create(header).map_err(|error| self.fail(&error, SEGMENT_HEADER_LENGTH))?;
        self.active = ActiveSegment::new(segment, SEGMENT_HEADER_LENGTH);
        // What is closed need not be replayed at the next open.
        index.begin_flush().map_err(|error| self.break_off(&error))
    }

    fn covered(&self) -> Covered {
        let id = self.segments.id(self.active.number());
        Covered { volume: id.volume, segment: id.number, offset: self.active.length() }
    }

    fn fail(&mut self, error: &FileError, needed: u64) -> Failure {
        let failure = if error.is_no_space() && error.operation != FileOperation::Sync {
            Failure::NoSpace { needed }
        } else {
            Failure::Broken { reason: error.to_string() }
        };
        self.remember(failure)
    }

    fn break_off(&mut self, error: &BlockStoreError) -> Failure {
        self.remember(Failure::Broken { reason: error.to_string() })
    }

    fn remember(&mut self, failure: Failure) -> Failure {
        if let Failure::Broken { reason } = &failure {
            tracing::error!(%reason, "the volume takes no more writes");
            self.broken.begin(reason);
        }
        self.failure.insert(failure).clone()
    }

    fn recover_from_full(&mut self) {
        self.failure = None;
        if let Err(error) = self.active.cut_back() {
            self.remember(Failure::Broken { reason: error.to_string() });
        }
    }
}
