//! A store that is fed as a log feeds it.

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use namespace::{Entry, Store};
use runtime::Seed;
use types::{
    AttributeChanges, Batch, BlockId, Change, Content, Create, Digest, Extent, FileKind, Lin, Name, NewExtent,
    NewInode, NewNode, Operation, Outcome, PgId, PgVersion, Registration, Request, RequestKey, SeatSet, SessionId,
    Snapshot, SnapshotId, Timestamp, VolumeId,
};

/// Requests of one entry: what a busy leader collects.
pub const ENTRY_REQUESTS: u64 = 500;
/// Placement groups of the pool.
const GROUPS: u32 = 64;
/// Bytes of a file that lies in its inode.
const INLINE_BYTES: usize = 200;
/// Bytes of a file that lies in a block.
const BLOCK_BYTES: u32 = 300_000;

/// A store with a client's session in it, and the end of its log.
pub struct Feed {
    pub store: Store,
    seed: Seed,
    session: SessionId,
    index: u64,
    /// The session's next request.
    sequence: u64,
    /// The session's next block.
    block: u64,
}

impl Feed {
    /// Forms a cluster in an empty store and opens a session.
    pub fn new(store: Store, seed: Seed) -> Result<Self> {
        let mut feed = Self { store, seed, session: SessionId(0), index: 0, sequence: 1, block: 0 };
        let mut nodes = Vec::new();
        for number in 1..=3 {
            let node = NewNode {
                address: format!("node-{number}:7400"),
                volumes: vec![VolumeId(feed.seed.uuid())],
                key_fingerprint: format!("{number:064x}"),
            };
            match feed.run(Operation::Register(Registration::AddNode(node)))? {
                Outcome::Node(node) => nodes.push(node.id),
                other => bail!("adding a node gave {other:?}"),
            }
        }
        feed.run(Operation::Register(Registration::FormPool { replicas: 3, groups: GROUPS, nodes }))?;
        match feed.run(Operation::OpenSession { label: "load".to_owned() })? {
            Outcome::Session(session) => feed.session = session,
            other => bail!("opening a session gave {other:?}"),
        }
        Ok(feed)
    }

    /// Makes a directory in the root.
    pub fn make_directory(&mut self, name: &str) -> Result<Lin> {
        let create = create(Lin::ROOT, name, FileKind::Directory, Content::Empty, 0)?;
        let outcomes = self.change(vec![create])?;
        outcomes.first().and_then(lin_of).context("a directory has an inode")
    }

    /// Makes files in a directory by one entry. One half lies in the inodes, the other in one block each.
    pub fn make_files(&mut self, directory: Lin, numbers: std::ops::Range<u64>) -> Result<()> {
        let creates = numbers.map(|number| {
            let content = if number.is_multiple_of(2) { self.inline() } else { self.in_a_block() };
            let size = if number.is_multiple_of(2) { INLINE_BYTES as u64 } else { u64::from(BLOCK_BYTES) };
            create(directory, &file_name(number), FileKind::File, content, size)
        });
        let creates = creates.collect::<Result<Vec<_>>>()?;
        self.change(creates).map(drop)
    }

    /// Changes the mode of files.
    pub fn change_modes(&mut self, lins: &[Lin], mode: u32) -> Result<()> {
        let changes = AttributeChanges { mode: Some(mode), ..AttributeChanges::default() };
        let change = |lin: &Lin| Change::SetAttributes { lin: *lin, changes: changes.clone() };
        self.change(lins.iter().map(change).collect()).map(drop)
    }

    /// Takes a snapshot.
    pub fn snapshot(&mut self, name: &str) -> Result<Snapshot> {
        match self.change(vec![Change::CreateSnapshot { name: name.to_owned() }])?.pop() {
            Some(Outcome::Snapshot(snapshot)) => Ok(snapshot),
            other => bail!("taking a snapshot gave {other:?}"),
        }
    }

    /// Drops a snapshot and everything that only it sees.
    pub fn drop_snapshot(&mut self, snapshot: SnapshotId) -> Result<()> {
        self.change(vec![Change::DeleteSnapshot { snapshot }])?;
        loop {
            let step = Change::DropStep { snapshot, rows_max: 10_000 };
            if let Some(Outcome::Remaining(0)) = self.change(vec![step])?.pop() {
                return Ok(());
            }
        }
    }

    fn inline(&self) -> Content {
        Content::Inline(Bytes::copy_from_slice(&self.seed.bytes::<INLINE_BYTES>()))
    }

    fn in_a_block(&mut self) -> Content {
        let block = BlockId { session: self.session, sequence: self.block };
        let pg = PgId(1 + u32::try_from(self.block % u64::from(GROUPS)).unwrap_or_default());
        self.block += 1;
        let digest = Digest(self.seed.bytes());
        let (length, block_length) = (BLOCK_BYTES, BLOCK_BYTES);
        let extent = Extent { offset: 0, length, block, block_offset: 0, block_length, digest, pg };
        Content::Extents(vec![NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet(0b111) }])
    }

    /// Applies changes of the session by one entry; every one has to succeed.
    fn change(&mut self, changes: Vec<Change>) -> Result<Vec<Outcome>> {
        let low_water = self.sequence;
        self.sequence += changes.len() as u64;
        let keyed = |(sequence, change)| {
            let key = RequestKey { session: self.session, sequence, low_water };
            Request { key: Some(key), operation: Operation::Change(change) }
        };
        let requests = (low_water..).zip(changes).map(keyed).collect();
        self.apply(requests)
    }

    fn run(&mut self, operation: Operation) -> Result<Outcome> {
        self.apply(vec![Request { key: None, operation }])?.pop().context("an operation has a result")
    }

    fn apply(&mut self, requests: Vec<Request>) -> Result<Vec<Outcome>> {
        self.index += 1;
        let index = self.index;
        let proposed_at = Timestamp { seconds: i64::try_from(index)?, nanoseconds: 0 };
        let position = Bytes::copy_from_slice(&index.to_be_bytes());
        let entry = Entry { index, position, membership: None, batch: Some(Batch { proposed_at, requests }) };
        let results = self.store.apply(&[entry])?.pop().context("an entry has results")?;
        results.into_iter().map(|result| result.map_err(|refused| anyhow!("entry {index}: {refused}"))).collect()
    }
}

/// What the file of that number is called.
pub fn file_name(number: u64) -> String {
    format!("file-{number:08}")
}

fn lin_of(outcome: &Outcome) -> Option<Lin> {
    if let Outcome::Inode(attributes) = outcome { Some(attributes.lin) } else { None }
}

fn create(parent: Lin, name: &str, kind: FileKind, content: Content, size: u64) -> Result<Change> {
    let inode = NewInode {
        kind,
        mode: if kind == FileKind::Directory { 0o755 } else { 0o644 },
        uid: 1000,
        gid: 1000,
        atime: None,
        mtime: None,
        target: Bytes::new(),
        xattrs: Vec::new(),
        content,
        size,
    };
    let name = Name::new(name.to_owned()).context("a name of ours")?;
    Ok(Change::Create(Create { parent, name, inode, replace: false }))
}
