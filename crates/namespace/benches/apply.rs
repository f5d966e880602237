//! What it costs the state machine to apply one operation of each kind.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench fails by panicking")]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use namespace::{Entry, Store};
use tempfile::TempDir;
use types::{
    Append, AttributeChanges, Attributes, Batch, BlockId, Change, Clearing, CloneRange, Content, Create, Digest,
    Extent, FileKind, Lin, Name, NewExtent, NewInode, NewNode, Operation, Outcome, PgId, PgVersion, Registration,
    Removal, Rename, RenameMode, Request, SeatSet, SessionId, Timestamp, VolumeId, XattrMode,
};
use uuid::Uuid;

/// Files that are there before anything is measured, so that no table fits into a single block of RocksDB.
const FILES: u64 = 20_000;
const BLOCK_LENGTH: u32 = 1 << 20;

/// A store with some files, and the number of the next operation.
struct World {
    store: Store,
    next: u64,
    session: SessionId,
    blocks: u64,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state")).unwrap();
        let mut world = Self { store, next: 1, session: SessionId(0), blocks: 0, _folder: folder };
        let node = NewNode {
            address: "127.0.0.1:1".to_owned(),
            volumes: vec![VolumeId(Uuid::nil())],
            key_fingerprint: "ab".repeat(32),
        };
        let Outcome::Node(node) = world.apply(Operation::Register(Registration::AddNode(node))) else {
            panic!("a node")
        };
        let pool = Registration::FormPool { replicas: 1, groups: 1, nodes: vec![node.id] };
        world.apply(Operation::Register(pool));
        let Outcome::Session(session) = world.open_session() else { panic!("a session") };
        world.session = session;
        for _ in 0..FILES {
            world.file();
        }
        world
    }

    /// The next entry of the log, with one operation.
    fn entry(&mut self, operation: Operation) -> Entry {
        let index = self.next;
        self.next += 1;
        let requests = vec![Request { key: None, operation }];
        let batch = Some(Batch { proposed_at: Timestamp::default(), requests });
        Entry { index, position: Bytes::from_static(b"position"), membership: None, batch }
    }

    fn apply(&mut self, operation: Operation) -> Outcome {
        let entry = self.entry(operation);
        run(&self.store, &entry)
    }

    fn change(&mut self, change: Change) -> Outcome {
        self.apply(Operation::Change(change))
    }

    fn open_session(&mut self) -> Outcome {
        self.apply(Operation::OpenSession { label: "bench".to_owned() })
    }

    fn name(&self) -> Name {
        Name::new(format!("a name of usual length {}", self.next)).unwrap()
    }

    fn create(&self, kind: FileKind, content: Content, size: u64) -> Change {
        let inode = NewInode {
            kind,
            mode: 0o644,
            uid: 0,
            gid: 0,
            atime: None,
            mtime: None,
            target: Bytes::new(),
            xattrs: Vec::new(),
            content,
            size,
        };
        Change::Create(Create { parent: Lin::ROOT, name: self.name(), inode, replace: false })
    }

    /// Makes a small file; gives it, and its name.
    fn file(&mut self) -> (Attributes, Name) {
        let name = self.name();
        let create = self.create(FileKind::File, Content::Inline(Bytes::from_static(&[7; 200])), 200);
        let Outcome::Inode(attributes) = self.change(create) else { panic!("a file") };
        (attributes, name)
    }

    /// A block that the session has cut and put, as far as the state machine can know.
    fn extent(&mut self) -> Content {
        self.blocks += 1;
        let extent = Extent {
            offset: 0,
            length: BLOCK_LENGTH,
            block: BlockId { session: self.session, sequence: self.blocks },
            block_offset: 0,
            block_length: BLOCK_LENGTH,
            digest: Digest([9; 32]),
            pg: PgId(1),
        };
        let acknowledged = SeatSet::default().with(0);
        Content::Extents(vec![NewExtent { extent, pg_version: PgVersion(1), acknowledged }])
    }
}

/// What is measured: one entry with one operation, which must not be refused.
fn run(store: &Store, entry: &Entry) -> Outcome {
    let mut results = store.apply(std::slice::from_ref(entry)).unwrap();
    results.remove(0).remove(0).unwrap()
}

/// Makes what the operation needs, and the operation.
type Prepare = fn(&mut World) -> Operation;

fn of_file(world: &mut World, change: impl FnOnce(&mut World, Lin, Name) -> Change) -> Operation {
    let (file, name) = world.file();
    Operation::Change(change(world, file.lin, name))
}

const OPERATIONS: &[(&str, Prepare)] = &[
    ("create a small file", |world| {
        Operation::Change(world.create(FileKind::File, Content::Inline(Bytes::from_static(&[7; 200])), 200))
    }),
    ("create a file with an extent", |world| {
        let content = world.extent();
        Operation::Change(world.create(FileKind::File, content, BLOCK_LENGTH.into()))
    }),
    ("create a directory", |world| Operation::Change(world.create(FileKind::Directory, Content::Empty, 0))),
    ("link", |world| of_file(world, |world, lin, _| Change::Link { lin, parent: Lin::ROOT, name: world.name() })),
    ("remove", |world| {
        of_file(world, |_, _, name| Change::Remove { parent: Lin::ROOT, name, expect: Removal::NotDirectory })
    }),
    ("rename", |world| {
        of_file(world, |world, _, from_name| {
            let (from_parent, to_parent) = (Lin::ROOT, Lin::ROOT);
            Change::Rename(Rename {
                from_parent,
                from_name,
                to_parent,
                to_name: world.name(),
                mode: RenameMode::Replace,
            })
        })
    }),
    ("set attributes", |world| {
        let changes = AttributeChanges { mode: Some(0o600), ..AttributeChanges::default() };
        of_file(world, |_, lin, _| Change::SetAttributes { lin, changes })
    }),
    ("set an extended attribute", |world| {
        of_file(world, |_, lin, _| {
            let (name, value) = (Bytes::from_static(b"user.bench"), Bytes::from_static(&[5; 40]));
            Change::SetXattr { lin, name, value, mode: XattrMode::Any }
        })
    }),
    ("write inline", |world| {
        let content = Content::Inline(Bytes::from_static(&[8; 300]));
        of_file(world, |_, lin, _| Change::Write { lin, content, mtime: None })
    }),
    ("write an extent", |world| {
        of_file(world, |world, lin, _| Change::Write { lin, content: world.extent(), mtime: None })
    }),
    ("clear a range", |world| {
        let content = world.extent();
        let create = world.create(FileKind::File, content, BLOCK_LENGTH.into());
        let Outcome::Inode(file) = world.change(create) else { panic!("a file") };
        let (length, clearing) = (BLOCK_LENGTH.into(), Clearing::KeepLength);
        Operation::Change(Change::ClearRange { lin: file.lin, offset: 0, length, clearing, mtime: None })
    }),
    ("append some bytes", |world| {
        let content = Content::Inline(Bytes::from_static(&[8; 100]));
        of_file(world, |_, lin, _| Change::Append(Append { lin, content, mtime: None }))
    }),
    ("clone a file of one extent", |world| {
        let content = world.extent();
        let create = world.create(FileKind::File, content, BLOCK_LENGTH.into());
        let Outcome::Inode(from) = world.change(create) else { panic!("a file") };
        of_file(world, |_, to, _| {
            let (snapshot, mtime, length) = (None, None, BLOCK_LENGTH.into());
            Change::Clone(CloneRange { from: from.lin, snapshot, from_offset: 0, to, to_offset: 0, length, mtime })
        })
    }),
    ("open a session", |_| Operation::OpenSession { label: "bench".to_owned() }),
    ("raise a block mark", |world| Operation::RaiseBlockMark { session: world.session, mark: world.blocks }),
    ("add a node", |world| {
        let key_fingerprint = format!("{:064x}", world.next);
        let node = NewNode { address: "127.0.0.1:1".to_owned(), volumes: vec![VolumeId(Uuid::nil())], key_fingerprint };
        Operation::Register(Registration::AddNode(node))
    }),
    // Last: from here on every change keeps the row before it.
    ("take a snapshot", |world| Operation::Change(Change::CreateSnapshot { name: format!("snapshot {}", world.next) })),
];

fn apply(criterion: &mut Criterion) {
    let mut world = World::new();
    let mut group = criterion.benchmark_group("apply");
    for (name, prepare) in OPERATIONS {
        let store = world.store.clone();
        // One at a time: entries are applied in their order.
        group.bench_function(*name, |bencher| {
            let prepared = || {
                let operation = prepare(&mut world);
                world.entry(operation)
            };
            bencher.iter_batched(prepared, |entry| run(&store, &entry), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
