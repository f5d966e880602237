//! Merging the footers of many objects, some at a time.

use bytes::Bytes;
use repo::{
    Backup, CheckDepth, EntryRecord, EntryRow, ExtentRecord, ExtentRow, InodeRecord, InodeRow, ObjectNumber, RowStream,
    Version,
};
use types::{Epoch, FileKind, Lin, Name, ObjectReport, Timestamp};

use crate::world::{ROOT, SET, World, check};

const OBJECTS: u64 = 23;
const EPOCH: Epoch = Epoch(1);

/// Objects whose rows overlap: each tells of files that others tell of too, and points to a block of the one before it.
async fn overlapping_objects(world: &World) -> Vec<ObjectReport> {
    let mut reports: Vec<ObjectReport> = vec![];
    let mut before = None;
    for sequence in 0..OBJECTS {
        let mut object = world.object(1, sequence);
        if sequence == 0 {
            object.add_inode(root(40));
        }
        for number in 0..30 {
            let lin = Lin(10 + (number * 7 + sequence) % 40);
            object.add_inode(inode(lin, sequence));
            let (name, entry) = (name(lin), Some(EntryRecord { lin, kind: FileKind::File }));
            object.add_entry(EntryRow { set: SET, parent: ROOT, name, from: EPOCH, seq: ObjectNumber::OWN, entry });
        }
        let (digest, location) = object.add_inline(format!("of object {sequence}").as_bytes()).unwrap();
        let pointed = match &before {
            Some((sealed, digest, location)) => {
                let sealed: &repo::SealedObject = sealed;
                let number = object.reference(sealed.writer);
                ExtentRecord { length: 5, digest: *digest, block_offset: 0, location: sealed.locate(*location, number) }
            }
            None => ExtentRecord { length: 5, digest, block_offset: 0, location },
        };
        let (seq, extent) = (ObjectNumber::OWN, Some(pointed));
        object.add_extent(ExtentRow { set: SET, lin: Lin(10), offset: sequence * 5, from: EPOCH, seq, extent });
        let sealed = object.finish().unwrap();
        reports.push(world.put(&sealed).await);
        before = Some((sealed, digest, location));
    }
    reports
}

fn name(lin: Lin) -> Name {
    Name::new(format!("name of {lin}")).unwrap()
}

fn inode(lin: Lin, sequence: u64) -> InodeRow {
    let time = Timestamp::default();
    let inode = InodeRecord {
        kind: FileKind::File,
        mode: 0o600,
        uid: u32::try_from(sequence).unwrap(),
        gid: 0,
        nlink: 1,
        size: OBJECTS * 5,
        atime: time,
        mtime: time,
        ctime: time,
        target: Bytes::new(),
        xattrs: vec![],
    };
    InodeRow { set: SET, lin, from: EPOCH, seq: ObjectNumber::OWN, inode: Some(inode) }
}

/// The directory in which all names lie.
fn root(names: u64) -> InodeRow {
    let mut row = inode(ROOT, 0);
    let inode = row.inode.as_mut().unwrap();
    (inode.kind, inode.size, inode.nlink) = (FileKind::Directory, names, 2);
    row
}

async fn all<R: Version>(mut rows: RowStream<R>) -> Vec<R> {
    let mut found = vec![];
    while let Some(row) = rows.next().await.unwrap() {
        found.push(row);
    }
    found
}

async fn rows_of(backup: &Backup) -> (Vec<InodeRow>, Vec<EntryRow>, Vec<ExtentRow>) {
    let inodes = all(backup.inodes().await.unwrap()).await;
    (inodes, all(backup.entries().await.unwrap()).await, all(backup.extents().await.unwrap()).await)
}

#[tokio::test]
async fn many_objects_are_merged_some_at_a_time_and_come_to_the_same_rows() {
    let mut found = vec![];
    for (inputs_max, open_max) in [(1024, 23), (22, 22), (3, 3), (0, 2)] {
        let mut world = World::new(80).await;
        let reports = overlapping_objects(&world).await;
        world.options.inputs_max = inputs_max;
        let merged = world.merge(&world.site, world.writer(1, 1 << 20), &reports).await.unwrap();
        assert_eq!(merged.open_max, open_max, "open at once");
        assert!(!world.folder.path().join("merge").exists(), "nothing is left behind");

        let commit = world.commit(1, None, &reports).await;
        assert_eq!(commit.totals.rows, [41, 40, OBJECTS, OBJECTS, OBJECTS]);
        let bytes_uploaded = reports.iter().map(|report| report.size).sum();
        assert_eq!((commit.totals.objects, commit.totals.bytes_uploaded), (OBJECTS, bytes_uploaded));
        let repository = world.open().await.list().await.unwrap();
        assert!(check(&repository, CheckDepth::Blocks).await.unwrap().is_clean());
        found.push(rows_of(&repository.at(SET, EPOCH).unwrap()).await);
    }
    let (inodes, ..) = &found[0];
    assert!(inodes.iter().all(|row| row.seq.0 % (1 << 24) == u64::from(row.inode.as_ref().unwrap().uid)));
    assert!(found.iter().all(|rows| *rows == found[0]));
}

#[tokio::test]
async fn long_pages_let_fewer_objects_be_open_at_once() {
    let mut world = World::new(81).await;
    let reports = overlapping_objects(&world).await;
    world.options.pages_length = 4_000;
    let merged = world.merge(&world.site, world.writer(1, 1 << 20), &reports).await.unwrap();
    assert!((2..10).contains(&merged.open_max), "{} of {OBJECTS} were open at once", merged.open_max);
    assert_eq!(merged.totals.rows, [41, 40, OBJECTS, OBJECTS, OBJECTS]);
}
