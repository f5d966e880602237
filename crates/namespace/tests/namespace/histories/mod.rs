//! Random histories, compared with the model answer by answer, snapshot by snapshot and block by block.
//!
//! An entry of the log has several requests, so that snapshots are taken and dropped between two changes of one entry.
//! Requests come again, state time jumps, leases run out, files lose their names while they are held, snapshots are pinned, snapshots are dropped in any order, some at the same time. Each
//! history ends with the deletion of everything, after which no row is left but those that are listed here.
//!
//! A failure prints the seed: `HOLDFAST_SEED=<seed>` runs that history alone. `HOLDFAST_HISTORIES=<number>` runs so many,
//! ten times as long.

mod compare;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::mem::discriminant;

use namespace::{Family, LEASE_TICKS, Store};
use runtime::Seed;
use types::{
    BlockId, Change, FileKind, Lin, Operation, OperationError, Outcome, Removal, Request, Rewrite, SessionId,
    SnapshotId, Timestamp,
};

use crate::model::{Answer, Model, Place};
use crate::world::World;

const SEEDS: u64 = 12;
const STEPS: usize = 250;
const LONG_STEPS: usize = 10 * STEPS;
const FILE_BYTES_MAX: u64 = 60;
/// Requests of one entry.
const REQUESTS_MAX: u64 = 5;

/// The rows that are left when everything was deleted, and why.
const LEFT: [(Family, u64, &str); 8] = [
    (Family::Meta, 2, "the format, and how far the store is"),
    (Family::Inode, 1, "the root"),
    (Family::Changed, 1, "the root's last change"),
    (Family::Usage, 1, "what the owner of the root has"),
    (Family::Node, 3, "members of the cluster"),
    (Family::Name, 3, "their keys"),
    (Family::Pg, 4, "placement groups"),
    (Family::Pool, 1, "their pool"),
];

#[test]
fn random_histories_agree_with_the_model() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let long = number("HOLDFAST_HISTORIES");
    let steps = if long.is_some() { LONG_STEPS } else { STEPS };
    let seeds = match (number("HOLDFAST_SEED"), long) {
        (Some(seed), _) => vec![seed],
        (None, Some(histories)) => (0..histories).map(|_| Seed::from_os().u64()).collect(),
        (None, None) => (0..SEEDS).chain([Seed::from_os().u64()]).collect(),
    };
    let mut nameless = 0;
    for seed in seeds {
        println!("replay with HOLDFAST_SEED={seed}");
        let mut history = History::new(seed);
        (0..steps).for_each(|step| history.step(step));
        history.end();
        nameless += history.nameless;
    }
    println!("files without a name, at all comparisons: {nameless}");
    assert!(nameless > 0 || number("HOLDFAST_SEED").is_some(), "no file was held without a name");
}

/// A store and a model that are given the same requests.
struct History {
    seed: Seed,
    world: World,
    /// A second node that applies the same log, in packs of its own.
    follower: Store,
    unfollowed: Vec<namespace::Entry>,
    model: Model,
    session: SessionId,
    sequence: u64,
    block: u64,
    /// What the blocks of rewritten ranges were made of.
    rewritten: BTreeMap<BlockId, Vec<Option<Place>>>,
    /// Requests that may be sent again, the last one first.
    sent: VecDeque<Request>,
    /// How many files without a name were there at all comparisons.
    nameless: u64,
    /// Seconds on the clock of those that propose.
    clock: i64,
}

impl History {
    fn new(seed: u64) -> Self {
        let (world, session) = World::with_pool();
        let copy = world.folder.path().join("follower");
        world.store.checkpoint(&copy).unwrap();
        let model = Model::new(world.view().revision(), world.view().state_time(), session);
        Self {
            seed: Seed::fixed(seed),
            follower: Store::open(copy).unwrap(),
            unfollowed: Vec::new(),
            model,
            session,
            sequence: 0,
            block: 0,
            rewritten: BTreeMap::new(),
            sent: VecDeque::new(),
            nameless: 0,
            clock: world.next_time().seconds,
            world,
        }
    }

    /// Applies an entry of some requests and compares; now and then compares everything.
    fn step(&mut self, step: usize) {
        let requests = (0..=self.below(REQUESTS_MAX)).map(|_| self.request()).collect();
        self.apply(requests);
        if self.below(8) == 0 {
            self.pass_time();
        }
        if self.below(4) == 0 {
            self.judge_time();
        }
        if step % 10 == 9 {
            self.compare();
        }
    }

    /// Applies one entry, and compares each answer with the model's.
    fn apply(&mut self, requests: Vec<Request>) -> Vec<Answer> {
        let proposed_at = self.time_of_proposal();
        let entry = self.world.entry_at(proposed_at, requests.clone());
        self.unfollowed.push(entry.clone());
        let answers = self.world.store.apply(&[entry]).unwrap().remove(0);
        self.take_time();
        for (request, answer) in requests.iter().zip(&answers) {
            self.compare_answer(request, answer);
        }
        answers
    }

    fn compare_answer(&mut self, request: &Request, answer: &Answer) {
        if let Operation::Change(Change::DropStep { snapshot, .. }) = request.operation {
            return self.model.drop_step(snapshot, answer);
        }
        if let Operation::Change(Change::Rewrite(rewrite)) = &request.operation
            && !self.is_rewritten(rewrite, answer)
        {
            return self.model.refuse();
        }
        let expected = self.model.request(request.key, &request.operation);
        let agree = match (answer, &expected) {
            (Ok(answer), Ok(expected)) => answer == expected,
            (Err(answer), Err(expected)) => discriminant(answer) == discriminant(expected),
            _ => false,
        };
        assert!(agree, "{request:#?}\nanswers {answer:#?}\nand not {expected:#?}");
    }

    /// Whether the store did not find that a range had changed. It may find so of one that has the same bytes, if they lie
    /// in other rows; but it must of one that has others than those that the new block was made of.
    fn is_rewritten(&self, rewrite: &Rewrite, answer: &Answer) -> bool {
        let Some(inode) = self.model.head.0.get(&rewrite.lin) else { return true };
        let read = &self.rewritten[&rewrite.extents[0].extent.block];
        let start = usize::try_from(rewrite.offset).unwrap();
        let is_same = inode.bytes.get(start..start + read.len()) == Some(&read[..]);
        match answer {
            Err(OperationError::RangeChanged { .. }) => {
                assert!(self.model.revision.0 != rewrite.as_of.0 || !is_same, "{rewrite:?} is refused without reason");
                false
            }
            _ => {
                assert!(is_same || inode.kind != FileKind::File, "{rewrite:?} is done: {answer:?}");
                true
            }
        }
    }

    /// Takes state time from the store, which has tests of its own for what it makes of clocks: it never goes back, and
    /// no clock has shown a later one.
    fn take_time(&mut self) {
        let now = self.world.view().state_time();
        assert!(self.model.now <= now && now.seconds <= self.clock, "{now:?} after {:?}", self.model.now);
        self.model.now = now;
    }

    /// Counts steady time, or lets an admin take the time that the clocks show. Both are entries of their own: what comes
    /// before them in an entry would have another time than what comes after.
    fn judge_time(&mut self) {
        let far = Timestamp { seconds: self.clock + (1 << 24), nanoseconds: 0 };
        let operation = match self.below(4) {
            0 => Operation::AcceptTime { shown: far },
            _ => {
                let length_ms = u32::try_from(self.below(1 << 20)).unwrap();
                Operation::CountTime { after: self.world.view().counted_time(), length_ms }
            }
        };
        self.apply(vec![Request { key: None, operation }]);
    }

    /// The clock of a leader: it mostly goes on, now and then jumps ahead, and that of another one may be behind.
    fn time_of_proposal(&mut self) -> Timestamp {
        self.clock += match self.below(20) {
            0 => i64::try_from(self.below(1 << 20)).unwrap(),
            _ => 1,
        };
        let behind = if self.below(10) == 0 { i64::try_from(self.below(10_000)).unwrap() } else { 0 };
        Timestamp { seconds: self.clock - behind, nanoseconds: 0 }
    }

    /// Counts ticks, some of them twice, now and then so many that leases run out; opens a session in the place of one
    /// that is over.
    fn pass_time(&mut self) {
        let ticks = if self.below(4) == 0 { LEASE_TICKS + self.below(2) } else { self.below(LEASE_TICKS / 2) };
        let after = |tick| self.model.ticks + tick;
        let mut ticks: Vec<_> = (0..ticks).flat_map(|tick| vec![after(tick); 1 + self.below(2) as usize]).collect();
        ticks.push(self.below(self.model.ticks + 2));
        let mut operations: Vec<_> = ticks.into_iter().map(|after| Operation::Tick { after }).collect();
        operations.push(Operation::OpenSession { label: "after a while".into() });
        let requests = operations.into_iter().map(|operation| Request { key: None, operation }).collect();
        let answers = self.apply(requests);
        let Some(Ok(Outcome::Session(opened))) = answers.last() else { panic!("{answers:?}") };
        if self.model.has_expired(self.session) || self.below(4) == 0 {
            (self.session, self.sequence) = (*opened, 0);
        }
    }

    /// Deletes everything and looks for rows that nobody needs.
    fn end(&mut self) {
        self.compare();
        while let Some(operation) = self.next_removal() {
            let answers = self.apply(vec![Request { key: None, operation }]);
            assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        }
        loop {
            let dying: Vec<SnapshotId> = self.model.dying().collect();
            if dying.is_empty() {
                break;
            }
            let step = self.drop_step(&dying);
            self.apply(vec![step]);
        }
        self.compare();
        assert_eq!(self.model.dead_blocks(), self.model.published, "and all of them are freed");
        for node in self.world.view().nodes().unwrap() {
            let blocks = self.world.view().freed(node.id, None, usize::MAX).unwrap();
            let operation = Operation::Change(Change::AcknowledgeFreed { node: node.id, blocks });
            self.apply(vec![Request { key: None, operation }]);
        }
        self.compare();
        for (family, rows) in self.world.view().row_counts().unwrap() {
            let left = LEFT.iter().find(|(left, ..)| *left == family);
            let (expected, why) = left.map_or((0, "nothing needs any"), |&(_, rows, why)| (rows, why));
            assert_eq!(rows, expected, "rows that are left in {}: {why}", family.name());
        }
    }

    /// Something that is there: a leaf of the tree, a snapshot, an attribute of the root, and at last a session.
    fn next_removal(&self) -> Option<Operation> {
        let unread = |snapshot| self.model.reader(snapshot).is_none();
        if self.below(6) == 0
            && let Some(deletion) = self.deletion_of_a_snapshot(unread)
        {
            return Some(deletion);
        }
        let leaf = self.model.head.0.iter().find_map(|(&parent, inode)| {
            let leaf = inode.entries.iter().find(|(_, lin)| self.model.head.0[*lin].entries.is_empty())?;
            Some((parent, leaf.0.clone(), *leaf.1))
        });
        if let Some((parent, name, lin)) = leaf {
            let directory = self.model.head.0[&lin].kind == FileKind::Directory;
            let expect = if directory { Removal::Directory } else { Removal::NotDirectory };
            return Some(Operation::Change(Change::Remove { parent, name, expect }));
        }
        if let Some(name) = self.model.head.0[&Lin::ROOT].xattrs.keys().next() {
            return Some(Operation::Change(Change::RemoveXattr { lin: Lin::ROOT, name: name.clone() }));
        }
        if let Some(deletion) = self.deletion_of_a_snapshot(unread) {
            return Some(deletion);
        }
        let session =
            self.model.sessions.keys().next().copied().or_else(|| self.world.view().ended_holder().unwrap())?;
        Some(Operation::CloseSession { session })
    }

    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }
}
