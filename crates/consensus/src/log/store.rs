//! The log as openraft uses it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use openraft::storage::{RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, RaftTypeConfig};
use runtime::{Clock, Files, OnError, Tasks, blocking};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use types::NodeId;

use super::LogError;
use super::committed_file::CommittedFile;
use super::entry::{from_record, to_record};
use super::journal::{Journal, SharedTable, numbers_in};
use super::tail::Tail;
use super::vote_file::{VoteFile, VoteRecord};
use super::writer::{Command, QUEUE, Writer};
use crate::metrics::LogMetrics;
use crate::position::Position;
use crate::progress::Progress;
use crate::raft_types::{Entry, Group, IoFlushed, LeaderId, LogId, LogState, Vote};

/// Bytes that are read at once: one message of replication, or one step of applying.
const CHUNK_BYTES: usize = 8 << 20;

/// Where the parts of a log lie.
#[derive(Clone, Debug)]
pub(crate) struct LogFolder {
    pub segments: PathBuf,
    pub vote: PathBuf,
    pub committed: PathBuf,
}

/// The log; clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    tail: RwLock<Tail>,
    table: SharedTable,
    vote: RwLock<Option<Vote>>,
    committed: RwLock<Option<Position>>,
    writer: mpsc::Sender<Command>,
    progress: Progress,
}

/// What a log is opened with.
pub(crate) struct LogOptions {
    pub node: NodeId,
    pub segment_bytes: u64,
    pub files: Files,
    pub clock: Clock,
    pub tasks: Tasks,
    pub metrics: LogMetrics,
}

impl LogFolder {
    /// The parts of the log in a folder.
    pub fn new(folder: &Path) -> Self {
        Self { segments: folder.join("log"), vote: folder.join("vote"), committed: folder.join("committed") }
    }

    /// Makes an empty log. Blocks.
    pub fn create(&self, files: &Files, node: NodeId, segment_bytes: u64) -> Result<(), LogError> {
        Journal::create(files, &self.segments, node, segment_bytes)?;
        VoteFile::new(files, self.vote.clone(), node).write(None)
    }

    /// The first part that is missing. Blocks.
    pub fn missing(&self, files: &Files) -> Result<Option<&Path>, LogError> {
        if !files.exists(&self.segments)? || numbers_in(files, &self.segments)?.is_empty() {
            return Ok(Some(&self.segments));
        }
        Ok((!files.exists(&self.vote)?).then_some(&self.vote))
    }
}

impl LogStore {
    /// Opens a log that is there and starts its writer. Blocks: every record is checked.
    pub fn open(folder: &LogFolder, options: LogOptions) -> Result<Self, LogError> {
        let LogOptions { node, segment_bytes, files, clock, tasks, metrics } = options;
        let journal = Journal::open(&files, &folder.segments, node, segment_bytes)?;
        let vote_file = VoteFile::new(&files, folder.vote.clone(), node);
        let vote = vote_file.read()?.map(Vote::from);
        let (committed_file, committed) = CommittedFile::open(&files, &folder.committed)?;
        let table = journal.table();
        let (first, last, purged) = {
            let table = table.read();
            (table.first(), table.last(), table.purged)
        };
        let (writer, queue) = mpsc::channel(QUEUE);
        let progress = Progress::default();
        let shared_progress = progress.clone();
        let thread =
            Writer { journal, vote: vote_file, committed: committed_file, metrics, clock, progress, failed: None };
        tasks
            .spawn_thread("log-writer", OnError::EndProcess, move || thread.run(queue))
            .map_err(|_| LogError::Closed)?;
        let shared = Shared {
            tail: RwLock::new(Tail::new(first, last, purged)),
            table,
            vote: RwLock::new(vote),
            committed: RwLock::new(committed),
            writer,
            progress: shared_progress,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The last entry that was dropped from the front.
    pub fn purged(&self) -> Option<Position> {
        self.tail().purged
    }

    /// The last entry, also one that was dropped from the front.
    pub fn last(&self) -> Option<Position> {
        let tail = self.tail();
        tail.last.max(tail.purged)
    }

    /// The last entry that is known to be committed. It was synced to this log before it was noted.
    pub fn committed(&self) -> Option<Position> {
        *self.shared.committed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the disk has been at what it does for the log now.
    pub fn write_lasts(&self, now: Instant) -> Duration {
        self.shared.progress.lasts(now)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.shared.table.read().bytes()
    }

    /// The number of the last entry with at least so many bytes of log behind it.
    pub fn index_with_bytes_behind(&self, bytes: u64) -> Option<u64> {
        self.shared.table.read().index_with_bytes_behind(bytes)
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.shared.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.shared.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn vote(&self) -> Option<Vote> {
        *self.shared.vote.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first entries of a range, at most about `CHUNK_BYTES` but at least one; none if the log holds none of it.
    async fn chunk(&self, from: u64, until: u64) -> Result<Vec<Entry>, LogError> {
        loop {
            let (from, until, purged) = {
                let tail = self.tail();
                let (from, until) = (from.max(tail.first()), until.min(tail.end()));
                if from >= until {
                    return Ok(Vec::new());
                }
                if from >= tail.first_cached() {
                    return Ok(tail.range(from, until, CHUNK_BYTES));
                }
                (from, until.min(tail.first_cached()), tail.purged)
            };
            let truncations = self.shared.table.read().truncations;
            let read = self.read_disk(from, until).await;
            // Bytes that were truncated or purged while they were read say nothing: look again what is there.
            let stale = self.shared.table.read().truncations != truncations || self.tail().purged != purged;
            match read {
                Err(_) if stale => {}
                other => return other,
            }
        }
    }

    async fn read_disk(&self, from: u64, until: u64) -> Result<Vec<Entry>, LogError> {
        let found = self.shared.table.read().span(from, until, CHUNK_BYTES);
        let Some((span, _)) = found else { return Err(LogError::Missing { index: from }) };
        let path = span.file.path().to_owned();
        let records = blocking(move || span.read()).await?;
        let entries: Option<Vec<_>> = records.into_iter().map(from_record).collect();
        entries.ok_or(LogError::Foreign { path, what: "membership" })
    }

    async fn write(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), LogError>>) -> Command,
    ) -> Result<(), LogError> {
        let (done, written) = oneshot::channel();
        self.shared.writer.send(command(done)).await.map_err(|_| LogError::Closed)?;
        written.await.map_err(|_| LogError::Closed)?
    }
}

impl RaftLogReader<Group> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (mut from, until) = bounds(&range);
        let mut entries = Vec::new();
        loop {
            let chunk = self.chunk(from, until).await?;
            let Some(last) = chunk.last() else { return Ok(entries) };
            from = last.log_id.index + 1;
            entries.extend(chunk);
        }
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.chunk(start, end).await?)
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, until) = bounds(&range);
        let chunks = stream::try_unfold((self.clone(), from), move |(store, from)| async move {
            let chunk = store.chunk(from, until).await.map_err(io::Error::from)?;
            let next = chunk.last().map(|last| last.log_id.index + 1);
            Ok::<_, io::Error>(next.map(|next| (chunk, (store, next))))
        });
        chunks.flat_map(|chunk| match chunk {
            Ok(entries) => stream::iter(entries.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.vote())
    }
}

impl RaftLogStorage<Group> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState, io::Error> {
        let tail = self.tail();
        Ok(LogState { last_purged_log_id: tail.purged.map(LogId::from), last_log_id: tail.last.map(LogId::from) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let record = VoteRecord::from(*vote);
        self.write(|done| Command::Vote { vote: record, done }).await?;
        *self.shared.vote.write().unwrap_or_else(PoisonError::into_inner) = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(committed) = committed else { return Ok(()) };
        let position = Position::from(committed);
        *self.shared.committed.write().unwrap_or_else(PoisonError::into_inner) = Some(position);
        let command = Command::Committed { position };
        Ok(self.shared.writer.send(command).await.map_err(|_| LogError::Closed)?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        // A state that was installed may end behind the log, until that is purged up to it.
        Ok(self.committed().min(self.tail().last).map(LogId::from))
    }

    async fn append<I>(&mut self, entries: I, callback: IoFlushed) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = <Group as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let records = entries.iter().map(to_record).collect();
        let written = self.shared.table.read().end();
        self.tail_mut().append(&entries, written);
        let done = Box::new(move |result: Result<(), LogError>| callback.io_completed(result.map_err(io::Error::from)));
        Ok(self.shared.writer.send(Command::Append { records, done }).await.map_err(|_| LogError::Closed)?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let after = last.map(|last| last.index);
        {
            let mut tail = self.tail_mut();
            if after.is_some_and(|after| after + 1 >= tail.end()) {
                return Ok(());
            }
            tail.truncate_after(last.map(Position::from));
        }
        Ok(self.write(|done| Command::Truncate { after, done }).await?)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let upto = Position::from(upto);
        self.tail_mut().purge(upto);
        Ok(self.write(|done| Command::Purge { upto, done }).await?)
    }
}

impl From<Vote> for VoteRecord {
    fn from(vote: Vote) -> Self {
        Self { term: vote.leader_id.term, leader: vote.leader_id.node_id, elected: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(vote: VoteRecord) -> Self {
        Self { leader_id: LeaderId { term: vote.term, node_id: vote.leader }, committed: vote.elected }
    }
}

/// The first number of a range, and the one after its last.
fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&from) => from,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let until = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&until) => until,
        Bound::Unbounded => u64::MAX,
    };
    (from, until)
}
