//! The store that the tests break, and how they do it.

use bytes::Bytes;
use tempfile::TempDir;
use types::{
    Append, Batch, BlockId, CLONE_ALIGNMENT, Change, CloneRange, Content, Create, Digest, Extent, FileKind, Lin, Lock,
    LockKind, LockMode, LockRange, Name, NewExtent, NewInode, NewNode, NodeId, Operation, Outcome, PgId, PgVersion,
    Registration, Removal, Request, RequestKey, Revision, SeatSet, SessionId, SnapshotId, Timestamp, VolumeId,
    XattrMode,
};
use uuid::Uuid;

use crate::check::check;
use crate::database::Database;
use crate::family::Family;
use crate::history::{Moment, history_key, version, versions};
use crate::keys::{DeadKey, EntryKey, ExtentKey, Key as _, KeyRange};
use crate::meta;
use crate::overlay::Overlay;
use crate::places::PlaceKey;
use crate::read::Read as _;
use crate::rows::{Dated, ExtentRow, ProgressRow, RunRow, SessionRow, encode};
use crate::store::{Entry, Store};
use crate::tables::{Deadlist, Extents, References, Sessions, Table, Versioned};

/// A store with something of everything, closed, and what lies where in it.
pub(super) struct World {
    _folder: TempDir,
    pub(super) database: Database,
    pub(super) session: SessionId,
    /// A directory.
    pub(super) directory: Lin,
    /// One in it.
    pub(super) below: Lin,
    /// A file of two blocks; a part of the second one was overwritten after the first snapshot. Owner 7 of the session has
    /// its bytes from 10 to 20 locked, shared.
    pub(super) file: Lin,
    /// The clone of its first block.
    pub(super) clone: Lin,
    /// A file without a name, which the session holds.
    pub(super) held: Lin,
    /// A file of two tails, one of 5000 bytes and one of 7.
    pub(super) tailed: Lin,
    /// The snapshots; the session pins the first one.
    pub(super) first: SnapshotId,
    pub(super) second: SnapshotId,
}

/// Feeds a store.
struct Feed {
    store: Store,
    index: u64,
}

impl Feed {
    fn request(&mut self, key: Option<RequestKey>, operation: Operation) -> Outcome {
        self.index += 1;
        let proposed_at = Timestamp { seconds: i64::try_from(self.index).unwrap(), nanoseconds: 0 };
        let batch = Some(Batch { proposed_at, requests: vec![Request { key, operation }] });
        let entry = Entry { index: self.index, position: Bytes::from_static(b"1"), membership: None, batch };
        self.store.apply(&[entry]).unwrap().remove(0).remove(0).unwrap()
    }

    fn run(&mut self, operation: Operation) -> Outcome {
        self.request(None, operation)
    }

    fn change(&mut self, change: Change) -> Outcome {
        self.run(Operation::Change(change))
    }

    fn make(&mut self, parent: Lin, text: &str, kind: FileKind) -> Lin {
        let target = if kind == FileKind::Symlink { Bytes::from_static(b"target") } else { Bytes::new() };
        let inode = NewInode {
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
        };
        match self.change(Change::Create(Create { parent, name: name(text), inode, replace: false })) {
            Outcome::Inode(made) => made.lin,
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, lin: Lin, content: Content) {
        self.change(Change::Write { lin, content, mtime: None });
    }

    fn snapshot(&mut self, name: &str) -> SnapshotId {
        match self.change(Change::CreateSnapshot { name: name.into() }) {
            Outcome::Snapshot(taken) => taken.id,
            other => panic!("{other:?}"),
        }
    }

    /// Three nodes, a pool and a session.
    fn found(&mut self) -> SessionId {
        let nodes = (1..=3_u128).map(|number| {
            let (address, volumes) = (format!("n{number}:1"), vec![VolumeId(Uuid::from_u128(number))]);
            let node = NewNode { address, volumes, key_fingerprint: number.to_string() };
            match self.run(Operation::Register(Registration::AddNode(node))) {
                Outcome::Node(node) => node.id,
                other => panic!("{other:?}"),
            }
        });
        let nodes: Vec<NodeId> = nodes.collect();
        self.run(Operation::Register(Registration::FormPool { replicas: 3, groups: 2, nodes }));
        match self.run(Operation::OpenSession { label: "test".into() }) {
            Outcome::Session(session) => session,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::new(text.to_owned()).unwrap()
}

/// A whole block; its third copy is missing.
fn extent(session: SessionId, sequence: u64, offset: u64, length: u32) -> NewExtent {
    let block = BlockId { session, sequence };
    let digest = Digest([u8::try_from(sequence).unwrap(); 32]);
    let extent = Extent { offset, length, block, block_offset: 0, block_length: length, digest, pg: PgId(1) };
    NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(0b011) }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut feed = Feed { store: Store::open(&path).unwrap(), index: 0 };
        let session = feed.found();
        let directory = feed.make(Lin::ROOT, "d", FileKind::Directory);
        let below = feed.make(directory, "below", FileKind::Directory);
        let file = feed.make(directory, "f", FileKind::File);
        feed.write(file, Content::Extents(vec![extent(session, 1, 0, 5000), extent(session, 2, 5000, 100)]));
        feed.change(Change::Link { lin: file, parent: Lin::ROOT, name: name("second") });
        let (xattr, mode) = (Bytes::from_static(b"user.x"), XattrMode::Any);
        feed.change(Change::SetXattr { lin: file, name: xattr.clone(), value: Bytes::new(), mode });
        feed.change(Change::SetXattr { lin: directory, name: xattr.clone(), value: Bytes::new(), mode });
        feed.make(directory, "link", FileKind::Symlink);
        let inline = feed.make(directory, "inline", FileKind::File);
        feed.write(inline, Content::Inline(Bytes::from_static(b"hello")));
        feed.make(directory, "gone", FileKind::File);
        let first = feed.snapshot("first");
        feed.write(file, Content::Extents(vec![extent(session, 3, 5010, 10)]));
        feed.change(Change::RemoveXattr { lin: file, name: xattr });
        let remove = |text| Change::Remove { parent: directory, name: name(text), expect: Removal::NotDirectory };
        feed.change(remove("gone"));
        let second = feed.snapshot("second");
        let freed = feed.make(directory, "freed", FileKind::File);
        feed.write(freed, Content::Extents(vec![extent(session, 4, 0, 10)]));
        feed.change(remove("freed"));
        let clone = feed.make(directory, "clone", FileKind::File);
        let (from_offset, to_offset, length) = (0, 0, CLONE_ALIGNMENT);
        let range = CloneRange { from: file, snapshot: None, from_offset, to: clone, to_offset, length, mtime: None };
        feed.change(Change::Clone(range));
        let tailed = feed.make(directory, "tailed", FileKind::File);
        for bytes in [vec![b'x'; 5000], vec![b'y'; 7]] {
            feed.change(Change::Append(Append { lin: tailed, content: Content::Inline(bytes.into()), mtime: None }));
        }
        let key = RequestKey { session, sequence: 1, low_water: 1 };
        feed.request(Some(key), Operation::Change(remove("inline")));
        let held = feed.make(directory, "held", FileKind::File);
        let key = RequestKey { sequence: 2, ..key };
        feed.request(Some(key), Operation::Change(Change::Hold { lin: held }));
        feed.change(remove("held"));
        let range = LockRange { start: 10, end: 20 };
        let lock = Lock { kind: LockKind::Range, owner: 7, range, mode: LockMode::Shared };
        let key = RequestKey { sequence: 3, ..key };
        feed.request(Some(key), Operation::Change(Change::Lock { lin: file, lock }));
        let pin = Change::PinSnapshot { snapshot: first, label: "reader".into() };
        feed.request(Some(RequestKey { sequence: 4, ..key }), Operation::Change(pin));
        drop(feed);
        let database = Database::open(&path).unwrap();
        assert_eq!(check(&database).unwrap(), []);
        Self { _folder: folder, database, session, directory, below, file, clone, held, tailed, first, second }
    }

    /// Does something to the rows that no operation does, and looks for the fault that the check has to find.
    pub(super) fn break_rows(&self, what: impl FnOnce(&mut Rows<'_>), family: Family, reason: &str) {
        let mut rows = Rows(Overlay::new(&self.database));
        what(&mut rows);
        let faults = check(&rows.0).unwrap();
        let named = faults.iter().any(|fault| fault.family == family && fault.reason.contains(reason));
        assert!(named, "no fault of {} says {reason:?}: {faults:#?}", family.name());
    }

    pub(super) fn block(&self, sequence: u64) -> BlockId {
        BlockId { session: self.session, sequence }
    }

    pub(super) fn entry(&self, text: &str) -> EntryKey {
        EntryKey { parent: self.directory, name: name(text) }
    }

    /// The extents of a file, orphans included.
    pub(super) fn extents(&self, lin: Lin) -> Vec<(ExtentKey, Dated<RunRow>)> {
        versions::<Extents>(&self.database, Moment::Head, KeyRange::prefix(lin.encode())).map(Result::unwrap).collect()
    }

    /// What dies with a snapshot, of one family.
    pub(super) fn dead(&self, family: Family) -> DeadKey {
        let all = self.database.rows::<Deadlist>(KeyRange::all()).map(|row| row.unwrap().0);
        all.into_iter().find(|dead| dead.family == family).unwrap()
    }

    /// The place of the first block in a file.
    pub(super) fn place(&self, lin: Lin) -> PlaceKey {
        let places: Vec<_> = self.database.rows::<References>(KeyRange::all()).map(|row| row.unwrap().0).collect();
        places.into_iter().find(|place| place.content.lin == lin).unwrap()
    }
}

/// Rows that are written as they are.
pub(super) struct Rows<'a>(pub(super) Overlay<'a>);

impl Rows<'_> {
    /// Changes a row of the head.
    pub(super) fn edit<T: Versioned>(&mut self, key: &T::Key, what: impl FnOnce(&mut Dated<T::Row>)) {
        let mut version = version::<T>(&self.0, Moment::Head, key).unwrap().unwrap();
        what(&mut version);
        self.0.write(T::FAMILY, key.encode(), Some(encode(&version)));
    }

    /// Puts a row of the head.
    pub(super) fn put_head<T: Versioned>(&mut self, key: &T::Key, birth: Revision, row: T::Row) {
        self.0.write(T::FAMILY, key.encode(), Some(encode(&Dated { revision: birth, row })));
    }

    /// Puts an old version.
    pub(super) fn put_old<T: Versioned>(&mut self, key: &T::Key, (birth, death): (u64, u64), row: T::Row) {
        let key = history_key(&key.encode(), Revision(birth));
        self.0.write(T::HISTORY, key, Some(encode(&Dated { revision: Revision(death), row })));
    }

    /// Changes a row of a range of a block.
    pub(super) fn edit_extent(&mut self, key: ExtentKey, what: impl FnOnce(&mut ExtentRow)) {
        self.edit::<Extents>(&key, |version| match &mut version.row {
            RunRow::Block(extent) => what(extent),
            tail @ RunRow::Tail(_) => panic!("{tail:?}"),
        });
    }

    pub(super) fn edit_progress(&mut self, what: impl FnOnce(&mut ProgressRow)) {
        let mut progress = meta::progress(&self.0).unwrap();
        what(&mut progress);
        self.0.write(Family::Meta, meta::PROGRESS_KEY.to_vec(), Some(encode(&progress)));
    }

    pub(super) fn edit_session(&mut self, id: SessionId, what: impl FnOnce(&mut SessionRow)) {
        let mut session = self.0.row::<Sessions>(&id).unwrap().unwrap();
        what(&mut session);
        self.put::<Sessions>(&id, &session);
    }

    pub(super) fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) {
        self.0.write(T::FAMILY, key.encode(), Some(encode(row)));
    }

    pub(super) fn delete<T: Table>(&mut self, key: &T::Key) {
        self.0.write(T::FAMILY, key.encode(), None);
    }
}
