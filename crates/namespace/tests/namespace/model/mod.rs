//! The state as plain maps in memory: what the state machine must agree with.
//!
//! A file is a list of bytes, each from a block or not; a snapshot is a copy of the whole tree. So nothing here is
//! clever enough to be wrong in the same way as the store.

mod tree;

use std::collections::{BTreeMap, BTreeSet};

use namespace::LEASE_TICKS;
use types::{
    BlockId, Change, Content, FileKind, Lin, NewExtent, NodeId, Operation, OperationError, Outcome, PgId, RequestKey,
    Revision, SeatSet, SessionId, Snapshot, SnapshotId, SnapshotState, Timestamp,
};

pub use tree::{Inode, Place, Tree, put_block, put_bytes};

pub type Answer = Result<Outcome, OperationError>;

/// A session as the model knows it.
#[derive(Clone, Default)]
pub struct Session {
    pub renewed: u64,
    pub low_water: u64,
    pub results: BTreeMap<u64, Answer>,
    pub block_mark: u64,
}

/// A snapshot and the tree that it sees.
pub struct Taken {
    pub snapshot: Snapshot,
    pub tree: Tree,
}

/// The whole state.
pub struct Model {
    pub revision: Revision,
    pub now: Timestamp,
    pub ticks: u64,
    pub head: Tree,
    pub snapshots: BTreeMap<SnapshotId, Taken>,
    pub sessions: BTreeMap<SessionId, Session>,
    /// Which session holds which file.
    pub holds: BTreeSet<(SessionId, Lin)>,
    /// Which session pins which snapshot.
    pub pins: BTreeSet<(SessionId, SnapshotId)>,
    /// In whose name the request is carried out.
    caller: Option<SessionId>,
    pub published: BTreeSet<BlockId>,
    /// Where each published block was put, and which seats acknowledged it.
    pub placed: BTreeMap<BlockId, (PgId, SeatSet)>,
    /// The freed blocks that each node has removed.
    pub acknowledged: BTreeMap<NodeId, BTreeSet<BlockId>>,
}

impl Model {
    /// The state of a store that was given nothing but nodes, a pool and a session.
    pub fn new(revision: Revision, now: Timestamp, session: SessionId) -> Self {
        let first = Session { low_water: 1, ..Session::default() };
        Self {
            revision,
            now,
            ticks: 0,
            head: Tree::new(),
            snapshots: BTreeMap::new(),
            sessions: BTreeMap::from([(session, first)]),
            holds: BTreeSet::new(),
            pins: BTreeSet::new(),
            caller: None,
            published: BTreeSet::new(),
            placed: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        }
    }

    /// What a request answers.
    pub fn request(&mut self, key: Option<RequestKey>, operation: &Operation) -> Answer {
        self.revision = self.revision.next();
        self.caller = key.map(|key| key.session);
        let Some(key) = key else { return self.attempt(operation) };
        let ticks = self.ticks;
        let session = self.live_session(key.session)?;
        if let Some(first) = session.results.get(&key.sequence) {
            session.renewed = ticks;
            return first.clone();
        }
        let low_water = session.low_water.max(key.low_water);
        if key.sequence < low_water || key.sequence >= low_water + 1024 {
            return Err(OperationError::OutsideWindow { session: key.session, sequence: key.sequence });
        }
        (session.renewed, session.low_water) = (ticks, low_water);
        session.results.retain(|&sequence, _| sequence >= low_water);
        let answer = self.attempt(operation);
        if let Some(session) = self.sessions.get_mut(&key.session) {
            session.results.insert(key.sequence, answer.clone());
        }
        answer
    }

    /// Counts an operation that was refused.
    pub fn refuse(&mut self) {
        self.revision = self.revision.next();
    }

    /// Carries an operation out, or leaves everything as it was.
    fn attempt(&mut self, operation: &Operation) -> Answer {
        let (head, published) = (self.head.clone(), self.published.clone());
        let answer = self.perform(operation);
        if answer.is_err() {
            (self.head, self.published) = (head, published);
            self.placed.retain(|block, _| self.published.contains(block));
        } else {
            let held = self.holds.iter().map(|(_, lin)| *lin).collect();
            self.head.forget_nameless(&held);
        }
        answer
    }

    fn perform(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::OpenSession { .. } => {
                let id = SessionId(self.revision.0);
                self.sessions.insert(id, Session { renewed: self.ticks, low_water: 1, ..Session::default() });
                Ok(Outcome::Session(id))
            }
            Operation::CloseSession { session } => {
                self.sessions.remove(session);
                self.release_some(*session);
                self.pins.retain(|(reader, _)| reader != session);
                Ok(Outcome::Done)
            }
            Operation::RaiseBlockMark { session, mark } => {
                let ticks = self.ticks;
                let session = self.live_session(*session)?;
                (session.renewed, session.block_mark) = (ticks, session.block_mark.max(*mark));
                Ok(Outcome::Done)
            }
            Operation::Tick { after } => {
                self.ticks += u64::from(*after == self.ticks);
                Ok(Outcome::Done)
            }
            Operation::Change(change) => self.change(change),
            // What it makes of the clocks is given to the model.
            Operation::CountTime { .. } | Operation::AcceptTime { .. } => Ok(Outcome::Done),
            Operation::Register(_) | Operation::Job(_) | Operation::Quota(_) => {
                panic!("the histories have no {operation:?}")
            }
        }
    }

    /// A session that is not over.
    fn live_session(&mut self, id: SessionId) -> Result<&mut Session, OperationError> {
        let ticks = self.ticks;
        let session = self.sessions.get_mut(&id).filter(|session| ticks <= session.renewed + LEASE_TICKS);
        session.ok_or(OperationError::NoSession { session: id })
    }

    /// Takes some of what it held from a session that has ended: no more than lets sixteen files go.
    fn release_some(&mut self, session: SessionId) {
        let held: Vec<_> = self.holds.iter().filter(|(holder, _)| *holder == session).take(1024).copied().collect();
        let mut removed = 0;
        for hold in held {
            self.holds.remove(&hold);
            let is_held = self.holds.iter().any(|(_, lin)| *lin == hold.1);
            removed += usize::from(!is_held && self.head.links(hold.1).is_empty());
            if removed == 16 {
                break;
            }
        }
    }

    fn hold(&mut self, lin: Lin) -> Answer {
        let session = self.calling_session()?;
        if self.head.inode(lin)?.kind == FileKind::Directory {
            return Err(OperationError::IsDirectory { lin });
        }
        self.holds.insert((session, lin));
        self.head.attributes(lin).map(Outcome::Inode)
    }

    fn pin(&mut self, id: SnapshotId) -> Answer {
        let session = self.calling_session()?;
        let missing = OperationError::NoRecord { what: "snapshot".into(), name: id.to_string() };
        let snapshot = self.live().find(|taken| taken.snapshot.id == id).ok_or(missing)?.snapshot.clone();
        self.pins.insert((session, id));
        Ok(Outcome::Snapshot(snapshot))
    }

    /// A session that is not over and pins a snapshot.
    pub fn reader(&self, snapshot: SnapshotId) -> Option<SessionId> {
        let mut readers = self.pins.iter().filter(|(_, pinned)| *pinned == snapshot).map(|(session, _)| *session);
        readers.find(|session| !self.has_expired(*session))
    }

    fn calling_session(&self) -> Result<SessionId, OperationError> {
        self.caller.ok_or(OperationError::NoSession { session: SessionId(0) })
    }

    /// Whether a session's lease has run out.
    pub fn has_expired(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| self.ticks > session.renewed + LEASE_TICKS)
    }

    /// Whether a block that was not published may still be.
    pub fn is_publishable(&self, block: BlockId) -> bool {
        let session = self.sessions.get(&block.session).filter(|_| !self.has_expired(block.session));
        session.is_some_and(|session| block.sequence >= session.block_mark)
    }

    fn change(&mut self, change: &Change) -> Answer {
        match change {
            Change::CreateSnapshot { name } => self.take(name),
            Change::PinSnapshot { snapshot, .. } => self.pin(*snapshot),
            Change::UnpinSnapshot { snapshot } => {
                self.pins.remove(&(self.calling_session()?, *snapshot));
                Ok(Outcome::Done)
            }
            Change::DeleteSnapshot { snapshot } => {
                if let Some(session) = self.reader(*snapshot) {
                    let (name, label) = (String::new(), String::new());
                    return Err(OperationError::SnapshotPinned { name, session, label });
                }
                let missing = OperationError::NoRecord { what: "snapshot".into(), name: snapshot.to_string() };
                self.snapshots.get_mut(snapshot).ok_or(missing)?.snapshot.state = SnapshotState::Dying;
                Ok(Outcome::Done)
            }
            Change::DropStep { .. } => panic!("only the store knows how many rows are left"),
            Change::AcknowledgeFreed { node, blocks } => {
                self.acknowledged.entry(*node).or_default().extend(blocks);
                Ok(Outcome::Done)
            }
            Change::Create(create) => {
                self.head.prepare_create(create)?;
                self.publish(&create.inode.content)?;
                self.head.create(create, self.revision, self.now)
            }
            Change::Write { lin, content, .. } => {
                if let Content::Extents(extents) = content {
                    self.head.prepare_write(*lin, extents)?;
                    self.publish(content)?;
                }
                self.head.change(change, self.now)
            }
            Change::Append(append) => {
                self.head.file(append.lin)?;
                self.publish(&append.content)?;
                self.head.append(append, self.now)
            }
            Change::Rewrite(rewrite) => {
                self.head.file(rewrite.lin)?;
                self.publish(&Content::Extents(rewrite.extents.clone()))?;
                self.head.rewrite(rewrite)
            }
            Change::Clone(clone) => {
                let name = |id: SnapshotId| id.to_string();
                let missing = |id| OperationError::NoRecord { what: "snapshot".into(), name: name(id) };
                let tree = match clone.snapshot {
                    Some(id) => &self.live().find(|taken| taken.snapshot.id == id).ok_or_else(|| missing(id))?.tree,
                    None => &self.head,
                };
                let source = tree.file(clone.from)?.clone();
                self.head.clone_range(&source, clone, self.now)
            }
            Change::Hold { lin } => self.hold(*lin),
            Change::Release { lin } => {
                self.holds.remove(&(self.calling_session()?, *lin));
                Ok(Outcome::Done)
            }
            _ => self.head.change(change, self.now),
        }
    }

    /// Takes what a step of a drop has answered: the snapshot is gone, or some of it is left.
    pub fn drop_step(&mut self, snapshot: SnapshotId, answer: &Answer) {
        self.revision = self.revision.next();
        match answer {
            Ok(Outcome::Remaining(0)) => drop(self.snapshots.remove(&snapshot)),
            Ok(Outcome::Remaining(_)) if self.snapshots.contains_key(&snapshot) => {}
            other => panic!("a step of the drop of {snapshot} answers {other:?}"),
        }
    }

    fn take(&mut self, name: &str) -> Answer {
        if self.live().any(|other| other.snapshot.name == name) {
            return Err(OperationError::RecordExists { what: "snapshot".into(), name: name.into() });
        }
        let snapshot = Snapshot {
            id: SnapshotId(self.revision.0),
            name: name.into(),
            revision: self.revision,
            created: self.now,
            state: SnapshotState::Live,
            pins: 0,
        };
        let tree = self.head.clone();
        self.snapshots.insert(snapshot.id, Taken { snapshot: snapshot.clone(), tree });
        Ok(Outcome::Snapshot(snapshot))
    }

    /// Publishes the blocks of new content: each once, by a live session, with two of three copies.
    fn publish(&mut self, content: &Content) -> Result<(), OperationError> {
        let Content::Extents(extents) = content else { return Ok(()) };
        for NewExtent { extent, .. } in extents {
            let block = extent.block;
            if !self.is_publishable(block) || !self.published.insert(block) {
                return Err(OperationError::StaleBlock { block });
            }
        }
        for NewExtent { extent, acknowledged, .. } in extents {
            let seats = *acknowledged;
            let copies = (seats.0 & 0b111).count_ones();
            if copies < 2 {
                let acknowledged = u16::try_from(copies).unwrap();
                return Err(OperationError::TooFewCopies { block: extent.block, acknowledged, needed: 2 });
            }
            self.placed.insert(extent.block, (extent.pg, seats));
        }
        Ok(())
    }

    /// The live snapshots, oldest first.
    pub fn live(&self) -> impl Iterator<Item = &Taken> {
        self.snapshots.values().filter(|taken| taken.snapshot.state == SnapshotState::Live)
    }

    /// The snapshots that are being dropped.
    pub fn dying(&self) -> impl Iterator<Item = SnapshotId> {
        let dying = self.snapshots.values().filter(|taken| taken.snapshot.state == SnapshotState::Dying);
        dying.map(|taken| taken.snapshot.id)
    }

    /// Published blocks that nothing readable uses.
    pub fn unused_blocks(&self) -> BTreeSet<BlockId> {
        let used: BTreeSet<BlockId> =
            self.live().map(|taken| &taken.tree).chain([&self.head]).flat_map(Tree::blocks).collect();
        &self.published - &used
    }

    /// Those that not even a snapshot that is being dropped uses.
    pub fn dead_blocks(&self) -> BTreeSet<BlockId> {
        let used: BTreeSet<BlockId> = self.snapshots.values().flat_map(|taken| taken.tree.blocks()).collect();
        &self.unused_blocks() - &used
    }
}
