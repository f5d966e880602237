//! What a client makes of files besides writing them: special files and holes.

use client::{Client, Parts};
use types::{Change, Clearing, Content, Create, Device, ErrorKind, FileKind, Lin, Name, NewInode, Outcome, Seek};

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
