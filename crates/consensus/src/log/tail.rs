//! The end of the log in memory: what is not written yet, and what was written last.

use std::collections::VecDeque;

use openraft::entry::RaftEntry;

use crate::position::Position;
use crate::raft_types::{Entry, EntryPayload};

/// Bytes of written entries that are kept: enough for followers that keep up, and for applying.
const CACHE_BYTES: usize = 32 << 20;

/// The end of the log in memory, and where the log begins and ends for its readers.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The last entries of the log, without a gap.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// The place of the last entry, or of the last purged one.
    pub last: Option<Position>,
    /// The last entry that was dropped from the front.
    pub purged: Option<Position>,
    /// The number of the first entry that the log holds, or will hold.
    first: u64,
}

impl Tail {
    pub fn new(first: u64, last: Option<Position>, purged: Option<Position>) -> Self {
        Self { first, last, purged, ..Self::default() }
    }

    /// The number after the last entry.
    pub fn end(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }

    /// The number of the first entry in memory.
    pub fn first_cached(&self) -> u64 {
        self.end() - self.entries.len() as u64
    }

    /// The number of the first entry that the log holds, or will hold.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Takes in new entries; forgets old ones that are written: those below `written`.
    pub fn append(&mut self, entries: &[Entry], written: u64) {
        if let Some(entry) = entries.first().filter(|_| self.end() <= self.first) {
            self.first = entry.index();
        }
        for entry in entries {
            self.bytes += weight(entry);
            self.last = Some(entry.log_id().into());
            self.entries.push_back(entry.clone());
        }
        while self.bytes > CACHE_BYTES && self.first_cached() < written {
            self.pop_front();
        }
    }

    /// The entries of a range that lies in memory, at most about `bytes_max` but at least one.
    pub fn range(&self, from: u64, until: u64, bytes_max: usize) -> Vec<Entry> {
        let skipped = usize::try_from(from.saturating_sub(self.first_cached())).unwrap_or(usize::MAX);
        let count = usize::try_from(until.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let within = |entry: &&Entry| {
            let first = bytes == 0;
            bytes += weight(entry);
            first || bytes <= bytes_max
        };
        self.entries.iter().skip(skipped).take(count).take_while(within).cloned().collect()
    }

    /// Forgets the entries after one, or all.
    pub fn truncate_after(&mut self, last: Option<Position>) {
        let keep = last.map_or(0, |last| last.index + 1);
        while self.entries.back().is_some_and(|entry| entry.index() >= keep) {
            self.bytes -= self.entries.pop_back().as_ref().map_or(0, weight);
        }
        self.last = last.max(self.purged);
    }

    /// Forgets the entries up to one.
    pub fn purge(&mut self, upto: Position) {
        while self.entries.front().is_some_and(|entry| entry.index() <= upto.index) {
            self.pop_front();
        }
        self.purged = self.purged.max(Some(upto));
        self.first = self.first.max(upto.index + 1);
        if self.end() <= upto.index {
            self.last = Some(upto);
        }
    }

    fn pop_front(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, weight);
    }
}

/// About how much memory an entry takes.
fn weight(entry: &Entry) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len(),
        EntryPayload::Blank => 0,
        EntryPayload::Membership(membership) => 64 * membership.nodes().count(),
    };
    payload + size_of::<Entry>()
}
