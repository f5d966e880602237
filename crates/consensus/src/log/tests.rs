//! The log against crashes, damage and a failing disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use runtime::{Clock, FileOperation, Files, Metrics, Tasks, Watch};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use types::NodeId;

use super::LogError;
use super::committed_file::CommittedFile;
use super::journal::Journal;
use super::record::{HEADER_LENGTH, Kind, Record};
use super::segment::{SEGMENT_HEADER_LENGTH, path_of};
use super::vote_file::{VoteFile, VoteRecord};
use super::writer::{Command, Writer};
use crate::metrics::LogMetrics;
use crate::position::Position;
use crate::progress::Progress;

const NODE: NodeId = NodeId(1);
const BODY: usize = 16;
const RECORD: u64 = (HEADER_LENGTH + BODY) as u64;
const HEADER: u64 = SEGMENT_HEADER_LENGTH as u64;

fn position(index: u64) -> Position {
    Position { term: 1, leader: 1, index }
}

fn record(index: u64) -> Record {
    Record { position: position(index), kind: Kind::Batch, body: Bytes::from(format!("body {index:>11}")) }
}

fn records(range: std::ops::Range<u64>) -> Vec<Record> {
    range.map(record).collect()
}

/// A log whose segments hold `per_segment` records.
struct Log {
    folder: TempDir,
    segment_bytes: u64,
}

impl Log {
    fn new(per_segment: u64) -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), segment_bytes: HEADER + per_segment * RECORD }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn create(&self) -> Journal {
        Journal::create(&Files::real(), self.path(), NODE, self.segment_bytes).expect("an empty log")
    }

    fn open(&self) -> Result<Journal, LogError> {
        Journal::open(&Files::real(), self.path(), NODE, self.segment_bytes)
    }

    fn segment(&self, number: u64) -> PathBuf {
        path_of(self.path(), number)
    }

    fn segments(&self) -> usize {
        Files::real().list(self.path()).expect("a list").len()
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        Files::real().read(&self.segment(number)).expect("the segment")
    }

    fn replace(&self, number: u64, bytes: &[u8]) {
        Files::real().write_atomic(&self.segment(number), bytes, 0o600).expect("written");
    }
}

/// All records that a log holds.
pub(super) fn contents(journal: &Journal) -> Vec<Record> {
    let table = journal.table();
    let (mut found, mut from) = (Vec::new(), table.read().first());
    let end = table.read().end();
    while from < end {
        let (span, next) = table.read().span(from, end, 1 << 20).expect("entries up to the end");
        found.extend(span.read().expect("whole records"));
        from = next;
    }
    found
}

/// Drops all entries up to one from the front.
fn purge(journal: &mut Journal, upto: Position) -> Result<(), LogError> {
    journal.detach(upto)?.iter().try_for_each(|segment| journal.remove(segment))
}

#[test]
fn entries_come_back_over_segments_and_restarts() {
    let log = Log::new(3);
    let mut journal = log.create();
    journal.append(&records(0..4)).expect("written");
    journal.append(&records(4..10)).expect("written");
    journal.sync().expect("synced");
    assert_eq!(contents(&journal), records(0..10));
    drop(journal);
    let reopened = log.open().expect("opened");
    assert_eq!(contents(&reopened), records(0..10));
    assert_eq!(reopened.table().read().last(), Some(position(9)));
    assert!(log.segments() >= 3, "several segments");
}

#[test]
fn reads_are_bounded_but_give_at_least_one_entry() {
    let log = Log::new(100);
    let mut journal = log.create();
    journal.append(&records(0..20)).expect("written");
    let table = journal.table();
    let count = |bytes| table.read().span(5, 20, bytes).map(|(span, next)| (span.read().expect("read").len(), next));
    assert_eq!(count(1), Some((1, 6)));
    assert_eq!(count(1 << 20), Some((15, 20)));
    let (some, next) = count(4 * RECORD as usize).expect("entries");
    assert!((1..=4).contains(&some) && next == 5 + some as u64, "{some} entries");
}

#[test]
fn a_gap_is_refused() {
    let mut journal = Log::new(3).create();
    journal.append(&records(5..7)).expect("an empty log may begin anywhere");
    let refused = journal.append(&records(8..9));
    assert!(matches!(refused, Err(LogError::NotConsecutive { given: 8, last: Some(6) })), "{refused:?}");
}

#[test]
fn an_unfinished_write_is_cut_at_every_byte() {
    let log = Log::new(100);
    let mut journal = log.create();
    journal.append(&records(0..2)).expect("written");
    journal.sync().expect("synced");
    journal.append(&records(2..4)).expect("written, not synced");
    drop(journal);
    let whole = log.bytes(1);
    let synced = HEADER + 2 * RECORD;
    for length in synced..=whole.len() as u64 {
        log.replace(1, &whole[..length as usize]);
        let kept = 2 + (length - synced) / RECORD;
        assert_eq!(contents(&log.open().expect("opened")), records(0..kept), "cut at {length}");
        let mut again = log.open().expect("opened again");
        again.append(&records(kept..kept + 1)).expect("goes on");
        assert_eq!(contents(&again), records(0..kept + 1));
    }
}

#[test]
fn pages_of_an_unfinished_write_may_be_missing_in_any_order() {
    let log = Log::new(100);
    let mut journal = log.create();
    journal.append(&records(0..2)).expect("written");
    journal.sync().expect("synced");
    journal.append(&records(2..5)).expect("written, not synced");
    drop(journal);
    let mut bytes = log.bytes(1);
    let hole = (HEADER + 2 * RECORD) as usize;
    bytes[hole..hole + RECORD as usize].fill(0);
    log.replace(1, &bytes);
    assert_eq!(contents(&log.open().expect("opened")), records(0..2));
}

#[test]
fn damage_in_what_was_synced_is_an_error() {
    let log = Log::new(100);
    let mut journal = log.create();
    for index in 0..3 {
        journal.append(&records(index..index + 1)).expect("written");
        journal.sync().expect("synced");
    }
    drop(journal);
    let whole = log.bytes(1);
    for damaged in 0..2 {
        let mut bytes = whole.clone();
        bytes[(HEADER + damaged * RECORD) as usize + HEADER_LENGTH] ^= 1;
        log.replace(1, &bytes);
        let offset = HEADER + damaged * RECORD;
        let refused = log.open().err();
        assert!(matches!(&refused, Some(LogError::Damaged { offset: at, .. }) if *at == offset), "{refused:?}");
    }
}

#[test]
fn damage_before_the_last_segment_is_an_error() {
    let log = Log::new(2);
    let mut journal = log.create();
    journal.append(&records(0..5)).expect("written");
    journal.sync().expect("synced");
    drop(journal);
    let whole = log.bytes(1);
    log.replace(1, &whole[..whole.len() - 1]);
    assert!(matches!(log.open(), Err(LogError::Damaged { .. })));
}

#[test]
fn the_segments_of_another_node_are_refused() {
    let log = Log::new(2);
    drop(log.create());
    let other = Journal::open(&Files::real(), log.path(), NodeId(2), 1000);
    assert!(matches!(other, Err(LogError::Foreign { what: "segment", .. })));
}

#[test]
fn a_missing_segment_is_an_error() {
    let log = Log::new(2);
    let mut journal = log.create();
    journal.append(&records(0..7)).expect("written");
    journal.sync().expect("synced");
    drop(journal);
    Files::real().remove(&log.segment(2)).expect("removed");
    let refused = log.open().err();
    assert!(matches!(refused, Some(LogError::Gap { expected: 1, .. })), "{refused:?}");
}

#[test]
fn truncating_reaches_back_over_segments() {
    for after in 0..9 {
        let log = Log::new(3);
        let mut journal = log.create();
        journal.append(&records(0..9)).expect("written");
        journal.sync().expect("synced");
        journal.truncate_after(Some(after)).expect("truncated");
        assert_eq!(contents(&journal), records(0..after + 1));
        drop(journal);
        let mut journal = log.open().expect("opened");
        assert_eq!(contents(&journal), records(0..after + 1));
        let other = Record { position: Position { term: 2, leader: 3, index: after + 1 }, ..record(after + 1) };
        journal.append(std::slice::from_ref(&other)).expect("another entry in its place");
        assert_eq!(contents(&journal).last(), Some(&other));
    }
}

#[test]
fn purging_drops_whole_segments_only() {
    let log = Log::new(3);
    let mut journal = log.create();
    journal.append(&records(0..9)).expect("written");
    journal.sync().expect("synced");
    purge(&mut journal, position(4)).expect("purged");
    assert_eq!(contents(&journal), records(5..9), "what is purged is not read");
    assert_eq!(log.segments(), 2, "the segment of entry 5 stays");
    drop(journal);
    let reopened = log.open().expect("opened");
    assert_eq!(reopened.table().read().purged, Some(position(2)), "what is there is there again");
    assert_eq!(contents(&reopened), records(3..9));
}

#[test]
fn purging_past_the_end_begins_a_new_log() {
    let log = Log::new(3);
    let mut journal = log.create();
    journal.append(&records(0..5)).expect("written");
    journal.sync().expect("synced");
    let oldest = log.bytes(1);
    purge(&mut journal, position(20)).expect("purged");
    drop(journal);
    log.replace(1, &oldest);
    let mut journal = log.open().expect("the crash left a segment over");
    assert_eq!(log.segments(), 1, "which is removed");
    assert_eq!(journal.table().read().last(), Some(position(20)));
    journal.append(&records(21..23)).expect("goes on");
    assert_eq!(contents(&journal), records(21..23));
}

/// Notes removals of files (their names), and between them the syncs of the folder.
#[derive(Default)]
struct Removals(Mutex<Vec<Option<OsString>>>);

impl Watch for Removals {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let mut seen = self.0.lock().expect("no panic");
        match operation {
            FileOperation::Remove => seen.push(path.file_name().map(OsString::from)),
            FileOperation::SyncFolder => seen.push(None),
            _ => {}
        }
        Ok(())
    }
}

/// Until the folder is synced, a crash may undo any of the removals and keep the others.
#[test]
fn a_crash_in_a_purge_leaves_no_gap_whichever_removals_it_keeps() {
    let log = Log::new(2);
    let mut journal = log.create();
    journal.append(&records(0..12)).expect("written");
    journal.sync().expect("synced");
    drop(journal);
    let before: Vec<_> = (1..=log.segments() as u64).map(|number| (number, log.bytes(number))).collect();
    let removals = Arc::new(Removals::default());
    let files = Files::watched(Arc::clone(&removals) as Arc<dyn Watch>);
    let mut journal = Journal::open(&files, log.path(), NODE, log.segment_bytes).expect("opened");
    removals.0.lock().expect("no panic").clear();
    purge(&mut journal, position(9)).expect("purged");

    let seen = removals.0.lock().expect("no panic").clone();
    assert!(seen.iter().flatten().count() >= 4, "several segments go: {seen:?}");
    for crash in 0..=seen.len() {
        let (mut gone, mut unsynced) = (BTreeSet::new(), Vec::new());
        for event in &seen[..crash] {
            match event {
                Some(name) => unsynced.push(name.clone()),
                None => gone.extend(unsynced.drain(..)),
            }
        }
        for kept in 0..1_u32 << unsynced.len() {
            let lost = (0..unsynced.len()).filter(|place| kept >> place & 1 == 1).map(|place| unsynced[place].clone());
            let gone: BTreeSet<_> = gone.iter().cloned().chain(lost).collect();
            let after = Log::new(2);
            for (number, bytes) in &before {
                if !after.segment(*number).file_name().is_some_and(|name| gone.contains(name)) {
                    after.replace(*number, bytes);
                }
            }
            let opened = after.open().unwrap_or_else(|error| panic!("after a crash without {gone:?}: {error}"));
            let first = contents(&opened).first().map_or(12, |first| first.position.index);
            assert!(first <= 10, "what is not purged is there");
            assert_eq!(contents(&opened), records(first..12));
        }
    }
}

/// Notes writes to files and their syncs.
#[derive(Default)]
struct Writes(Mutex<Vec<FileOperation>>);

impl Watch for Writes {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        if matches!(operation, FileOperation::Write | FileOperation::Sync) {
            self.0.lock().expect("no panic").push(operation);
        }
        Ok(())
    }
}

/// A process that was killed between its write and its sync leaves bytes that only the page cache may have; a sync that
/// failed leaves pages that no later sync writes.
#[test]
fn what_was_not_synced_before_a_restart_is_written_and_synced_before_it_counts() {
    let log = Log::new(100);
    let mut journal = log.create();
    journal.append(&records(0..3)).expect("written");
    journal.sync().expect("synced");
    journal.append(&records(3..5)).expect("written");
    drop(journal);
    let before = log.bytes(1);
    let writes = Arc::new(Writes::default());
    let files = Files::watched(Arc::clone(&writes) as Arc<dyn Watch>);
    let journal = Journal::open(&files, log.path(), NODE, log.segment_bytes).expect("opened");
    assert_eq!(*writes.0.lock().expect("no panic"), [FileOperation::Write, FileOperation::Sync]);
    assert_eq!(contents(&journal), records(0..5));
    assert_eq!(log.bytes(1), before, "the same bytes");
}

/// Counts the syncs of files, and fails the operation of one number.
#[derive(Default)]
struct Disk {
    syncs: AtomicU64,
    operations: AtomicU64,
    fails: Option<u64>,
}

impl Watch for Disk {
    fn before(&self, operation: FileOperation, _path: &Path) -> io::Result<()> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        if operation == FileOperation::Sync {
            self.syncs.fetch_add(1, Ordering::SeqCst);
        }
        if Some(number) == self.fails { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
    }
}

fn writer(log: &Log, files: &Files, metrics: &Metrics) -> Result<Writer, LogError> {
    Ok(Writer {
        journal: Journal::open(files, log.path(), NODE, log.segment_bytes)?,
        vote: VoteFile::new(files, log.path().join("vote"), NODE),
        committed: CommittedFile::open(files, &log.path().join("committed"))?.0,
        metrics: LogMetrics::new(metrics),
        clock: Clock::real(),
        progress: Progress::default(),
        failed: None,
    })
}

fn append(index: u64, done: &Arc<AtomicU64>) -> Command {
    let done = Arc::clone(done);
    let note = move |result: Result<(), LogError>| {
        if result.is_ok() {
            done.fetch_max(index + 1, Ordering::SeqCst);
        }
    };
    Command::Append { records: records(index..index + 1), done: Box::new(note) }
}

#[test]
fn entries_that_wait_together_share_a_sync() {
    let log = Log::new(1000);
    drop(log.create());
    let disk = Arc::new(Disk::default());
    let files = Files::watched(Arc::clone(&disk) as Arc<dyn Watch>);
    let metrics = Metrics::new();
    let writer = writer(&log, &files, &metrics).expect("a writer");
    let (sender, queue) = mpsc::channel(100);
    let done = Arc::new(AtomicU64::new(0));
    for index in 0..50 {
        sender.try_send(append(index, &done)).expect("room");
        // A hint between them, as under load: it is not worth a sync.
        sender.try_send(Command::Committed { position: position(index) }).expect("room");
    }
    drop(sender);
    let before = disk.syncs.load(Ordering::SeqCst);
    writer.run(queue);
    assert_eq!(done.load(Ordering::SeqCst), 50);
    assert_eq!(disk.syncs.load(Ordering::SeqCst) - before, 1, "one fdatasync for fifty appends");
    assert!(metrics.text().contains("holdfast_raft_log_syncs_total 1\n"), "{}", metrics.text());
    assert!(metrics.text().contains("holdfast_raft_log_entries_total 50\n"), "{}", metrics.text());
    let (_, committed) = CommittedFile::open(&files, &log.path().join("committed")).expect("opened");
    assert_eq!(committed, Some(position(49)), "the newest hint");
}

#[test]
fn a_vote_waits_for_the_entries_before_it() {
    let log = Log::new(1000);
    drop(log.create());
    let disk = Arc::new(Disk::default());
    let files = Files::watched(Arc::clone(&disk) as Arc<dyn Watch>);
    let writer = writer(&log, &files, &Metrics::new()).expect("a writer");
    let (sender, queue) = mpsc::channel(100);
    let done = Arc::new(AtomicU64::new(0));
    let (voted, vote) = oneshot::channel();
    sender.try_send(append(0, &done)).expect("room");
    let record = VoteRecord { term: 2, leader: 1, elected: false };
    sender.try_send(Command::Vote { vote: record, done: voted }).expect("room");
    sender.try_send(append(1, &done)).expect("room");
    drop(sender);
    let before = disk.syncs.load(Ordering::SeqCst);
    writer.run(queue);
    vote.blocking_recv().expect("an answer").expect("saved");
    assert_eq!(disk.syncs.load(Ordering::SeqCst) - before, 3, "entry, vote, entry");
    assert_eq!(VoteFile::new(&files, log.path().join("vote"), NODE).read().expect("read"), Some(record));
}

/// Whichever file operation fails: what was acknowledged is there after a restart, and nothing is acknowledged after
/// the failure.
#[test]
fn no_failing_operation_loses_what_was_acknowledged() {
    let mut outcomes = BTreeSet::new();
    for fails in 0..120 {
        let log = Log::new(2);
        drop(log.create());
        let files = Files::watched(Arc::new(Disk { fails: Some(fails), ..Disk::default() }));
        let Ok(writer) = writer(&log, &files, &Metrics::new()) else { continue };
        let done = Arc::new(AtomicU64::new(0));
        let (sender, queue) = mpsc::channel(100);
        for index in 0..8 {
            sender.try_send(append(index, &done)).expect("room");
            sender.try_send(Command::Committed { position: position(index) }).expect("room");
            // A vote ends the group, so that there are many syncs.
            let vote = VoteRecord { term: index, leader: 1, elected: false };
            sender.try_send(Command::Vote { vote, done: oneshot::channel().0 }).expect("room");
        }
        drop(sender);
        writer.run(queue);
        let acknowledged = done.load(Ordering::SeqCst);
        let found = contents(&log.open().expect("opened"));
        assert!(found.len() as u64 >= acknowledged, "operation {fails}: {acknowledged} acknowledged");
        assert_eq!(found, records(0..found.len() as u64), "operation {fails}");
        outcomes.insert(acknowledged);
    }
    assert!(outcomes.contains(&0) && outcomes.contains(&8) && outcomes.len() > 5, "{outcomes:?}");
}

#[test]
fn the_writer_is_a_thread_that_ends_with_its_last_sender() {
    let log = Log::new(10);
    drop(log.create());
    let tasks = Tasks::new("test");
    let writer = writer(&log, &Files::real(), &Metrics::new()).expect("a writer");
    let (sender, queue) = mpsc::channel(10);
    tasks.spawn_thread("writer", runtime::OnError::EndProcess, move || writer.run(queue)).expect("a thread");
    let done = Arc::new(AtomicU64::new(0));
    sender.blocking_send(append(0, &done)).expect("sent");
    drop(sender);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tasks.wait_idle());
    assert_eq!(done.load(Ordering::SeqCst), 1);
}
