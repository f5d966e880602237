//! Random histories, compared with the model answer by answer and tree by tree.
//!
//! Few names and few LINs, so that operations meet. A failure prints the seed; `HOLDFAST_SEED=<seed>` runs it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use bytes::Bytes;
use namespace::{ChangeFlags, Family, LEASE_TICKS, Sought, Store, StoredContent, View};
use runtime::Seed;
use types::{
    AttributeChanges, BlockId, CLONE_ALIGNMENT, Change, Clearing, CloneRange, Content, Create, Device, Extent,
    FileKind, Lin, Name, NewExtent, NewInode, NodeId, Operation, Outcome, PgId, PgVersion, Removal, Rename, RenameMode,
    Request, RequestKey, SeatSet, Seek, SessionId, SnapshotId, SnapshotState, Timestamp, XattrMode,
};

use crate::model::{Answer, Inode, Model, Tree};
use crate::world::{World, name};

const SEEDS: u64 = 12;
const STEPS: usize = 250;
const FILE_BYTES_MAX: u64 = 60;

#[test]
fn random_histories_agree_with_the_model() {
    let seeds = match std::env::var("HOLDFAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).chain([Seed::from_os().u64()]).collect(),
    };
    for seed in seeds {
        println!("HOLDFAST_SEED={seed}");
        let mut history = History::new(seed);
        (0..STEPS).for_each(|step| history.step(step));
        history.end();
    }
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
}

impl History {
    fn new(seed: u64) -> Self {
        let (world, session) = World::with_pool();
        let copy = world.folder.path().join("follower");
        world.store.checkpoint(&copy).unwrap();
        let model = Model::new(world.view().revision(), session);
        let follower = Store::open(copy).unwrap();
        let seed = Seed::fixed(seed);
        Self { seed, world, follower, unfollowed: Vec::new(), model, session, sequence: 0, block: 0 }
    }

    /// Applies an entry of some requests and compares; now and then compares everything.
    fn step(&mut self, step: usize) {
        let mut requests = Vec::new();
        let mut expected = Vec::new();
        self.model.now = self.world.next_time();
        for _ in 0..=self.below(3) {
            let request = self.request();
            expected.push(self.model.request(request.key, &request.operation));
            requests.push(request);
        }
        self.apply(requests, &expected);
        if self.below(6) == 0 {
            self.drop_some();
        }
        if self.below(8) == 0 {
            self.pass_time();
        }
        if step % 10 == 9 {
            self.compare();
        }
    }

    fn apply(&mut self, requests: Vec<Request>, expected: &[Answer]) {
        let entry = self.world.entry(requests.clone());
        self.unfollowed.push(entry.clone());
        let answers = self.world.store.apply(&[entry]).unwrap().remove(0);
        for ((answer, expected), request) in answers.iter().zip(expected).zip(&requests) {
            let agree = match (answer, expected) {
                (Ok(answer), Ok(expected)) => answer == expected,
                (Err(answer), Err(expected)) => discriminant(answer) == discriminant(expected),
                _ => false,
            };
            assert!(agree, "{request:#?}\nanswers {answer:#?}\nand not {expected:#?}");
        }
    }

    /// Takes a step or two of a snapshot that is being dropped.
    fn drop_some(&mut self) {
        let dying: Vec<SnapshotId> = self.model.snapshots.values().filter_map(dying).collect();
        for snapshot in dying {
            let rows_max = u32::try_from(1 + self.below(20)).unwrap();
            self.model.revision = self.model.revision.next();
            let step = Operation::Change(Change::DropStep { snapshot, rows_max });
            let entry = self.world.entry(vec![Request { key: None, operation: step }]);
            self.unfollowed.push(entry.clone());
            match self.world.store.apply(&[entry]).unwrap().remove(0).remove(0) {
                Ok(Outcome::Remaining(0)) => drop(self.model.snapshots.remove(&snapshot)),
                Ok(Outcome::Remaining(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Counts ticks, some of them twice, now and then so many that leases run out; opens a session in the place of one
    /// that is over.
    fn pass_time(&mut self) {
        self.model.now = self.world.next_time();
        let ticks = if self.below(4) == 0 { LEASE_TICKS + self.below(2) } else { self.below(LEASE_TICKS / 2) };
        let after = |tick| self.model.ticks + tick;
        let mut ticks: Vec<_> = (0..ticks).flat_map(|tick| vec![after(tick); 1 + self.below(2) as usize]).collect();
        ticks.push(self.below(self.model.ticks + 2));
        let mut operations: Vec<_> = ticks.into_iter().map(|after| Operation::Tick { after }).collect();
        operations.push(Operation::OpenSession { label: "after a while".into() });
        let requests: Vec<_> = operations.into_iter().map(|operation| Request { key: None, operation }).collect();
        let expected: Vec<_> = requests.iter().map(|request| self.model.request(None, &request.operation)).collect();
        self.apply(requests, &expected);
        let Some(Ok(Outcome::Session(opened))) = expected.last() else { panic!("{expected:?}") };
        if self.model.has_expired(self.session) || self.below(4) == 0 {
            (self.session, self.sequence) = (*opened, 0);
        }
    }

    /// Blocks that nothing uses and nobody may publish are orphans, and none that somebody may still publish or that
    /// something uses. In between are those that were published and freed: the state need not know of each.
    fn compare_orphans(&self, view: &View, freed: &BTreeSet<BlockId>) {
        let published = self.model.published.iter().map(|block| block.session);
        let sessions: BTreeSet<SessionId> = self.model.sessions.keys().copied().chain(published).collect();
        let some = |session| (0..=self.block).step_by(16).map(move |sequence| BlockId { session, sequence });
        let all: BTreeSet<BlockId> = sessions.into_iter().flat_map(some).chain(self.model.published.clone()).collect();
        let all: Vec<_> = all.into_iter().collect();
        let orphans: BTreeSet<BlockId> = view.orphaned_blocks(&all).unwrap().into_iter().collect();
        for block in all {
            let was_published = self.model.published.contains(&block);
            let in_use = was_published && !freed.contains(&block);
            let publishable = self.model.is_publishable(block);
            let judged = orphans.contains(&block);
            assert!(!judged || !in_use, "block {block} is used and judged an orphan");
            assert!(!judged || !publishable || was_published, "block {block} may still be published");
            assert!(judged || in_use || publishable, "block {block} would stay for ever");
        }
    }

    fn compare(&mut self) {
        let view = self.world.view();
        assert_eq!(read_tree(&view), self.model.head, "the head");
        for taken in self.model.live() {
            let then = view.at(taken.snapshot.id).unwrap();
            assert_eq!(read_tree(&then), taken.tree, "snapshot {}", taken.snapshot.id);
        }
        self.compare_holes(&view);
        self.compare_differences(&view);
        let freed: BTreeSet<BlockId> = view.freed(NodeId(1), None, usize::MAX).unwrap().into_iter().collect();
        let (unused, dead) = (self.model.unused_blocks(), self.model.dead_blocks());
        assert!(freed.is_subset(&unused), "freed and still used: {:?}", &freed - &unused);
        assert!(dead.is_subset(&freed), "dead and not freed: {:?}", &dead - &freed);
        self.compare_orphans(&view, &freed);
        self.world.check();
        let unfollowed = std::mem::take(&mut self.unfollowed);
        self.follower.apply(&unfollowed).unwrap();
        assert_eq!(self.follower.view().unwrap().digest(), view.digest());
    }

    /// Finds data and holes from the bytes of every file; a search for a hole looks at one extent at a time.
    fn compare_holes(&self, view: &View) {
        let files = self.model.head.0.iter().filter(|(_, inode)| inode.kind == FileKind::File);
        for (&lin, inode) in files {
            // Behind the first bytes of each unit a file has nothing but what it begins with.
            let length = inode.bytes.len() as u64;
            let near = |offset: &u64| offset % CLONE_ALIGNMENT < 2 * FILE_BYTES_MAX || length - offset < 3;
            for offset in (0..=length).filter(near) {
                for what in [Seek::Data, Seek::Hole] {
                    let found = seek(view, lin, offset, what);
                    assert_eq!(found, self.model.head.seek(lin, offset, what), "{what:?} of {lin} from {offset}");
                }
            }
        }
    }

    fn compare_differences(&self, view: &View) {
        let live: Vec<_> = self.model.live().collect();
        for (place, to) in live.iter().enumerate() {
            for base in &live[..place] {
                let page = view.changed_since(Some(base.snapshot.id), to.snapshot.id, None, usize::MAX).unwrap();
                let found: BTreeMap<Lin, ChangeFlags> =
                    page.changes.iter().map(|change| (change.lin, change.flags)).collect();
                for (lin, expected) in differences(&base.tree, &to.tree) {
                    let flags = found.get(&lin).copied().unwrap_or_default();
                    let (base, to) = (base.snapshot.id, to.snapshot.id);
                    assert!(flags.contains(expected), "{lin} from {base} to {to}: {flags:?} lacks {expected:?}");
                }
                for (lin, flags) in &found {
                    let (before, after) = (base.tree.0.contains_key(lin), to.tree.0.contains_key(lin));
                    assert!(before || after, "{lin} is in the difference and in neither snapshot");
                    assert_eq!(flags.contains(ChangeFlags::CREATED), !before, "{lin}: {flags:?}");
                    assert_eq!(flags.contains(ChangeFlags::REMOVED), !after, "{lin}: {flags:?}");
                }
            }
        }
    }

    /// Deletes everything and looks for rows that nobody needs.
    fn end(&mut self) {
        self.compare();
        while let Some(operation) = self.next_removal() {
            self.model.now = self.world.next_time();
            let expected = self.model.request(None, &operation);
            assert!(expected.is_ok(), "{expected:?}");
            self.apply(vec![Request { key: None, operation }], &[expected]);
        }
        while self.model.snapshots.values().any(|taken| taken.snapshot.state == SnapshotState::Dying) {
            self.drop_some();
        }
        self.compare();
        assert_eq!(self.world.view().freed(NodeId(1), None, usize::MAX).unwrap().len(), self.model.published.len());
        for node in self.world.view().nodes().unwrap() {
            let blocks = self.world.view().freed(node.id, None, usize::MAX).unwrap();
            self.world.change(Change::AcknowledgeFreed { node: node.id, blocks }).unwrap();
        }
        let kept = [Family::Meta, Family::Inode, Family::Changed, Family::Node, Family::Pg, Family::Pool, Family::Name];
        for (family, rows) in self.world.view().row_counts().unwrap() {
            assert!(rows == 0 || kept.contains(&family), "{rows} rows are left in {}", family.name());
            let alone = !matches!(family, Family::Inode | Family::Changed) || rows == 1;
            assert!(alone, "the root is not alone: {rows} rows in {}", family.name());
        }
    }

    fn next_removal(&self) -> Option<Operation> {
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
        if let Some(taken) = self.model.live().next() {
            return Some(Operation::Change(Change::DeleteSnapshot { snapshot: taken.snapshot.id }));
        }
        let session = *self.model.sessions.keys().next()?;
        Some(Operation::CloseSession { session })
    }

    fn request(&mut self) -> Request {
        let operation = self.operation();
        let key = match self.below(4) {
            // No key at all.
            0 => return Request { key: None, operation },
            // A number that was used before, with whatever operation.
            1 if self.below(3) == 0 => {
                RequestKey { session: self.session, sequence: self.below(self.sequence + 2), low_water: 0 }
            }
            _ => {
                self.sequence += 1;
                let low_water = self.sequence.saturating_sub(self.below(8));
                RequestKey { session: self.session, sequence: self.sequence, low_water }
            }
        };
        Request { key: Some(key), operation }
    }

    fn operation(&mut self) -> Operation {
        match self.below(40) {
            0 => {
                let sessions: Vec<SessionId> = self.model.sessions.keys().copied().collect();
                let closable = sessions.iter().find(|&&session| session != self.session);
                closable.map_or_else(
                    || Operation::OpenSession { label: "second".into() },
                    |&session| Operation::CloseSession { session },
                )
            }
            1 => Operation::RaiseBlockMark { session: self.session, mark: self.below(self.block + 1) },
            2 | 3 => {
                let name = format!("s{}", self.below(4));
                Operation::Change(Change::CreateSnapshot { name })
            }
            4 => self.model.live().nth(0).map(|taken| taken.snapshot.id).map_or_else(
                || Operation::Change(Change::CreateSnapshot { name: "s0".into() }),
                |first| {
                    let live: Vec<SnapshotId> = self.model.live().map(|taken| taken.snapshot.id).collect();
                    let snapshot = live.get(self.below(4) as usize).copied().unwrap_or(first);
                    Operation::Change(Change::DeleteSnapshot { snapshot })
                },
            ),
            _ => Operation::Change(self.change()),
        }
    }

    fn change(&mut self) -> Change {
        let (parent, name) = (self.directory(), self.name());
        match self.below(21) {
            0..=3 => Change::Create(Create { parent, name, inode: self.inode(), replace: self.below(3) == 0 }),
            4 => Change::Link { lin: self.lin(), parent, name },
            5 | 6 => {
                let expect = if self.below(2) == 0 { Removal::Directory } else { Removal::NotDirectory };
                let (parent, name) = self.place();
                Change::Remove { parent, name, expect }
            }
            7..=9 => {
                let (from_parent, from_name) = self.place();
                let (to_parent, to_name) = if self.below(2) == 0 { self.place() } else { (parent, name) };
                let modes = [RenameMode::Replace, RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange];
                let mode = modes[self.below(4) as usize];
                Change::Rename(Rename { from_parent, from_name, to_parent, to_name, mode })
            }
            10 => Change::SetAttributes { lin: self.lin(), changes: self.attributes() },
            11 => {
                let modes = [XattrMode::Any, XattrMode::Create, XattrMode::Replace];
                let (name, value) = self.xattr();
                Change::SetXattr { lin: self.lin(), name, value, mode: modes[self.below(3) as usize] }
            }
            12 => Change::RemoveXattr { lin: self.lin(), name: self.xattr().0 },
            13 | 14 => {
                let lin = if self.below(10) == 0 { self.lin() } else { self.file() };
                let (offset, length) = (self.below(FILE_BYTES_MAX), self.below(FILE_BYTES_MAX));
                let clearing = [Clearing::KeepLength, Clearing::Extend][self.below(2) as usize];
                let mtime = (self.below(2) == 0).then(|| self.time());
                Change::ClearRange { lin, offset, length, clearing, mtime }
            }
            15..=17 => Change::Clone(self.clone_range()),
            _ => {
                let mtime = (self.below(2) == 0).then(|| self.time());
                let content = if self.below(30) == 0 { self.device() } else { self.content() };
                Change::Write { lin: self.file(), content, mtime }
            }
        }
    }

    fn inode(&mut self) -> NewInode {
        let common = [FileKind::File, FileKind::File, FileKind::Directory, FileKind::Symlink][self.below(4) as usize];
        let special =
            [FileKind::Pipe, FileKind::Socket, FileKind::CharDevice, FileKind::BlockDevice][self.below(4) as usize];
        let kind = if self.below(5) == 0 { special } else { common };
        let file = kind == FileKind::File;
        let content = match kind {
            FileKind::File => self.content(),
            kind if kind.is_device() => self.device(),
            _ => Content::Empty,
        };
        let least = match &content {
            Content::Empty | Content::Device(_) => 0,
            Content::Inline(bytes) => bytes.len() as u64,
            Content::Extents(extents) => extents.last().map_or(0, |new| end_of(&new.extent)),
        };
        NewInode {
            kind,
            mode: u32::try_from(self.below(0o10000)).unwrap(),
            uid: 7,
            gid: 8,
            atime: (self.below(2) == 0).then(|| self.time()),
            mtime: None,
            target: if kind == FileKind::Symlink { Bytes::from_static(b"../to") } else { Bytes::new() },
            xattrs: if self.below(4) == 0 { vec![self.xattr()] } else { Vec::new() },
            content,
            size: if file { least + self.below(10) } else { 0 },
        }
    }

    fn content(&mut self) -> Content {
        match self.below(8) {
            0 => Content::Empty,
            1 => Content::Inline(Bytes::from(vec![b'x'; self.below(20) as usize])),
            _ => Content::Extents(self.extents()),
        }
    }

    /// Between two files or in one, mostly to the end of the source, now and then as a snapshot has it.
    fn clone_range(&mut self) -> CloneRange {
        let from = if self.below(20) == 0 { self.lin() } else { self.file() };
        let to = if self.below(4) == 0 { from } else { self.file() };
        let taken = self.model.live().nth(self.below(6) as usize);
        let tree = taken.map_or(&self.model.head, |taken| &taken.tree);
        let size = tree.0.get(&from).map_or(0, |inode| inode.bytes.len()) as u64;
        let unit = |wanted| if wanted { CLONE_ALIGNMENT } else { 0 };
        let from_offset = unit(size > CLONE_ALIGNMENT && self.below(2) == 0);
        let length = match self.below(10) {
            0 => self.below(FILE_BYTES_MAX),
            1 => CLONE_ALIGNMENT,
            _ => size.saturating_sub(from_offset),
        };
        let to_offset = unit(length <= 2 * CLONE_ALIGNMENT && self.below(3) == 0);
        let mtime = (self.below(2) == 0).then(|| self.time());
        CloneRange { from, snapshot: taken.map(|taken| taken.snapshot.id), from_offset, to, to_offset, length, mtime }
    }

    fn device(&mut self) -> Content {
        Content::Device(Device { major: u32::MAX, minor: u32::try_from(self.below(3)).unwrap() })
    }

    /// One to three extents over blocks of their own, with gaps; sometimes over a block that was published before, or
    /// with too few copies.
    fn extents(&mut self) -> Vec<NewExtent> {
        let mut offset = if self.below(3) == 0 { 0 } else { self.below(FILE_BYTES_MAX) };
        let mut extents = Vec::new();
        for _ in 0..=self.below(3) {
            self.block += 1;
            let sequence = if self.below(20) == 0 { self.below(self.block) } else { self.block };
            let whole = u32::try_from(1 + self.below(20)).unwrap();
            let block_offset = u32::try_from(self.below(whole.into())).unwrap();
            let length = 1 + u32::try_from(self.below((whole - block_offset).into())).unwrap();
            let block = BlockId { session: self.session, sequence };
            let pg = PgId(1 + u32::try_from(sequence % 4).unwrap());
            let digest = types::Digest([u8::try_from(sequence % 256).unwrap(); 32]);
            let extent = Extent { offset, length, block, block_offset, block_length: whole, digest, pg };
            let seats = if self.below(20) == 0 { 0b001 } else { [0b111, 0b111, 0b011, 0b110][self.below(4) as usize] };
            offset += u64::from(length) + [0, 0, 1, 5][self.below(4) as usize];
            extents.push(NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(seats) });
        }
        let twice = extents.windows(2).any(|pair| pair[0].extent.block == pair[1].extent.block);
        if twice { self.extents() } else { extents }
    }

    fn attributes(&mut self) -> AttributeChanges {
        AttributeChanges {
            mode: (self.below(2) == 0).then_some(0o600),
            uid: (self.below(3) == 0).then_some(9),
            gid: None,
            size: (self.below(2) == 0).then(|| self.below(FILE_BYTES_MAX)),
            atime: None,
            mtime: (self.below(3) == 0).then(|| self.time()),
        }
    }

    fn xattr(&mut self) -> (Bytes, Bytes) {
        let name = format!("user.{}", self.below(3));
        (Bytes::from(name), Bytes::from(vec![b'v'; self.below(5) as usize]))
    }

    fn time(&self) -> Timestamp {
        Timestamp { seconds: i64::try_from(self.below(1000)).unwrap() - 500, nanoseconds: 999_999_999 }
    }

    fn name(&self) -> Name {
        name(["a", "b", "c", "dd", "d"][self.below(5) as usize])
    }

    /// Mostly a living LIN of a kind, now and then any that ever was.
    fn some(&self, kind: impl Fn(&Inode) -> bool) -> Lin {
        if self.below(30) == 0 {
            return Lin(self.below(self.model.revision.0 + 2));
        }
        let lins: Vec<Lin> = self.model.head.0.iter().filter(|(_, inode)| kind(inode)).map(|(lin, _)| *lin).collect();
        let place = self.below(lins.len().max(1) as u64) as usize;
        lins.get(place).copied().unwrap_or(Lin::ROOT)
    }

    fn directory(&self) -> Lin {
        self.some(|inode| inode.kind == FileKind::Directory)
    }

    fn file(&self) -> Lin {
        self.some(|inode| inode.kind == FileKind::File)
    }

    fn lin(&self) -> Lin {
        self.some(|_| true)
    }

    /// Mostly a name that is there.
    fn place(&self) -> (Lin, Name) {
        let parent = self.some(|inode| !inode.entries.is_empty());
        let names: Vec<Name> =
            self.model.head.0.get(&parent).map_or_else(Vec::new, |inode| inode.entries.keys().cloned().collect());
        let place = self.below(names.len() as u64 + 1) as usize;
        (parent, names.get(place).cloned().unwrap_or_else(|| self.name()))
    }

    fn below(&self, bound: u64) -> u64 {
        self.seed.below(bound)
    }
}

fn seek(view: &View, lin: Lin, mut offset: u64, what: Seek) -> Option<u64> {
    loop {
        match view.seek(lin, offset, what, 1).unwrap() {
            Sought::At(found) => return Some(found),
            Sought::Nothing => return None,
            Sought::ReadOn(next) => offset = next,
        }
    }
}

fn dying(taken: &crate::model::Taken) -> Option<SnapshotId> {
    (taken.snapshot.state == SnapshotState::Dying).then_some(taken.snapshot.id)
}

const fn end_of(extent: &Extent) -> u64 {
    extent.offset + extent.length as u64
}

/// What changed of which LIN, as far as the index has to tell.
fn differences(base: &Tree, to: &Tree) -> Vec<(Lin, ChangeFlags)> {
    let lins: BTreeSet<Lin> = base.0.keys().chain(to.0.keys()).copied().collect();
    let difference = |lin| {
        let flags = match (base.0.get(&lin), to.0.get(&lin)) {
            (Some(_), None) => ChangeFlags::REMOVED,
            (None, _) => ChangeFlags::CREATED,
            (Some(before), Some(after)) => {
                let mut flags = ChangeFlags::default();
                if base.attributes(lin).map(without_ctime) != to.attributes(lin).map(without_ctime) {
                    flags = flags | ChangeFlags::ATTRIBUTES;
                }
                if (&before.bytes, &before.inline) != (&after.bytes, &after.inline) {
                    flags = flags | ChangeFlags::CONTENT;
                }
                if before.xattrs != after.xattrs {
                    flags = flags | ChangeFlags::XATTRS;
                }
                if base.links(lin) != to.links(lin) {
                    flags = flags | ChangeFlags::LINKS;
                }
                flags
            }
        };
        (lin, flags)
    };
    lins.into_iter().map(difference).filter(|(_, flags)| *flags != ChangeFlags::default()).collect()
}

fn without_ctime(attributes: types::Attributes) -> types::Attributes {
    types::Attributes { ctime: Timestamp::default(), ..attributes }
}

/// Everything that a view tells of its tree, in the words of the model.
fn read_tree(view: &View) -> Tree {
    let mut tree = Tree(BTreeMap::new());
    for lin in view.lins(None, usize::MAX).unwrap() {
        tree.0.insert(lin, read_inode(view, lin));
    }
    for &lin in tree.0.keys() {
        assert_eq!(view.attributes(lin).unwrap(), tree.attributes(lin).unwrap(), "attributes of {lin}");
        let links: BTreeSet<(Lin, Name)> = view.links(lin).unwrap().into_iter().collect();
        assert_eq!(links, tree.links(lin), "links of {lin}");
    }
    tree
}

fn read_inode(view: &View, lin: Lin) -> Inode {
    let file = view.file(lin).unwrap();
    let attributes = file.attributes;
    let mut inode = Inode::new(attributes.kind, attributes.mode, attributes.ctime);
    (inode.uid, inode.gid) = (attributes.uid, attributes.gid);
    (inode.atime, inode.mtime) = (attributes.atime, attributes.mtime);
    inode.xattrs = view.xattrs(lin).unwrap().into_iter().collect();
    if attributes.kind == FileKind::File {
        inode.bytes.resize(usize::try_from(attributes.size).unwrap(), None);
    }
    match file.content {
        StoredContent::Entries => {
            let entries = view.read_directory(lin, None, usize::MAX).unwrap();
            inode.entries = entries.into_iter().map(|entry| (entry.name, entry.lin)).collect();
        }
        StoredContent::Target(target) => inode.target = target,
        StoredContent::Inline(bytes) => inode.inline = bytes,
        StoredContent::Nothing => {}
        StoredContent::Device(device) => inode.device = Some(device),
        StoredContent::Extents => {
            for published in view.extents(lin, 0, usize::MAX).unwrap() {
                let extent = published.extent;
                let start = usize::try_from(extent.offset).unwrap();
                let range = start..start + extent.length as usize;
                for (place, byte) in inode.bytes[range].iter_mut().zip(extent.block_offset..) {
                    *place = Some((extent.block, byte));
                }
            }
        }
    }
    inode
}
