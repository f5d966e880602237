//! The segments as their only writer sees them.
//!
//! **Order of durable steps.** A segment is made whole (header, sync, rename, sync of the folder) before it is written
//! to, and synced before the next is made: so only the last one can end in an unfinished write. Purging past the end
//! makes the new segment first and then removes the old ones; truncating removes the newest first, purging the oldest,
//! and the folder is synced after each. A crash in between leaves a log without gaps, or one whose front is told apart
//! as left over by [`Journal::open`].

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use runtime::Files;
use tracing::info;
use types::NodeId;

use super::LogError;
use super::record::{BODY_LENGTH_MAX, Record};
use super::segment::{Origin, Segment, Tail, number_of, path_of};
use super::table::Table;
use crate::position::Position;

/// The writing side of the log.
pub(super) struct Journal {
    files: Files,
    folder: PathBuf,
    node: NodeId,
    segment_bytes: u64,
    table: SharedTable,
    buffer: Vec<u8>,
}

/// The table, under a lock that is never held during I/O by readers.
#[derive(Clone, Debug)]
pub(super) struct SharedTable(Arc<RwLock<Table>>);

impl SharedTable {
    pub fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Makes an empty log in an empty folder.
    pub fn create(files: &Files, folder: &Path, node: NodeId, segment_bytes: u64) -> Result<Self, LogError> {
        files.create_dirs(folder)?;
        let segment = Segment::create(files, folder, 1, node, (None, Origin::Continues))?;
        Ok(Self::new(files, folder, node, segment_bytes, VecDeque::from([segment])))
    }

    /// Opens a log, cuts an unfinished write off its end and removes what an unfinished purge left at its front.
    pub fn open(files: &Files, folder: &Path, node: NodeId, segment_bytes: u64) -> Result<Self, LogError> {
        let mut numbers = numbers_in(files, folder)?;
        let newest = numbers.pop_back().ok_or(LogError::Foreign { path: folder.into(), what: "folder" })?;
        let open = |number, tail| Segment::open(files, &path_of(folder, number), number, node, tail);
        let mut segments = VecDeque::from([open(newest, Tail::MayBeCut)?]);
        while segments.front().is_some_and(|oldest| oldest.origin == Origin::Continues) {
            let Some(number) = numbers.pop_back() else { break };
            let older = open(number, Tail::IsWhole)?;
            let newer = segments.front().expect("the newest is there");
            if older.last.or(older.previous) != newer.previous {
                let expected = older.last.map_or(0, |last| last.index);
                return Err(LogError::Gap { path: newer.file.path().into(), expected });
            }
            segments.push_front(older);
        }
        for number in numbers {
            info!(segment = number, "remove a segment that an unfinished purge left");
            files.remove(&path_of(folder, number))?;
        }
        files.sync_dir(folder)?;
        Ok(Self::new(files, folder, node, segment_bytes, segments))
    }

    fn new(files: &Files, folder: &Path, node: NodeId, segment_bytes: u64, segments: VecDeque<Segment>) -> Self {
        let purged = segments.front().and_then(|first| first.previous);
        let table = SharedTable(Arc::new(RwLock::new(Table { segments, purged, truncations: 0 })));
        Self { files: files.clone(), folder: folder.to_owned(), node, segment_bytes, table, buffer: Vec::new() }
    }

    /// What the readers see.
    pub fn table(&self) -> SharedTable {
        self.table.clone()
    }

    /// Writes records. They are readable then, and durable after the next [`Journal::sync`].
    pub fn append(&mut self, records: &[Record]) -> Result<(), LogError> {
        let mut rest = records;
        while !rest.is_empty() {
            if self.table.read().segments.back().is_some_and(|active| active.end >= self.segment_bytes) {
                self.roll()?;
            }
            rest = self.append_to_active(rest)?;
        }
        Ok(())
    }

    /// Writes as many records as the active segment takes; gives those that are left.
    fn append_to_active<'a>(&mut self, records: &'a [Record]) -> Result<&'a [Record], LogError> {
        self.buffer.clear();
        let (file, start, synced) = {
            let table = self.table.read();
            let active = table.segments.back().expect("a log has at least one segment");
            (active.file.clone(), active.end, active.synced)
        };
        let durable = u32::try_from(synced).expect("segments are shorter than 4 GiB");
        let mut taken = 0;
        for record in records {
            if taken > 0 && start + self.buffer.len() as u64 >= self.segment_bytes {
                break;
            }
            if record.body.len() > BODY_LENGTH_MAX {
                return Err(LogError::TooLarge { index: record.position.index, bytes: record.body.len() });
            }
            record.encode(durable, &mut self.buffer);
            taken += 1;
        }
        let (now, later) = records.split_at(taken);
        self.check_consecutive(now)?;
        file.write_all_at(start, &self.buffer)?;
        let mut table = self.table.write();
        for record in now {
            table.active().note(record.position, record.length());
        }
        Ok(later)
    }

    fn check_consecutive(&self, records: &[Record]) -> Result<(), LogError> {
        let mut last = self.table.read().last().map(|last| last.index);
        for record in records {
            let given = record.position.index;
            if last.is_some_and(|last| given != last + 1) {
                return Err(LogError::NotConsecutive { given, last });
            }
            last = Some(given);
        }
        Ok(())
    }

    /// Makes everything that was written durable.
    pub fn sync(&mut self) -> Result<(), LogError> {
        let (file, end) = {
            let table = self.table.read();
            let active = table.segments.back().expect("a log has at least one segment");
            (active.file.clone(), active.end)
        };
        file.sync_data()?;
        self.table.write().active().synced = end;
        Ok(())
    }

    /// Closes the active segment and makes the next.
    fn roll(&mut self) -> Result<(), LogError> {
        self.sync()?;
        let previous = self.table.read().last();
        self.add_segment((previous, Origin::Continues))
    }

    fn add_segment(&mut self, beginning: (Option<Position>, Origin)) -> Result<(), LogError> {
        let number = self.table.read().segments.back().map_or(1, |active| active.number + 1);
        let segment = Segment::create(&self.files, &self.folder, number, self.node, beginning)?;
        self.table.write().segments.push_back(segment);
        Ok(())
    }

    /// Drops all entries after one, or all, durably.
    pub fn truncate_after(&mut self, index: Option<u64>) -> Result<(), LogError> {
        let keep =
            |segment: &Segment| index.is_some_and(|index| segment.first_index().is_some_and(|first| first <= index));
        let mut table = self.table.write();
        table.truncations += 1;
        while table.segments.len() > 1 && table.segments.back().is_some_and(|newest| !keep(newest)) {
            let newest = table.segments.pop_back().expect("there are more than one");
            self.files.remove(newest.file.path())?;
            self.files.sync_dir(&self.folder)?;
        }
        table.active().truncate_after(&self.files, index)
    }

    /// Takes what lies wholly before an entry out of the log, which may end before it. The segments are to be removed,
    /// in their order.
    pub fn detach(&mut self, upto: Position) -> Result<Vec<Segment>, LogError> {
        if self.table.read().last().is_none_or(|last| last.index <= upto.index) {
            self.add_segment((Some(upto), Origin::Anew))?;
        }
        let mut gone = Vec::new();
        let mut table = self.table.write();
        table.purged = table.purged.max(Some(upto));
        while table.segments.len() > 1 && table.segments.front().is_some_and(|oldest| is_before(oldest, upto)) {
            gone.extend(table.segments.pop_front());
        }
        Ok(gone)
    }

    /// Removes a segment that was taken out of the log, durably: a crash may keep any removal that the folder was not
    /// synced after, and must not keep that of a later segment alone.
    pub fn remove(&self, segment: &Segment) -> Result<(), LogError> {
        self.files.remove(segment.file.path())?;
        Ok(self.files.sync_dir(&self.folder)?)
    }
}

/// Whether a segment that is not the active one holds nothing after an entry.
fn is_before(segment: &Segment, upto: Position) -> bool {
    segment.last.or(segment.previous).is_none_or(|last| last.index <= upto.index)
}

/// The numbers of the segments in a folder, in order.
pub(super) fn numbers_in(files: &Files, folder: &Path) -> Result<VecDeque<u64>, LogError> {
    let entries = files.list(folder)?;
    Ok(entries.iter().filter_map(|entry| number_of(entry.name.to_str()?)).collect())
}
