//! The log, the vote and the hint against the loss of power at any moment (laws 1 and 2, rule P6).
//!
//! A history of random commands runs on a recorded disk. Of every moment of it, and of every moment of a recovery, the
//! disk loses its power in some way; then the log is opened. What was answered before is there, in one of the states that
//! the commands made one after the other; nothing that was never written is.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use runtime::{Clock, Files, Metrics, Seed};
use testkit::power::{self, Disk, Moment, Recorder};
use tokio::sync::{mpsc, oneshot};
use types::NodeId;

use super::committed_file::CommittedFile;
use super::journal::Journal;
use super::record::{Kind, Record};
use super::store::LogFolder;
use super::tests::contents;
use super::vote_file::{VoteFile, VoteRecord};
use super::writer::{Command, Writer};
use crate::metrics::LogMetrics;
use crate::position::Position;
use crate::progress::Progress;
use crate::{Options, create};

const NODE: NodeId = NodeId(3);
/// Some pages, so that a segment is torn in its middle and there are many.
const SEGMENT_BYTES: u64 = 12 << 10;
const GROUPS: u64 = 40;
/// Of so many losses of power one comes during the recovery from another.
const SECOND_LOSSES: u64 = 6;

/// What the log should be read as, were everything written as it was ordered.
#[derive(Clone, Debug, Default)]
struct State {
    /// The last entry of a state that was installed: there is nothing before it.
    base: Option<Position>,
    entries: Vec<Record>,
    /// How far the front may be gone.
    purged: Option<Position>,
    vote: Option<VoteRecord>,
}

/// What an opened log shows.
#[derive(Debug, PartialEq)]
struct Found {
    purged: Option<Position>,
    entries: Vec<Record>,
    vote: Option<VoteRecord>,
    hint: Option<Position>,
}

impl State {
    fn last(&self) -> Option<Position> {
        self.entries.last().map(|record| record.position).or(self.base)
    }

    fn next_index(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }

    /// Whether a log may be found like this: its end must be exact, its front may reach back to what was purged.
    fn agrees(&self, found: &Found) -> bool {
        let before = |first: usize| match first.checked_sub(1) {
            Some(before) => self.entries.get(before).map(|record| record.position),
            None => self.base,
        };
        let kept = (0..=self.entries.len()).find(|first| before(*first) == found.purged);
        self.vote == found.vote
            && found.purged.map(|found| found.index) <= self.purged.map(|purged| purged.index)
            && kept.is_some_and(|first| self.entries[first..] == found.entries)
    }
}

/// The commands so far, and what they promised.
struct History {
    seed: Seed,
    term: u64,
    bodies: u64,
    committed: Option<Position>,
    hints: Vec<Option<Position>>,
    /// The states one after the other; each entry that comes or goes makes one.
    states: Vec<State>,
    /// From which moment on which of the states, or a later one, must be found.
    answered: Arc<Mutex<Vec<(Moment, usize)>>>,
    /// Who was asked for something that is answered when its group is done.
    waiting: Vec<(oneshot::Receiver<Result<(), super::LogError>>, usize)>,
}

impl History {
    fn new(seed: &Seed) -> Self {
        Self {
            seed: seed.child("commands"),
            term: 1,
            bodies: 0,
            committed: None,
            hints: vec![None],
            states: vec![State::default()],
            answered: Arc::default(),
            waiting: Vec::new(),
        }
    }

    fn state(&self) -> &State {
        self.states.last().expect("the empty log is one")
    }

    fn change(&mut self, change: impl FnOnce(&mut State)) {
        let mut state = self.state().clone();
        change(&mut state);
        self.states.push(state);
    }

    fn command(&mut self, recorder: &Arc<Recorder>) -> Command {
        match self.seed.below(20) {
            0..=11 => self.append(recorder),
            12..=13 => self.truncate(),
            14 => self.purge(),
            15 => self.install(),
            16..=17 => self.vote(),
            _ => self.hint(),
        }
    }

    fn append(&mut self, recorder: &Arc<Recorder>) -> Command {
        let count = 1 + self.seed.below(6);
        let records: Vec<_> = (0..count).map(|_| self.record()).collect();
        let (recorder, answered, reached) = (Arc::clone(recorder), Arc::clone(&self.answered), self.states.len() - 1);
        let done = move |result: Result<(), super::LogError>| {
            result.expect("the disk is fine");
            answered.lock().expect("no panic").push((recorder.now(), reached));
        };
        Command::Append { records, done: Box::new(done) }
    }

    /// The next entry; no two have the same bytes, and some are longer than a page.
    fn record(&mut self) -> Record {
        self.bodies += 1;
        let length = 8 + self.seed.below([60, 900, 6000][usize::try_from(self.bodies % 3).expect("small")]);
        let mut body = self.bodies.to_le_bytes().repeat(usize::try_from(length / 8 + 1).expect("short"));
        body.truncate(usize::try_from(length).expect("short"));
        let position = Position { term: self.term, leader: 1, index: self.state().next_index() };
        let record = Record { position, kind: Kind::Batch, body: Bytes::from(body) };
        self.change(|state| state.entries.push(record.clone()));
        record
    }

    /// Takes back entries that are not committed, as a node does whose leader has others.
    fn truncate(&mut self) -> Command {
        let first = self.state().base.map_or(0, |base| base.index + 1);
        let kept = self.committed.or(self.state().base).map_or(0, |settled| settled.index + 1) - first;
        let length = self.state().entries.len() as u64;
        let left = kept + self.seed.below(length - kept + 1);
        for _ in left..length {
            self.change(|state| drop(state.entries.pop()));
        }
        self.term += 1;
        let after = self.state().last().map(|last| last.index);
        self.answer_with_the_group(|done| Command::Truncate { after, done })
    }

    fn purge(&mut self) -> Command {
        let Some(committed) = self.committed else { return self.vote() };
        let settled =
            self.state().entries.iter().map(|record| record.position).filter(|at| at.index <= committed.index);
        let settled: Vec<_> = settled.collect();
        let Some(&upto) = settled.get(usize::try_from(self.seed.below(settled.len() as u64)).expect("small")) else {
            return self.vote();
        };
        self.change(|state| state.purged = state.purged.max(Some(upto)));
        self.answer_with_the_group(|done| Command::Purge { upto, done })
    }

    /// Purges beyond the end, as a node does that was sent the state.
    fn install(&mut self) -> Command {
        if self.seed.below(3) > 0 {
            return self.vote();
        }
        self.term += 1;
        let upto = Position { term: self.term, leader: 1, index: self.state().next_index() + 10 };
        self.committed = Some(upto);
        let vote = self.state().vote;
        self.states.push(State { base: Some(upto), entries: Vec::new(), purged: Some(upto), vote });
        self.answer_with_the_group(|done| Command::Purge { upto, done })
    }

    fn vote(&mut self) -> Command {
        self.term += 1;
        let vote = VoteRecord { term: self.term, leader: 1 + self.seed.below(3), elected: self.seed.below(2) == 0 };
        self.change(|state| state.vote = Some(vote));
        self.answer_with_the_group(|done| Command::Vote { vote, done })
    }

    fn hint(&mut self) -> Command {
        let Some(last) = self.state().last() else { return self.vote() };
        self.committed = Some(last);
        self.hints.push(Some(last));
        Command::Committed { position: last }
    }

    fn answer_with_the_group(
        &mut self,
        command: impl FnOnce(oneshot::Sender<Result<(), super::LogError>>) -> Command,
    ) -> Command {
        let (done, answer) = oneshot::channel();
        self.waiting.push((answer, self.states.len() - 1));
        command(done)
    }

    fn group_is_done(&mut self, now: Moment) {
        for (answer, reached) in self.waiting.drain(..) {
            answer.blocking_recv().expect("an answer").expect("the disk is fine");
            self.answered.lock().expect("no panic").push((now, reached));
        }
    }

    /// The states that may be found at a moment.
    fn possible(&self, moment: Moment) -> &[State] {
        let answered = self.answered.lock().expect("no panic");
        let reached = answered.iter().filter(|(at, _)| *at <= moment).map(|(_, reached)| *reached).max();
        &self.states[reached.unwrap_or(0)..]
    }

    fn check(&self, moment: Moment, found: &Found) {
        let possible = self.possible(moment);
        assert!(
            possible.iter().any(|state| state.agrees(found)),
            "found {:?} to {:?}, {:?}; the earliest that is allowed: {:?} to {:?}, {:?}",
            found.purged,
            found.last(),
            found.vote,
            possible[0].purged,
            possible[0].last(),
            possible[0].vote,
        );
        assert!(self.hints.contains(&found.hint), "{:?} was never noted", found.hint);
        let index = |position: Option<Position>| position.map(|position| position.index);
        assert!(index(found.hint) <= index(found.last()), "noted as committed, and not there: {:?}", found.hint);
    }
}

impl Found {
    fn last(&self) -> Option<Position> {
        self.entries.last().map(|record| record.position).or(self.purged)
    }
}

fn options(root: &Path) -> Options {
    let options = Options::new(NODE, "127.0.0.1:1".to_owned(), root.join("raft"), root.join("raft.marker"));
    Options { segment_bytes: SEGMENT_BYTES, ..options }
}

fn parts(root: &Path) -> LogFolder {
    LogFolder::new(&options(root).folder)
}

fn writer(files: &Files, root: &Path) -> Writer {
    let parts = parts(root);
    Writer {
        journal: Journal::open(files, &parts.segments, NODE, SEGMENT_BYTES).expect("the log opens"),
        vote: VoteFile::new(files, parts.vote, NODE),
        committed: CommittedFile::open(files, &parts.committed).expect("the hint opens").0,
        metrics: LogMetrics::new(&Metrics::new()),
        clock: Clock::real(),
        progress: Progress::default(),
        failed: None,
    }
}

/// Opens what is there; gives what it shows, and the log itself.
fn open(files: &Files, root: &Path) -> (Found, Journal) {
    let parts = parts(root);
    assert_eq!(parts.missing(files).expect("a look"), None, "the marker says that all of it is there");
    let journal = Journal::open(files, &parts.segments, NODE, SEGMENT_BYTES).expect("what is left opens");
    let vote = VoteFile::new(files, parts.vote, NODE).read().expect("what is left opens");
    let (_, hint) = CommittedFile::open(files, &parts.committed).expect("the hint opens");
    let purged = journal.table().read().purged;
    (Found { purged, entries: contents(&journal), vote, hint }, journal)
}

/// One history on a recorded disk.
fn run(seed: &Seed) -> (tempfile::TempDir, Arc<Recorder>, History) {
    let folder = power::folder();
    let recorder = Recorder::new(folder.path());
    let files = recorder.files();
    let mut history = History::new(seed);
    create(&options(folder.path()), &files).expect("an empty log");
    let mut running = writer(&files, folder.path());
    for _ in 0..GROUPS {
        let count = 1 + seed.below(6);
        let (sender, mut queue) = mpsc::channel(16);
        for _ in 0..count {
            sender.try_send(history.command(&recorder)).expect("room");
        }
        let first = queue.try_recv().expect("a command");
        running.run_group(first, &mut queue);
        history.group_is_done(recorder.now());
        if seed.below(8) == 0 {
            drop(running);
            running = writer(&files, folder.path());
        }
    }
    recorder.check_mirror().expect("the recording is true");
    (folder, recorder, history)
}

/// The power goes; the log is opened, and then the power goes again: during that, or after it has taken one more entry.
fn lose_power(disk: &Disk, history: &History, moment: Moment, seed: &Seed) {
    let left = disk.after_power_loss(seed);
    let folder = power::folder();
    let root = folder.path();
    let recorder = Recorder::lay_out(root, left).expect("laid out");
    let files = recorder.files();
    if !files.exists(&options(root).marker).expect("a look") {
        assert!(history.possible(moment).len() == history.states.len(), "something was promised without a marker");
        return;
    }
    let (found, mut journal) = open(&files, root);
    history.check(moment, &found);
    if seed.below(SECOND_LOSSES) > 0 {
        return;
    }

    let opened = recorder.now();
    let index = found.last().map_or(0, |last| last.index + 1);
    let position = Position { term: u64::MAX, leader: 1, index };
    let more = Record { position, kind: Kind::Blank, body: Bytes::new() };
    journal.append(std::slice::from_ref(&more)).expect("written");
    journal.sync().expect("synced");
    let during = Moment::FIRST.later(seed.below(recorder.moments_from(Moment::FIRST).count() as u64));
    for again in [during, opened, recorder.now()] {
        let place = power::folder();
        let left = Recorder::lay_out(place.path(), recorder.disk(again).after_power_loss(seed)).expect("laid out");
        let (mut second, _) = open(&left.files(), place.path());
        if again >= opened {
            // What an opened log has shown stays, be it that nobody was promised it.
            assert_eq!(second.purged, found.purged);
            if second.entries.last() == Some(&more) {
                second.entries.pop();
            } else {
                assert!(again < recorder.now(), "what was synced after the recovery is lost");
            }
            assert_eq!((&second.entries, second.vote), (&found.entries, found.vote));
        } else {
            history.check(moment, &second);
        }
    }
}

#[test]
fn log_and_vote_keep_what_they_promised_whatever_a_loss_of_power_leaves() {
    let root = testkit::seed();
    for round in 0..testkit::rounds(2) {
        let seed = root.child(&format!("round {round}"));
        let (_folder, recorder, history) = run(&seed);
        let mut losses = 0;
        for moment in recorder.moments_from(Moment::FIRST) {
            let disk = recorder.disk(moment);
            for loss in 0..3 {
                losses += 1;
                lose_power(&disk, &history, moment, &seed.child(&format!("{moment:?}, loss {loss}")));
            }
        }
        let last = history.state();
        println!("round {round}: {losses} losses, {} states, last entry {:?}", history.states.len(), last.last());
        assert!(losses > 500 && history.states.len() > 100, "a history that is worth its name");
    }
}
