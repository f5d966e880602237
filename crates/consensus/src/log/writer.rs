//! The thread that writes the log.
//!
//! Every write of the log and of the vote goes through one queue, in order. What waits when a write begins is written
//! with it and shares its `fdatasync`: under load a sync carries many entries, and an idle log syncs at once. After an
//! error nothing more is written until the log is opened again: what the disk then holds is unknown.

use std::time::Duration;

use runtime::Clock;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::LogError;
use super::committed_file::CommittedFile;
use super::journal::Journal;
use super::record::Record;
use super::vote_file::{VoteFile, VoteRecord};
use crate::metrics::LogMetrics;
use crate::position::Position;
use crate::progress::Progress;

/// Writes that may wait: RaftCore waits for a place then, and so does every proposal.
pub(super) const QUEUE: usize = 1024;
/// Bytes that share one sync: more would only delay the first of them.
const GROUP_BYTES: usize = 16 << 20;

/// Called once the write is durable, or has failed.
pub(super) type Done = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// One write.
pub(super) enum Command {
    Append { records: Vec<Record>, done: Done },
    Truncate { after: Option<u64>, done: oneshot::Sender<Result<(), LogError>> },
    Purge { upto: Position, done: oneshot::Sender<Result<(), LogError>> },
    Vote { vote: VoteRecord, done: oneshot::Sender<Result<(), LogError>> },
    Committed { position: Position },
}

/// What the thread owns.
pub(super) struct Writer {
    pub journal: Journal,
    pub vote: VoteFile,
    pub committed: CommittedFile,
    pub metrics: LogMetrics,
    pub clock: Clock,
    pub progress: Progress,
    pub failed: Option<String>,
}

impl Writer {
    /// Writes until all senders are gone.
    pub fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        while let Some(command) = queue.blocking_recv() {
            self.run_group(command, &mut queue);
        }
    }

    /// Writes one command and those that wait behind it. Entries share a sync until a write of another kind comes
    /// between them; the hint how far they are committed does not.
    pub fn run_group(&mut self, first: Command, queue: &mut mpsc::Receiver<Command>) {
        let mut appended = Vec::new();
        let mut committed = None;
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(command) = next.take() {
            match command {
                Command::Append { records, done } => {
                    bytes += records.iter().map(Record::length).sum::<usize>();
                    self.metrics.entries.inc_by(records.len() as u64);
                    match self.attempt(|writer| writer.journal.append(&records)) {
                        Ok(()) => appended.push(done),
                        Err(error) => done(Err(error)),
                    }
                }
                Command::Committed { position } => committed = Some(position),
                other => {
                    self.finish(&mut appended);
                    self.run_alone(other);
                }
            }
            if bytes < GROUP_BYTES {
                next = queue.try_recv().ok();
            }
        }
        self.metrics.bytes.inc_by(bytes as u64);
        self.finish(&mut appended);
        if let Some(position) = committed {
            self.note_committed(position);
        }
    }

    /// Writes the hint how far the log is committed; it is worth no sync, and only the newest of a group is written.
    fn note_committed(&mut self, position: Position) {
        if let Err(error) = self.attempt(|writer| writer.committed.write(position)) {
            error!(%error, "cannot note the committed entry");
        }
    }

    /// Syncs what was appended and tells those who wait for it.
    fn finish(&mut self, appended: &mut Vec<Done>) {
        if appended.is_empty() {
            return;
        }
        let began = self.clock.now();
        let synced = self.attempt(|writer| writer.journal.sync());
        self.metrics.synced(self.clock.now().saturating_duration_since(began));
        let reason = synced.err().map(|error| error.to_string());
        for done in appended.drain(..) {
            done(reason.clone().map_or(Ok(()), |reason| Err(LogError::Failed { reason })));
        }
    }

    fn run_alone(&mut self, command: Command) {
        match command {
            Command::Append { done, .. } => done(Err(LogError::Closed)),
            Command::Truncate { after, done } => {
                answer(done, self.attempt(|writer| writer.journal.truncate_after(after)));
            }
            Command::Purge { upto, done } => answer(done, self.purge(upto)),
            Command::Vote { vote, done } => answer(done, self.attempt(|writer| writer.vote.write(Some(vote)))),
            Command::Committed { position } => self.note_committed(position),
        }
    }

    /// Drops segments one by one: each is a write of its own, however many there are.
    fn purge(&mut self, upto: Position) -> Result<(), LogError> {
        let purged = self.attempt(|writer| writer.journal.detach(upto))?;
        purged.iter().try_for_each(|segment| self.attempt(|writer| writer.journal.remove(segment)))
    }

    /// Does one write, unless an earlier one has failed.
    fn attempt<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, LogError>) -> Result<T, LogError> {
        if let Some(reason) = &self.failed {
            return Err(LogError::Failed { reason: reason.clone() });
        }
        // Under load the queue is never empty: that the disk gets on shows in each write, not in the writer's idleness.
        self.progress.begin(self.clock.now());
        let written = write(self);
        self.progress.end();
        if let Err(error) = &written {
            self.failed = Some(error.to_string());
        }
        written
    }
}

/// The one who asked may have gone; that is not the log's concern.
fn answer(done: oneshot::Sender<Result<(), LogError>>, result: Result<(), LogError>) {
    let _ = done.send(result);
}

impl LogMetrics {
    fn synced(&self, took: Duration) {
        self.syncs.inc();
        self.sync_seconds.observe(took.as_secs_f64());
    }
}
