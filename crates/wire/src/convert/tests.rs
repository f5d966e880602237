use bytes::Bytes;
use types::{
    Account, Append, AttributeChanges, Attributes, BlockId, Change, Clearing, CloneRange, CommitReference,
    CommitTicket, Content, Create, Device, Digest, Epoch, Extent, Fence, FileKind, Generation, Job, JobId, JobPhase,
    JobTotals, Limits, Lin, Lock, LockKind, LockMode, LockRange, Name, NewExtent, NewInode, Node, NodeId, ObjectReport,
    OperationError, Outcome, PgId, PgVersion, PlacementGroup, Policy, PolicyId, Pool, PoolId, Quota, QuotaState,
    Removal, Rename, RenameMode, RepositoryId, Revision, Rewrite, Root, Run, Seat, SeatSet, SeatState, SessionId,
    SetId, Shrinkage, Site, SiteId, SiteState, Snapshot, SnapshotId, SnapshotState, Tail, Timestamp, VolumeId,
    XattrMode,
};
use uuid::Uuid;

use super::Numbered as _;
use crate::{Failure, InvalidMessage, v1};

fn name(text: &str) -> Name {
    Name::new(text.to_owned()).unwrap()
}

const fn time(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanoseconds: 999_999_999 }
}

fn extent() -> Extent {
    Extent {
        offset: 1 << 40,
        length: 4096,
        block: BlockId { session: SessionId(u64::MAX), sequence: 7 },
        block_offset: 12,
        block_length: 1 << 20,
        digest: Digest([0xab; 32]),
        pg: PgId(9),
    }
}

fn attributes() -> Attributes {
    Attributes {
        lin: Lin(5),
        kind: FileKind::Symlink,
        mode: 0o4755,
        uid: 1,
        gid: 2,
        nlink: 3,
        size: u64::MAX,
        atime: time(-1),
        mtime: time(i64::MIN),
        ctime: time(i64::MAX),
    }
}

fn contents() -> [Content; 4] {
    let new = NewExtent { extent: extent(), pg_version: PgVersion(3), acknowledged: SeatSet(0b101) };
    let device = Device { major: 8, minor: u32::MAX };
    [Content::Empty, Content::Inline(Bytes::from_static(b"a\0b")), Content::Extents(vec![new]), Content::Device(device)]
}

fn create(content: Content) -> Change {
    let inode = NewInode {
        kind: FileKind::File,
        mode: 0o644,
        uid: 10,
        gid: 11,
        atime: None,
        mtime: Some(time(1)),
        target: Bytes::from_static(b"\xff/target"),
        xattrs: vec![(Bytes::from_static(b"user.a"), Bytes::from_static(b"\0"))],
        content,
        size: 9,
    };
    Change::Create(Create { parent: Lin::ROOT, name: name("file"), inode, replace: true })
}

#[test]
fn every_change_of_a_client_comes_back_as_it_was() {
    let (lin, parent) = (Lin(2), Lin(1));
    let range = LockRange { start: 3, end: 9 };
    let lock = Lock { kind: LockKind::Range, owner: 5, range, mode: LockMode::Exclusive };
    let mut changes = vec![
        Change::Link { lin, parent, name: name("l") },
        Change::Remove { parent, name: name("r"), expect: Removal::Directory },
        Change::SetAttributes { lin, changes: AttributeChanges { size: Some(0), ..Default::default() } },
        Change::SetXattr { lin, name: "user.x".into(), value: "v".into(), mode: XattrMode::Create },
        Change::Hold { lin },
        Change::PinSnapshot { snapshot: SnapshotId(4), label: "reader".into() },
        Change::UnpinSnapshot { snapshot: SnapshotId(4) },
        Change::Lock { lin, lock },
        Change::Unlock { lin, kind: LockKind::Whole, owner: u64::MAX, range: LockRange::ALL },
        Change::Release { lin },
        Change::RemoveXattr { lin, name: "user.x".into() },
        Change::ClearRange { lin, offset: 1, length: u64::MAX, clearing: Clearing::KeepLength, mtime: None },
        Change::ClearRange { lin, offset: 0, length: 2, clearing: Clearing::Extend, mtime: Some(time(5)) },
    ];
    changes.extend([None, Some(SnapshotId(0))].map(|snapshot| {
        let (from_offset, to_offset, length, mtime) = (3, 4, 5, Some(time(6)));
        Change::Clone(CloneRange { from: parent, snapshot, from_offset, to: lin, to_offset, length, mtime })
    }));
    changes.extend(contents().map(create));
    changes.extend(contents().map(|content| Change::Write { lin, content, mtime: Some(time(0)) }));
    changes.extend(contents().map(|content| Change::Append(Append { lin, content, mtime: None })));
    let new = NewExtent { extent: extent(), pg_version: PgVersion(3), acknowledged: SeatSet(0b11) };
    let as_of = Revision(u64::MAX);
    changes.push(Change::Rewrite(Rewrite { lin, offset: 1 << 40, length: 4096, as_of, extents: vec![new] }));
    changes.extend([RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange].map(|mode| {
        let (from_name, to_name) = (name("from"), name("to"));
        Change::Rename(Rename { from_parent: parent, from_name, to_parent: lin, to_name, mode })
    }));
    for change in changes {
        let message = v1::Change::try_from(change.clone()).unwrap();
        assert_eq!(Change::try_from(message).unwrap(), change);
    }
}

#[test]
fn quotas_come_back_as_they_were() {
    for account in [Account::Directory(Lin(u64::MAX)), Account::User(u32::MAX)] {
        assert_eq!(Account::try_from(v1::Account::from(account)), Ok(account));
        let limits = Limits { bytes: Some(0), inodes: None };
        for state in [QuotaState::Counting, QuotaState::Enforced] {
            let quota = Quota { account, limits, used_bytes: u64::MAX, used_inodes: 3, state };
            assert_eq!(Quota::try_from(v1::Quota::from(quota)), Ok(quota));
        }
    }
    assert_eq!(Account::try_from(v1::Account::default()), Err(InvalidMessage::Missing { field: "account" }));
}

#[test]
fn every_kind_of_file_has_a_number_of_its_own() {
    let kinds = [
        FileKind::File,
        FileKind::Directory,
        FileKind::Symlink,
        FileKind::Pipe,
        FileKind::Socket,
        FileKind::CharDevice,
        FileKind::BlockDevice,
    ];
    for (kind, number) in kinds.into_iter().zip(1..) {
        assert_eq!((kind.number(), FileKind::from_number("kind", number)), (number, Ok(kind)));
    }
    assert!(FileKind::from_number("kind", 8).is_err());
}

#[test]
fn housekeeping_does_not_travel_as_a_change_of_a_client() {
    let step = Change::DropStep { snapshot: SnapshotId(1), rows_max: 1 };
    assert_eq!(v1::Change::try_from(step), Err(InvalidMessage::NotCarried { what: "DropStep" }));
}

#[test]
fn runs_come_back_as_they_were() {
    let tail = Tail { offset: 7, bytes: Bytes::from_static(b"a\0b") };
    for run in [Run::Block(extent()), Run::Tail(tail)] {
        assert_eq!(Run::try_from(v1::Run::from(run.clone())).unwrap(), run);
    }
    assert_eq!(Run::try_from(v1::Run::default()), Err(InvalidMessage::Missing { field: "run" }));
}

#[test]
fn a_broken_message_names_its_field() {
    assert_eq!(Change::try_from(v1::Change::default()), Err(InvalidMessage::Missing { field: "change" }));
    let mut message: v1::Extent = extent().into();
    message.digest = Bytes::from_static(b"short");
    let short = InvalidMessage::Length { field: "digest", found: 5, expected: 32 };
    assert_eq!(Extent::try_from(message), Err(short));
    let zero = v1::Attributes { kind: 0, ..attributes().into() };
    assert_eq!(Attributes::try_from(zero), Err(InvalidMessage::Unknown { field: "kind", value: 0 }));
    let late = v1::Timestamp { seconds: 0, nanoseconds: 1_000_000_000 };
    assert!(matches!(Timestamp::try_from(late), Err(InvalidMessage::Range { field: "nanoseconds", .. })));
    let slash = v1::Link { lin: 1, parent: 1, name: Bytes::from_static(b"a/b") };
    let change = v1::Change { change: Some(v1::change::Change::Link(slash)) };
    assert!(matches!(Change::try_from(change), Err(InvalidMessage::Name { field: "link.name", .. })));
}

#[test]
fn results_of_changes_keep_outcome_and_error_apart() {
    for outcome in [Outcome::Done, Outcome::Inode(attributes()), Outcome::Remaining(4)] {
        let message = v1::ChangeResult::from(Ok(outcome.clone()));
        assert_eq!(Result::<Outcome, Failure>::try_from(message).unwrap(), Ok(outcome));
    }
    let refused = OperationError::NotEmpty { lin: Lin(4) };
    let message = v1::ChangeResult::from(Err(refused.clone()));
    assert_eq!(Result::<Outcome, Failure>::try_from(message).unwrap(), Err(Failure::from(refused)));
}

#[test]
fn records_of_the_cluster_come_back_as_they_were() {
    let volume = VolumeId(Uuid::from_u128(77));
    let node = Node {
        id: NodeId(1),
        address: "n1:7400".into(),
        volumes: vec![volume],
        incarnation: types::Incarnation(3),
        key_fingerprint: "ab".into(),
    };
    assert_eq!(Node::try_from(v1::Node::from(node.clone())).unwrap(), node);
    let pool = Pool { id: PoolId(1), replicas: 3 };
    assert_eq!(Pool::try_from(v1::Pool::from(pool.clone())).unwrap(), pool);
    let seats = vec![Seat { node: NodeId(1), volume, state: SeatState::Joining }];
    let group = PlacementGroup { id: PgId(1), pool: PoolId(1), version: PgVersion(2), seats };
    assert_eq!(PlacementGroup::try_from(v1::PlacementGroup::from(group.clone())).unwrap(), group);
    let snapshot = Snapshot {
        id: SnapshotId(1),
        name: "monday".into(),
        revision: Revision(4),
        created: time(1),
        state: SnapshotState::Dying,
        pins: 2,
    };
    assert_eq!(Snapshot::try_from(v1::Snapshot::from(snapshot.clone())).unwrap(), snapshot);
}

#[test]
fn records_of_backups_come_back_as_they_were() {
    let commit = CommitReference { number: 3, name: "commits/3".into() };
    let mut site = Site::proposed("s".into(), "file:///s".into(), RepositoryId(Uuid::from_u128(5)), Generation(1));
    site.state = SiteState {
        epoch: Epoch(4),
        fence: Fence(5),
        head: Some(commit.clone()),
        pending: Some(JobId(0)),
        kit_exported: true,
    };
    assert_eq!(Site::try_from(v1::Site::from(site.clone())).unwrap(), site);
    let policy = Policy {
        id: PolicyId(1),
        name: "p".into(),
        set: SetId(2),
        roots: vec![Root { lin: Lin::ROOT, path: "/".into() }],
        site: SiteId(3),
        base: Some(Epoch(0)),
        base_snapshot: None,
        base_lins: 6,
    };
    assert_eq!(Policy::from(v1::Policy::from(policy.clone())), policy);
    let report = ObjectReport {
        name: "o".into(),
        size: 1,
        hash: [7; 32],
        node: NodeId(2),
        bytes_plain: 3,
        units: vec!["u".into()],
    };
    assert_eq!(ObjectReport::try_from(v1::ObjectReport::from(report.clone())).unwrap(), report);
    let ticket = CommitTicket { commit: commit.clone(), bytes: Bytes::from_static(b"sealed") };
    for phase in [
        JobPhase::Packing,
        JobPhase::Coalescing,
        JobPhase::Committing(ticket),
        JobPhase::Succeeded(commit),
        JobPhase::Failed("why".into()),
        JobPhase::Cancelled,
    ] {
        let job = job(phase);
        assert_eq!(Job::try_from(v1::Job::from(job.clone())).unwrap(), job);
    }
}

fn job(phase: JobPhase) -> Job {
    Job {
        id: JobId(1),
        policy: PolicyId(2),
        site: SiteId(3),
        set: SetId(4),
        epoch: Epoch(5),
        fence: Fence(6),
        coordinator: NodeId(7),
        snapshot: SnapshotId(8),
        base: None,
        base_snapshot: Some(SnapshotId(0)),
        shrinkage: Shrinkage::Accept,
        phase,
        totals: JobTotals { bytes_by_node: vec![(NodeId(1), 2)], units: 3, lins_in_set: 4, ..Default::default() },
        started: time(5),
        finished: None,
    }
}
