//! A store with a log of its own, and short ways to write operations.

use bytes::Bytes;
use namespace::{Entry, Results, Store, View};
use tempfile::TempDir;
use types::{
    Append, Attributes, Batch, BlockId, Change, Content, Create, Digest, Extent, FileKind, Lin, Name, NewExtent,
    NewInode, NewNode, NodeId, Operation, OperationError, Outcome, PgId, PgVersion, Registration, Removal, Rename,
    RenameMode, Request, RequestKey, SeatSet, SessionId, Snapshot, SnapshotId, Timestamp, VolumeId,
};
use uuid::Uuid;

pub type Answer = Result<Outcome, OperationError>;

/// A store that is fed entry by entry.
pub struct World {
    pub store: Store,
    pub folder: TempDir,
    index: u64,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state")).unwrap();
        Self { store, folder, index: 0 }
    }

    /// A world with three nodes, one pool of three replicas with four placement groups, and a session.
    pub fn with_pool() -> (Self, SessionId) {
        let mut world = Self::new();
        let nodes: Vec<NodeId> = (1..=3).map(|number| world.add_node(number)).collect();
        world.run(Operation::Register(Registration::FormPool { replicas: 3, groups: 4, nodes })).unwrap();
        let session = world.open_session();
        (world, session)
    }

    pub fn view(&self) -> View {
        self.store.view().unwrap()
    }

    /// Applies one entry of several requests.
    pub fn apply(&mut self, requests: Vec<Request>) -> Results {
        let entry = self.entry(requests);
        self.store.apply(&[entry]).unwrap().remove(0)
    }

    /// State time of the next entry.
    pub fn next_time(&self) -> Timestamp {
        Timestamp { seconds: i64::try_from(self.index).unwrap() + 1, nanoseconds: 0 }
    }

    /// The next entry of the log.
    pub fn entry(&mut self, requests: Vec<Request>) -> Entry {
        self.entry_at(self.next_time(), requests)
    }

    /// The next entry of the log, proposed by the clock of some leader.
    pub fn entry_at(&mut self, proposed_at: Timestamp, requests: Vec<Request>) -> Entry {
        self.index += 1;
        let position = Bytes::from(self.index.to_string());
        let batch = Some(Batch { proposed_at, requests });
        Entry { index: self.index, position, membership: None, batch }
    }

    pub fn run(&mut self, operation: Operation) -> Answer {
        self.apply(vec![Request { key: None, operation }]).remove(0)
    }

    pub fn run_in(&mut self, key: RequestKey, operation: Operation) -> Answer {
        self.apply(vec![Request { key: Some(key), operation }]).remove(0)
    }

    pub fn change(&mut self, change: Change) -> Answer {
        self.run(Operation::Change(change))
    }

    pub fn add_node(&mut self, number: u128) -> NodeId {
        let node = NewNode {
            address: format!("n{number}:7000"),
            volumes: vec![VolumeId(Uuid::from_u128(number))],
            key_fingerprint: format!("{number:064x}"),
        };
        match self.run(Operation::Register(Registration::AddNode(node))) {
            Ok(Outcome::Node(node)) => node.id,
            other => panic!("{other:?}"),
        }
    }

    pub fn open_session(&mut self) -> SessionId {
        match self.run(Operation::OpenSession { label: "test".into() }) {
            Ok(Outcome::Session(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Lets so many ticks pass.
    pub fn tick(&mut self, ticks: u64) {
        let after = self.view().ticks();
        for after in after..after + ticks {
            self.run(Operation::Tick { after }).unwrap();
        }
    }

    pub fn make(&mut self, parent: Lin, name: &str, kind: FileKind) -> Lin {
        attributes(self.change(create(parent, name, kind))).lin
    }

    pub fn directory(&mut self, parent: Lin, name: &str) -> Lin {
        self.make(parent, name, FileKind::Directory)
    }

    pub fn file(&mut self, parent: Lin, name: &str) -> Lin {
        self.make(parent, name, FileKind::File)
    }

    pub fn remove(&mut self, parent: Lin, name: &str) -> Answer {
        self.change(Change::Remove { parent, name: self::name(name), expect: Removal::NotDirectory })
    }

    pub fn remove_directory(&mut self, parent: Lin, name: &str) -> Answer {
        self.change(Change::Remove { parent, name: self::name(name), expect: Removal::Directory })
    }

    pub fn rename(&mut self, from: (Lin, &str), to: (Lin, &str), mode: RenameMode) -> Answer {
        let (from_parent, from_name) = (from.0, name(from.1));
        let (to_parent, to_name) = (to.0, name(to.1));
        self.change(Change::Rename(Rename { from_parent, from_name, to_parent, to_name, mode }))
    }

    pub fn write(&mut self, lin: Lin, content: Content) -> Answer {
        self.change(Change::Write { lin, content, mtime: None })
    }

    pub fn append(&mut self, lin: Lin, content: Content) -> Answer {
        self.change(Change::Append(Append { lin, content, mtime: None }))
    }

    pub fn snapshot(&mut self, name: &str) -> Snapshot {
        match self.change(Change::CreateSnapshot { name: name.into() }) {
            Ok(Outcome::Snapshot(snapshot)) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    /// Deletes a snapshot and drops it in steps; gives their number.
    pub fn drop_snapshot(&mut self, snapshot: SnapshotId, rows_max: u32) -> usize {
        self.change(Change::DeleteSnapshot { snapshot }).unwrap();
        for step in 1.. {
            match self.change(Change::DropStep { snapshot, rows_max }) {
                Ok(Outcome::Remaining(0)) => return step,
                Ok(Outcome::Remaining(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        unreachable!("a snapshot has an end")
    }

    pub fn names(&self, view: &View, lin: Lin) -> Vec<String> {
        let entries = view.read_directory(lin, None, 1000).unwrap();
        entries.into_iter().map(|entry| entry.name.to_string()).collect()
    }

    /// Checks every invariant of the store.
    pub fn check(&self) {
        let faults = self.view().check().unwrap();
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

pub fn name(text: &str) -> Name {
    Name::new(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

pub fn attributes(answer: Answer) -> Attributes {
    match answer {
        Ok(Outcome::Inode(attributes)) => attributes,
        other => panic!("{other:?}"),
    }
}

pub fn new_inode(kind: FileKind) -> NewInode {
    let target = if kind == FileKind::Symlink { Bytes::from_static(b"target") } else { Bytes::new() };
    NewInode {
        kind,
        mode: 0o644,
        uid: 1,
        gid: 2,
        atime: None,
        mtime: None,
        target,
        xattrs: Vec::new(),
        content: Content::Empty,
        size: 0,
    }
}

pub fn create(parent: Lin, name: &str, kind: FileKind) -> Change {
    Change::Create(Create { parent, name: self::name(name), inode: new_inode(kind), replace: false })
}

/// An extent over a whole block, acknowledged by all three seats.
pub fn extent(session: SessionId, sequence: u64, offset: u64, length: u32) -> NewExtent {
    part(session, sequence, offset, (0, length, length))
}

/// An extent over part of a block: offset in the block, length, and length of the block.
pub fn part(
    session: SessionId,
    sequence: u64,
    offset: u64,
    (block_offset, length, whole): (u32, u32, u32),
) -> NewExtent {
    let block = BlockId { session, sequence };
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&sequence.to_be_bytes());
    let pg = PgId(1 + u32::try_from(sequence % 4).unwrap());
    let extent = Extent { offset, length, block, block_offset, block_length: whole, digest: Digest(digest), pg };
    NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(0b111) }
}
