//! A state store for tests: operations go straight into it, without a log.

use bytes::Bytes;
use namespace::{Entry, Store, View};
use types::{
    AttributeChanges, Batch, Change, Content, Create, FileKind, Lin, Name, NewInode, Operation, Outcome, Removal,
    Rename, RenameMode, Request, RequestKey, SnapshotId, Timestamp,
};

/// A store in a folder of its own.
pub struct World {
    store: Store,
    index: u64,
    _folder: tempfile::TempDir,
}

impl World {
    /// Makes a store that holds the root directory alone.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("state")).unwrap();
        Self { store, index: 0, _folder: folder }
    }

    /// Applies an operation that must succeed.
    pub fn apply(&mut self, operation: Operation) -> Outcome {
        self.try_apply(operation).unwrap()
    }

    /// Applies an operation.
    pub fn try_apply(&mut self, operation: Operation) -> Result<Outcome, types::OperationError> {
        self.request(Request { key: None, operation })
    }

    fn request(&mut self, request: Request) -> Result<Outcome, types::OperationError> {
        self.index += 1;
        let proposed_at = Timestamp { seconds: 1_000_000 + self.index as i64, nanoseconds: 0 };
        let batch = Some(Batch { proposed_at, requests: vec![request] });
        let entry = Entry { index: self.index, position: Bytes::new(), membership: None, batch };
        self.store.apply(&[entry]).unwrap().remove(0).remove(0)
    }

    /// The state now.
    pub fn view(&self) -> View {
        self.store.view().unwrap()
    }

    /// Makes a directory.
    pub fn mkdir(&mut self, parent: Lin, name: &str) -> Lin {
        self.create(parent, name, FileKind::Directory, Content::Empty, 0)
    }

    /// Makes a file with inline content.
    pub fn file(&mut self, parent: Lin, name: &str, content: &[u8]) -> Lin {
        let size = content.len() as u64;
        self.create(parent, name, FileKind::File, Content::Inline(Bytes::copy_from_slice(content)), size)
    }

    /// Makes anything.
    pub fn create(&mut self, parent: Lin, name: &str, kind: FileKind, content: Content, size: u64) -> Lin {
        let target = if kind == FileKind::Symlink { Bytes::from_static(b"target") } else { Bytes::new() };
        let inode = NewInode {
            kind,
            mode: 0o640,
            uid: 1,
            gid: 2,
            atime: None,
            mtime: None,
            target,
            xattrs: Vec::new(),
            content,
            size,
        };
        let create = Create { parent, name: Name::new(name.to_owned()).unwrap(), inode, replace: false };
        match self.apply(Operation::Change(Change::Create(create))) {
            Outcome::Inode(attributes) => attributes.lin,
            other => panic!("{other:?}"),
        }
    }

    /// Lets a new session hold a file.
    pub fn hold(&mut self, lin: Lin) {
        let Outcome::Session(session) = self.apply(Operation::OpenSession { label: String::new() }) else {
            panic!("no session was opened")
        };
        let key = Some(RequestKey { session, sequence: 1, low_water: 1 });
        self.request(Request { key, operation: Operation::Change(Change::Hold { lin }) }).unwrap();
    }

    /// Sets a mode.
    pub fn chmod(&mut self, lin: Lin, mode: u32) {
        let changes = AttributeChanges { mode: Some(mode), ..AttributeChanges::default() };
        self.apply(Operation::Change(Change::SetAttributes { lin, changes }));
    }

    /// Gives a file another name.
    pub fn link(&mut self, lin: Lin, parent: Lin, name: &str) {
        let name = Name::new(name.to_owned()).unwrap();
        self.apply(Operation::Change(Change::Link { lin, parent, name }));
    }

    /// Moves a name.
    pub fn rename(&mut self, from_parent: Lin, from: &str, to_parent: Lin, to: &str) {
        let (from_name, to_name) = (Name::new(from.to_owned()).unwrap(), Name::new(to.to_owned()).unwrap());
        let mode = RenameMode::Replace;
        self.apply(Operation::Change(Change::Rename(Rename { from_parent, from_name, to_parent, to_name, mode })));
    }

    /// Removes a name.
    pub fn remove(&mut self, parent: Lin, name: &str, expect: Removal) {
        let name = Name::new(name.to_owned()).unwrap();
        self.apply(Operation::Change(Change::Remove { parent, name, expect }));
    }

    /// Takes a snapshot.
    pub fn snapshot(&mut self, name: &str) -> SnapshotId {
        match self.apply(Operation::Change(Change::CreateSnapshot { name: name.to_owned() })) {
            Outcome::Snapshot(snapshot) => snapshot.id,
            other => panic!("{other:?}"),
        }
    }
}
