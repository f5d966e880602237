//! Copies on holders that nobody publishes: what is judged an orphan may go, and nothing else ever does.

use std::collections::{BTreeMap, BTreeSet};

use namespace::{LEASE_TICKS, View};
use runtime::Seed;
use types::{
    BlockId, Change, Content, Create, FileKind, Lin, NewExtent, NewInode, NodeId, Operation, Outcome, SeatSet,
    SessionId, SnapshotState,
};

use crate::world::{World, extent, name, new_inode};

const SEEDS: u64 = 12;
const STEPS: usize = 400;

#[test]
fn a_block_is_an_orphan_once_its_session_or_its_mark_has_passed_it_unpublished() {
    let (mut world, session) = World::with_pool();
    let block = |sequence| BlockId { session, sequence };
    let blocks = [1, 2, 3].map(block);
    let before = world.view();
    let file = world.file(Lin::ROOT, "file");
    world.write(file, Content::Extents(vec![extent(session, 2, 0, 10)])).unwrap();
    assert!(world.view().orphaned_blocks(&blocks).unwrap().is_empty(), "all may still be published");
    world.run(Operation::RaiseBlockMark { session, mark: 3 }).unwrap();
    assert_eq!(world.view().orphaned_blocks(&blocks).unwrap(), [block(1)]);
    world.tick(LEASE_TICKS + 1);
    assert_eq!(world.view().orphaned_blocks(&blocks).unwrap(), [block(1), block(3)], "the lease has run out");
    world.run(Operation::CloseSession { session }).unwrap();
    assert_eq!(world.view().orphaned_blocks(&blocks).unwrap(), [block(1), block(3)]);
    world.snapshot("snapshot");
    world.remove(Lin::ROOT, "file").unwrap();
    assert_eq!(world.view().orphaned_blocks(&blocks).unwrap(), [block(1), block(3)], "a snapshot uses the second");
    assert!(before.orphaned_blocks(&blocks).unwrap().is_empty(), "an old view judges as of its time");
}

#[test]
fn a_session_that_a_view_has_not_heard_of_yet_is_not_over() {
    let mut world = World::new();
    let before = world.view();
    let session = world.open_session();
    let block = BlockId { session, sequence: 1 };
    assert!(before.orphaned_blocks(&[block]).unwrap().is_empty());
    world.run(Operation::CloseSession { session }).unwrap();
    assert_eq!(world.view().orphaned_blocks(&[block]).unwrap(), [block]);
    assert!(before.orphaned_blocks(&[block]).unwrap().is_empty());
}

#[test]
fn collecting_never_takes_a_copy_that_something_reads_and_in_the_end_takes_all_others() {
    let seeds = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).chain([Seed::from_os().u64()]).collect(),
    };
    for seed in seeds {
        println!("HOLDFAST_SEED={seed}");
        let mut holders = Holders::new(seed);
        for _ in 0..STEPS {
            holders.step();
            holders.assert_readable();
        }
        holders.end();
    }
}

/// A state machine, and the copies that its three holders have.
struct Holders {
    seed: Seed,
    world: World,
    nodes: Vec<NodeId>,
    held: BTreeMap<NodeId, BTreeSet<BlockId>>,
    /// Which holders acknowledged each block.
    acknowledged: BTreeMap<BlockId, BTreeSet<NodeId>>,
    /// What slow collectors look at.
    views: Vec<View>,
    sessions: Vec<SessionId>,
    blocks: u64,
}

impl Holders {
    fn new(seed: u64) -> Self {
        let (world, session) = World::with_pool();
        let nodes: Vec<_> = world.view().nodes().unwrap().into_iter().map(|node| node.id).collect();
        Self {
            seed: Seed::fixed(seed),
            held: nodes.iter().map(|&node| (node, BTreeSet::new())).collect(),
            views: vec![world.view()],
            world,
            nodes,
            acknowledged: BTreeMap::new(),
            sessions: vec![session],
            blocks: 0,
        }
    }

    fn step(&mut self) {
        match self.below(24) {
            0..=5 => self.put(),
            6..=10 => self.publish(),
            11 | 12 => drop(self.world.remove(Lin::ROOT, &self.file())),
            13 => drop(self.world.change(Change::CreateSnapshot { name: format!("s{}", self.below(3)) })),
            14 => self.drop_snapshot(),
            15 => {
                let (session, mark) = (self.session(), self.below(self.blocks + 1));
                drop(self.world.run(Operation::RaiseBlockMark { session, mark }));
            }
            16 => drop(self.world.run(Operation::CloseSession { session: self.session() })),
            17 => {
                let opened = self.world.open_session();
                self.sessions.push(opened);
            }
            18 => self.world.tick([1, 7, LEASE_TICKS, LEASE_TICKS + 1][self.seed.below(4) as usize]),
            19 => self.reclaim(),
            20 => self.views.push(self.world.view()),
            _ => self.collect(),
        }
    }

    /// A block comes to some holders, or one that came before comes late to another.
    fn put(&mut self) {
        if self.below(4) == 0 && !self.acknowledged.is_empty() {
            let place = self.below(self.acknowledged.len() as u64) as usize;
            let block = *self.acknowledged.keys().nth(place).unwrap();
            let node = self.node();
            self.held.get_mut(&node).unwrap().insert(block);
            return;
        }
        self.blocks += 1;
        let block = BlockId { session: self.session(), sequence: self.blocks };
        let missing = self.node();
        let to: BTreeSet<_> =
            self.nodes.iter().copied().filter(|&node| node != missing || self.below(2) == 0).collect();
        for node in &to {
            self.held.get_mut(node).unwrap().insert(block);
        }
        self.acknowledged.insert(block, to);
    }

    /// Makes a file of some of the last blocks, or writes over one; whether it is refused is none of our business.
    fn publish(&mut self) {
        let last: Vec<BlockId> = self.acknowledged.keys().rev().take(8).copied().collect();
        if last.is_empty() {
            return;
        }
        let block = last[self.below(last.len() as u64) as usize];
        let new = self.extent(block, self.below(3) * 10);
        let change = match self.world.view().lookup(Lin::ROOT, &name(&self.file())) {
            Ok(entry) if self.below(2) == 0 => {
                Change::Write { lin: entry.lin, content: Content::Extents(vec![new]), mtime: None }
            }
            _ => {
                let inode = NewInode { content: Content::Extents(vec![new]), size: 100, ..new_inode(FileKind::File) };
                let (parent, name) = (Lin::ROOT, name(&self.file()));
                Change::Create(Create { parent, name, inode, replace: true })
            }
        };
        drop(self.world.change(change));
    }

    fn extent(&self, block: BlockId, offset: u64) -> NewExtent {
        let mut new = extent(block.session, block.sequence, offset, 15);
        let pg = self.world.view().placement_group(new.extent.pg).unwrap();
        let seats = pg.seats.iter().enumerate().filter(|(_, seat)| self.acknowledged[&block].contains(&seat.node));
        new.acknowledged = seats.fold(SeatSet::default(), |seats, (index, _)| seats.with(index));
        new
    }

    fn drop_snapshot(&mut self) {
        let snapshots = self.world.view().snapshots().unwrap();
        if let Some(snapshot) = snapshots.first() {
            drop(self.world.change(Change::DeleteSnapshot { snapshot: snapshot.id }));
            let rows_max = 1 + u32::try_from(self.below(5)).unwrap();
            drop(self.world.change(Change::DropStep { snapshot: snapshot.id, rows_max }));
        }
    }

    /// A holder removes what was freed.
    fn reclaim(&mut self) {
        let node = self.node();
        let blocks = self.world.view().freed(node, None, 10).unwrap();
        let held = self.held.get_mut(&node).unwrap();
        held.retain(|block| !blocks.contains(block));
        self.world.change(Change::AcknowledgeFreed { node, blocks }).unwrap();
    }

    /// A holder removes what it finds to be orphans, in a state that may be old.
    fn collect(&mut self) {
        self.views.push(self.world.view());
        let view = self.views.swap_remove(self.below(self.views.len() as u64) as usize);
        let node = self.node();
        let held = self.held.get_mut(&node).unwrap();
        let blocks: Vec<_> = held.iter().copied().collect();
        for orphan in view.orphaned_blocks(&blocks).unwrap() {
            held.remove(&orphan);
        }
    }

    /// Every block that the head or a snapshot reads is on all holders that acknowledged it.
    fn assert_readable(&self) {
        let view = self.world.view();
        let live = |snapshot: &types::Snapshot| snapshot.state == SnapshotState::Live;
        let snapshots = view.snapshots().unwrap().into_iter().filter(live);
        let moments = snapshots.map(|snapshot| view.at(snapshot.id).unwrap()).chain([view.clone()]);
        for moment in moments {
            for entry in moment.read_directory(Lin::ROOT, None, usize::MAX).unwrap() {
                for published in moment.extents(entry.lin, 0, usize::MAX).unwrap() {
                    let block = published.extent.block;
                    for node in &self.acknowledged[&block] {
                        assert!(self.held[node].contains(&block), "node {node} has lost block {block}");
                    }
                }
            }
        }
    }

    /// When nothing is left that could use a block, nothing is left of any.
    fn end(&mut self) {
        for session in self.sessions.clone() {
            self.world.run(Operation::CloseSession { session }).unwrap();
        }
        let files = self.world.view().read_directory(Lin::ROOT, None, usize::MAX).unwrap();
        for file in files {
            self.world.remove(Lin::ROOT, &file.name.to_string()).unwrap();
        }
        for snapshot in self.world.view().snapshots().unwrap() {
            self.world.change(Change::DeleteSnapshot { snapshot: snapshot.id }).unwrap();
            let step = Change::DropStep { snapshot: snapshot.id, rows_max: 10_000 };
            while self.world.change(step.clone()) != Ok(Outcome::Remaining(0)) {}
        }
        self.world.check();
        let view = self.world.view();
        for (node, held) in &self.held {
            let blocks: Vec<_> = held.iter().copied().collect();
            assert_eq!(view.orphaned_blocks(&blocks).unwrap(), blocks, "node {node} would keep the others for ever");
        }
    }

    fn session(&self) -> SessionId {
        self.sessions[self.below(self.sessions.len() as u64) as usize]
    }

    fn node(&self) -> NodeId {
        self.nodes[self.below(self.nodes.len() as u64) as usize]
    }

    fn file(&self) -> String {
        format!("f{}", self.below(4))
    }

    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }
}
