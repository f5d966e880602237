//! Every invariant that the check knows, broken behind the store's back: the check has to name the row.

use bytes::Bytes;
use tempfile::TempDir;
use types::{
    Batch, BlockId, CLONE_ALIGNMENT, Change, CloneRange, Content, Create, Digest, Extent, FileKind, Lin, Name,
    NewExtent, NewInode, NewNode, NodeId, Operation, Outcome, PgId, PgVersion, Registration, Removal, Request,
    RequestKey, SeatSet, SessionId, SnapshotId, Timestamp, VolumeId, XattrMode,
};
use uuid::Uuid;

use super::check;
use crate::database::Database;
use crate::family::Family;
use crate::keys::{Key as _, KeyRange};
use crate::overlay::Overlay;
use crate::places::PlaceKey;
use crate::read::Read as _;
use crate::rows::{Present, encode};
use crate::store::{Entry, Store};
use crate::tables::{Blocks, References, Table};

/// A store with something of everything, closed, and what lies where in it.
struct World {
    _folder: TempDir,
    database: Database,
    session: SessionId,
    /// A file of two blocks; a part of the second one was overwritten after the snapshot.
    file: Lin,
    /// The clone of its first block.
    clone: Lin,
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

fn name(text: &str) -> Name {
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
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut feed = Feed { store: Store::open(&path).unwrap(), index: 0 };
        let session = feed.found();
        let directory = feed.make(Lin::ROOT, "d", FileKind::Directory);
        let file = feed.make(directory, "f", FileKind::File);
        feed.write(file, Content::Extents(vec![extent(session, 1, 0, 5000), extent(session, 2, 5000, 100)]));
        feed.change(Change::Link { lin: file, parent: Lin::ROOT, name: name("second") });
        let (xattr, mode) = (Bytes::from_static(b"user.x"), XattrMode::Any);
        feed.change(Change::SetXattr { lin: file, name: xattr.clone(), value: Bytes::new(), mode });
        feed.make(directory, "link", FileKind::Symlink);
        let inline = feed.make(directory, "inline", FileKind::File);
        feed.write(inline, Content::Inline(Bytes::from_static(b"hello")));
        feed.make(directory, "gone", FileKind::File);
        feed.snapshot("first");
        feed.write(file, Content::Extents(vec![extent(session, 3, 5010, 10)]));
        feed.change(Change::RemoveXattr { lin: file, name: xattr });
        let remove = |text| Change::Remove { parent: directory, name: name(text), expect: Removal::NotDirectory };
        feed.change(remove("gone"));
        feed.snapshot("second");
        let freed = feed.make(directory, "freed", FileKind::File);
        feed.write(freed, Content::Extents(vec![extent(session, 4, 0, 10)]));
        feed.change(remove("freed"));
        let clone = feed.make(directory, "clone", FileKind::File);
        let (from_offset, to_offset, length) = (0, 0, CLONE_ALIGNMENT);
        let range = CloneRange { from: file, snapshot: None, from_offset, to: clone, to_offset, length, mtime: None };
        feed.change(Change::Clone(range));
        let key = RequestKey { session, sequence: 1, low_water: 1 };
        feed.request(Some(key), Operation::Change(remove("inline")));
        drop(feed);
        let database = Database::open(&path).unwrap();
        assert_eq!(check(&database).unwrap(), []);
        Self { _folder: folder, database, session, file, clone }
    }

    /// Does something to the rows that no operation does, and looks for the fault that the check has to find.
    fn break_rows(&self, what: impl FnOnce(&mut Rows<'_>), family: Family, reason: &str) {
        let mut rows = Rows(Overlay::new(&self.database));
        what(&mut rows);
        let faults = check(&rows.0).unwrap();
        let named = faults.iter().any(|fault| fault.family == family && fault.reason.contains(reason));
        assert!(named, "no fault of {} says {reason:?}: {faults:#?}", family.name());
    }

    fn block(&self, sequence: u64) -> BlockId {
        BlockId { session: self.session, sequence }
    }

    /// The place of the first block in a file.
    fn place(&self, lin: Lin) -> PlaceKey {
        let places: Vec<_> = self.database.rows::<References>(KeyRange::all()).map(|row| row.unwrap().0).collect();
        places.into_iter().find(|place| place.content.lin == lin).unwrap()
    }
}

/// Rows that are written as they are.
struct Rows<'a>(Overlay<'a>);

impl Rows<'_> {
    fn put<T: Table>(&mut self, key: &T::Key, row: &T::Row) {
        self.0.write(T::FAMILY, key.encode(), Some(encode(row)));
    }

    fn delete<T: Table>(&mut self, key: &T::Key) {
        self.0.write(T::FAMILY, key.encode(), None);
    }
}

#[test]
fn a_block_in_use_counts_as_one_and_no_other_does() {
    let world = World::new();
    let reason = "its block does not count as one in use";
    world.break_rows(|rows| rows.delete::<Blocks>(&world.block(1)), Family::Extent, reason);
    world.break_rows(|rows| rows.delete::<Blocks>(&world.block(2)), Family::ExtentHistory, reason);
    let more = |rows: &mut Rows<'_>| rows.put::<Blocks>(&world.block(77), &Present);
    world.break_rows(more, Family::Block, "no extent uses it");
}

#[test]
fn the_places_of_a_cloned_block_are_its_references() {
    let world = World::new();
    for lin in [world.file, world.clone] {
        let place = world.place(lin);
        let reason = "its place is not among those of its block";
        world.break_rows(|rows| rows.delete::<References>(&place), Family::Extent, reason);
    }
    let both = [world.place(world.file), world.place(world.clone)];
    let none = |rows: &mut Rows<'_>| both.iter().for_each(|place| rows.delete::<References>(place));
    world.break_rows(none, Family::Block, "it has 2 places, and none of them is named");
    let elsewhere = PlaceKey { start: both[0].start + 1, ..both[0] };
    let more = |rows: &mut Rows<'_>| rows.put::<References>(&elsewhere, &Present);
    world.break_rows(more, Family::Reference, "no extent uses the block there");
    let of_another = PlaceKey { block: world.block(3), ..both[0] };
    let more = |rows: &mut Rows<'_>| rows.put::<References>(&of_another, &Present);
    world.break_rows(more, Family::Extent, "its place is not among those of its block");
}
