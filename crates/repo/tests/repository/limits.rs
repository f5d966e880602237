//! The largest things that a namespace may hold go through a backup.

use bytes::Bytes;
use repo::{CheckDepth, EntryRecord, EntryRow, InodeRecord, InodeRow, ObjectNumber};
use site::Operation;
use types::{Epoch, FileKind, Lin, Name, Timestamp, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX};

use crate::world::{ROOT, SET, World, check};

/// As many attributes as an inode may have, each as long as it may be, and none like the other.
fn all_xattrs(world: &World) -> Vec<(Bytes, Bytes)> {
    let xattr = |number| {
        let name = format!("user.{number:0width$}", width = XATTR_NAME_LENGTH_MAX - "user.".len());
        let mut value = vec![7; XATTR_VALUE_LENGTH_MAX];
        world.seed.fill(&mut value[..32]);
        (Bytes::from(name), value.into())
    };
    (0..XATTRS_MAX).map(xattr).collect()
}

fn inode(lin: u64, xattrs: Vec<(Bytes, Bytes)>) -> InodeRow {
    let time = Timestamp { seconds: i64::MIN, nanoseconds: 999_999_999 };
    let inode = InodeRecord {
        kind: FileKind::Symlink,
        mode: u32::MAX,
        uid: u32::MAX,
        gid: u32::MAX,
        nlink: 1,
        size: types::SYMLINK_LENGTH_MAX as u64,
        atime: time,
        mtime: time,
        ctime: time,
        target: vec![b't'; types::SYMLINK_LENGTH_MAX].into(),
        xattrs,
    };
    InodeRow { set: SET, lin: Lin(lin), from: Epoch(1), seq: ObjectNumber::OWN, inode: Some(inode) }
}

#[tokio::test]
async fn inodes_with_all_the_attributes_that_they_may_have_come_back() {
    let world = World::new(70).await;
    let mut reports = vec![];
    let mut root = inode(ROOT.0, vec![]);
    let record = root.inode.as_mut().unwrap();
    (record.kind, record.size, record.nlink, record.target) = (FileKind::Directory, 4, 2, Bytes::new());
    let mut expected = vec![root.clone()];
    for sequence in 0..2 {
        let mut object = world.object(1, sequence);
        if sequence == 0 {
            object.add_inode(root.clone());
        }
        for lin in [10 + sequence, 20 + sequence] {
            let row = inode(lin, if lin == 21 { vec![] } else { all_xattrs(&world) });
            object.add_inode(row.clone());
            let (parent, name) = (ROOT, Name::new(lin.to_string()).unwrap());
            let entry = Some(EntryRecord { lin: Lin(lin), kind: FileKind::Symlink });
            object.add_entry(EntryRow { set: SET, parent, name, from: Epoch(1), seq: ObjectNumber::OWN, entry });
            expected.push(row);
        }
        reports.push(world.put(&object.finish().unwrap()).await);
    }
    expected.sort_by_key(|row| row.lin);
    world.commit(1, None, &reports).await;
    let repository = world.open().await.list().await.unwrap();
    let _ = world.recording.take();
    let mut inodes = repository.at(SET, Epoch(1)).unwrap().inodes().await.unwrap();
    for expected in expected {
        let found = inodes.next().await.unwrap().unwrap();
        assert!(found.inode == expected.inode, "inode {}", expected.lin);
    }
    assert!(inodes.next().await.unwrap().is_none());
    let reads = world.recording.take().of(Operation::GetRange);
    assert!(reads > 3, "{reads} reads: a row group ends at so many bytes, not only at so many rows");
    let report = check(&repository, CheckDepth::Bytes).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}
