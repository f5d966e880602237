//! What a client makes of files besides writing them: special files, holes and clones.

use client::{Client, Parts, Target};
use types::{
    Change, Clearing, CloneRange, Content, Create, Device, ErrorKind, FileKind, Lin, Name, NewInode, Outcome, Removal,
    Seek,
};

use crate::daemons::{Daemons, content, new_file, put};

async fn find(client: &Client, name: &str) -> Lin {
    client.lookup(Lin::ROOT, &[Name::new(name.to_owned()).unwrap()], None).await.unwrap().pop().unwrap().lin
}

/// The whole of a file, with zeros for its holes.
async fn read(client: &Client, lin: Lin) -> Vec<u8> {
    let mut reader = client.read_file(lin, None).await.unwrap();
    let mut bytes = vec![0; usize::try_from(reader.size()).unwrap()];
    while let Some(piece) = reader.next().await.unwrap() {
        let start = usize::try_from(piece.offset).unwrap();
        bytes[start..start + piece.bytes.len()].copy_from_slice(&piece.bytes);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn special_files_and_holes_reach_the_cluster_and_come_back() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let session = client.open_session("test").await.unwrap();

    let device = Device { major: 8, minor: 1 };
    let inode = NewInode { kind: FileKind::BlockDevice, content: Content::Device(device), ..new_file() };
    let name = Name::new("disk").unwrap();
    let create = Change::Create(Create { parent: Lin::ROOT, name, inode, replace: false });
    let Outcome::Inode(made) = session.execute_one("make", create).await.unwrap() else { panic!("no inode") };
    let disk = client.describe(made.lin, Parts::default(), None).await.unwrap();
    assert_eq!((disk.attributes.kind, disk.device), (FileKind::BlockDevice, Some(device)));
    assert_eq!(client.seek(made.lin, 0, Seek::Data, None).await.unwrap_err().kind(), ErrorKind::InvalidRequest);

    let mut bytes = content(3, 3 << 20);
    put(&session, "file", &bytes).await;
    let file = find(&client, "file").await;
    let snapshot = client.create_snapshot("before").await.unwrap().id;
    session.clear_range(file, 1 << 20, 1 << 20, Clearing::KeepLength).await.unwrap();
    bytes[1 << 20..2 << 20].fill(0);
    assert!(read(&client, file).await == bytes);
    let seek = async |offset, what, snapshot| client.seek(file, offset, what, snapshot).await.unwrap();
    assert_eq!(seek(5, Seek::Hole, None).await, Some(1 << 20));
    assert_eq!(seek(1 << 20, Seek::Data, None).await, Some(2 << 20));
    assert_eq!(seek(2 << 20, Seek::Hole, None).await, Some(3 << 20));
    assert_eq!(seek(3 << 20, Seek::Data, None).await, None);
    assert_eq!(seek(5, Seek::Hole, Some(snapshot)).await, Some(3 << 20));
    session.close().await.unwrap();
}

fn target(name: &str, replace: bool) -> Target {
    Target { parent: Lin::ROOT, name: Name::new(name.to_owned()).unwrap(), inode: new_file(), replace }
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_share_the_bytes_of_files_and_of_snapshots_and_outlive_them() {
    let daemons = Daemons::start(1);
    daemons.form().await;
    let client = daemons.client(0).await;
    let session = client.open_session("test").await.unwrap();
    let bytes = content(3, (3 << 20) + 5);
    put(&session, "file", &bytes).await;
    put(&session, "short", b"short").await;
    let (file, short) = (find(&client, "file").await, find(&client, "short").await);

    let made = session.clone_file(file, None, target("clone", false)).await.unwrap();
    assert_eq!((made.size, find(&client, "clone").await), (bytes.len() as u64, made.lin));
    let copy = session.clone_file(short, None, target("short too", false)).await.unwrap();
    assert_eq!(read(&client, copy.lin).await, b"short");
    let taken = session.clone_file(short, None, target("clone", false)).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists, "{taken}");
    let (left, _) = client.read_directory(Lin::ROOT, None, None).await.unwrap();
    assert_eq!(left.len(), 4, "nothing is left of what was refused: {left:?}");

    let snapshot = client.create_snapshot("before").await.unwrap().id;
    session.clear_range(file, 1 << 20, 1 << 20, Clearing::KeepLength).await.unwrap();
    assert!(read(&client, made.lin).await == bytes, "a change of the file leaves its clone alone");
    let (from_offset, to_offset, length) = (2 << 20, 0, 1 << 20);
    let range = CloneRange { from: made.lin, snapshot: None, from_offset, to: file, to_offset, length, mtime: None };
    session.clone_range(range.clone()).await.unwrap();
    let changed = [&bytes[2 << 20..3 << 20], &vec![0; 1 << 20], &bytes[2 << 20..]].concat();
    assert!(read(&client, file).await == changed);
    let refused = session.clone_range(CloneRange { to_offset: 1, ..range.clone() }).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::InvalidRequest, "not_cloneable"), "{refused}");
    let refused = session.clone_range(CloneRange { to: file, from: file, to_offset: from_offset, ..range }).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidRequest, "over itself");

    let back = session.clone_file(file, Some(snapshot), target("file", true)).await.unwrap();
    client.delete_snapshot(snapshot).await.unwrap();
    let (parent, name, expect) = (Lin::ROOT, Name::new("clone").unwrap(), Removal::NotDirectory);
    session.execute_one("remove", Change::Remove { parent, name, expect }).await.unwrap();
    assert!(read(&client, back.lin).await == bytes, "as the snapshot had it, though that and its clone are gone");
    assert_eq!(find(&client, "file").await, back.lin);
    session.close().await.unwrap();
}
