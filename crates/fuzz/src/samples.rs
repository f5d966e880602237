//! Operations as clients and nodes propose them: real ones, from which the fuzzer begins.

use bytes::Bytes;
use types::{
    Batch, BlockId, Change, Clearing, ClusterId, Content, Create, Device, Digest, Extent, FileKind, Generation,
    JobOperation, Lin, Name, NewExtent, NewInode, NewNode, NodeId, Operation, PgId, PgVersion, PolicyId, Registration,
    Removal, Rename, RenameMode, RepositoryId, Request, RequestKey, Root, SeatSet, SessionId, Shrinkage, Site, SiteId,
    Timestamp, VolumeId, XattrMode,
};
use uuid::Uuid;

const TIME: Timestamp = Timestamp { seconds: 1_700_000_000, nanoseconds: 5 };

/// Enough operations to write rows of most families; the numbers that they name are those of the entries before.
#[must_use]
pub fn batch() -> Batch {
    let mut operations = vec![
        Operation::OpenSession { label: "fuzz".to_owned() },
        Operation::Register(Registration::AddNode(new_node())),
        Operation::Register(Registration::FormPool { replicas: 1, groups: 2, nodes: vec![NodeId(2)] }),
        Operation::Register(Registration::AddSite(site())),
        Operation::Register(Registration::KitExported { site: SiteId(4) }),
    ];
    operations.extend(changes().into_iter().map(Operation::Change));
    let roots = vec![Root { lin: Lin::ROOT, path: "/".into() }];
    operations.push(Operation::Register(Registration::CreatePolicy { name: "all".to_owned(), roots, site: SiteId(4) }));
    let policy = PolicyId(operations.len() as u64);
    operations.push(Operation::Job(JobOperation::Start {
        policy,
        coordinator: NodeId(2),
        shrinkage: Shrinkage::default(),
    }));
    operations.push(Operation::Tick { after: 0 });
    operations.push(Operation::RaiseBlockMark { session: SessionId(1), mark: 2 });
    let requests = (1..).zip(operations).map(|(sequence, operation)| {
        let key = RequestKey { session: SessionId(1), sequence, low_water: sequence.saturating_sub(2) };
        Request { key: (sequence > 5).then_some(key), operation }
    });
    Batch { proposed_at: TIME, requests: requests.collect() }
}

/// A change of each kind.
#[must_use]
pub fn changes() -> Vec<Change> {
    let [directory, file, link] = [6, 7, 8].map(Lin);
    let name = |text: &str| Name::new(text.to_owned()).expect("a name");
    let extents = Content::Extents(vec![new_extent()]);
    vec![
        create("directory", FileKind::Directory, Content::Empty),
        create("file", FileKind::File, Content::Inline(Bytes::from_static(b"some bytes"))),
        create("link", FileKind::Symlink, Content::Empty),
        create("device", FileKind::CharDevice, Content::Device(Device { major: 1, minor: 3 })),
        Change::Link { lin: file, parent: directory, name: name("other") },
        Change::CreateSnapshot { name: "before".to_owned() },
        Change::Write { lin: file, content: extents, mtime: Some(TIME) },
        Change::SetXattr { lin: file, name: "user.a".into(), value: "b".into(), mode: XattrMode::Any },
        Change::SetAttributes { lin: link, changes: types::AttributeChanges::default() },
        Change::Rename(Rename {
            from_parent: Lin::ROOT,
            from_name: name("file"),
            to_parent: directory,
            to_name: name("moved"),
            mode: RenameMode::Replace,
        }),
        Change::Remove { parent: Lin::ROOT, name: name("link"), expect: Removal::NotDirectory },
        Change::ClearRange { lin: file, offset: 10, length: 20, clearing: Clearing::KeepLength, mtime: None },
        Change::RemoveXattr { lin: file, name: "user.a".into() },
        Change::AcknowledgeFreed { node: NodeId(2), blocks: vec![new_extent().extent.block] },
    ]
}

/// A cluster, for what names one.
#[must_use]
pub const fn cluster() -> ClusterId {
    ClusterId(Uuid::from_u128(11))
}

/// A repository, for what names one.
#[must_use]
pub const fn repository() -> RepositoryId {
    RepositoryId(Uuid::from_u128(13))
}

fn create(name: &str, kind: FileKind, content: Content) -> Change {
    let size = match &content {
        Content::Inline(bytes) => bytes.len() as u64,
        _ => 0,
    };
    let target = if kind == FileKind::Symlink { Bytes::from_static(b"../target") } else { Bytes::new() };
    let xattrs = vec![(Bytes::from_static(b"user.kind"), Bytes::from_static(b"fuzz"))];
    let name = Name::new(name.to_owned()).expect("a name");
    let inode =
        NewInode { kind, mode: 0o640, uid: 7, gid: 8, atime: None, mtime: Some(TIME), target, xattrs, content, size };
    Change::Create(Create { parent: Lin::ROOT, name, inode, replace: false })
}

fn new_extent() -> NewExtent {
    let extent = Extent {
        offset: 0,
        length: 5000,
        block: BlockId { session: SessionId(1), sequence: 1 },
        block_offset: 0,
        block_length: 5000,
        digest: Digest([9; 32]),
        pg: PgId(1),
    };
    NewExtent { extent, pg_version: PgVersion(1), acknowledged: SeatSet::default().with(0) }
}

fn new_node() -> NewNode {
    let volumes = vec![VolumeId(Uuid::from_u128(21))];
    NewNode { address: "127.0.0.1:7400".to_owned(), volumes, key_fingerprint: "ab".repeat(32) }
}

fn site() -> Site {
    Site::proposed("cloud".to_owned(), "file:///srv/backup".to_owned(), repository(), Generation(1))
}
