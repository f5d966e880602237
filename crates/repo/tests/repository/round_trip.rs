//! What was backed up comes back.

use repo::{Repository, Table, Unlock};
use site::Operation;
use types::{Epoch, FileKind, Lin, Name, Timestamp};

use crate::world::{self, ROOT, SET, World, read};

#[tokio::test]
async fn both_backups_come_back_byte_for_byte() {
    let (world, [first, second]) = World::with_two_backups(1).await;
    let repository = Repository::open(&world.site, World::passphrase()).await.unwrap().list().await.unwrap();
    assert_eq!(read(&repository, 1).await.unwrap(), first);
    assert_eq!(read(&repository, 2).await.unwrap(), second);
}

#[tokio::test]
async fn attributes_come_back_whole() {
    let (world, [first, _]) = World::with_two_backups(2).await;
    let repository = world.open().await.list().await.unwrap();
    let lin = *first.files.keys().next().unwrap();
    let inode = repository.at(SET, Epoch(1)).unwrap().inode(lin).await.unwrap().unwrap().inode.unwrap();
    assert_eq!((inode.kind, inode.mode, inode.uid, inode.gid, inode.nlink), (FileKind::File, 0o4755, u32::MAX, 7, 1));
    assert_eq!(inode.atime, Timestamp { seconds: -4, nanoseconds: 999_999_999 });
    assert_eq!(inode.xattrs, [("user.a".into(), b"\0\xff"[..].into()), ("user.b".into(), b""[..].into())]);
}

#[tokio::test]
async fn the_list_tells_of_each_backup_newest_first() {
    let (world, _) = World::with_two_backups(3).await;
    let repository = world.open().await.list().await.unwrap();
    let epochs: Vec<_> = repository.backups().iter().map(|backup| (backup.epoch, backup.number, backup.base)).collect();
    assert_eq!(epochs, [(Epoch(2), 2, Some(Epoch(1))), (Epoch(1), 1, None)]);
    let [newest, ..] = repository.backups() else { panic!("there are two") };
    assert_eq!((newest.policy.as_str(), newest.roots[0].lin), ("home", ROOT));
    let named: u64 = repository.head().unwrap().runs.iter().map(|run| run.rows).sum();
    assert_eq!(named, repository.backups().iter().map(|backup| world::rows(&backup.totals)).sum::<u64>());
    assert!(repository.backups().iter().all(|backup| backup.totals.objects > 1), "several objects were merged");
    let runs = repository.head().unwrap().runs.iter();
    assert!(runs.filter(|run| run.table == Table::Extents).count() >= 2, "a table has several runs");
}

#[tokio::test]
async fn an_empty_repository_lists_nothing() {
    let world = World::new(4).await;
    let repository = world.open().await.list().await.unwrap();
    assert!(repository.head().is_none() && repository.backups().is_empty());
    assert!(repository.at(SET, Epoch(1)).is_err());
}

#[tokio::test]
async fn lookups_find_what_a_scan_finds() {
    let (world, trees) = World::with_two_backups(5).await;
    let repository = world.open().await.list().await.unwrap();
    for (epoch, tree) in [1, 2].into_iter().zip(&trees) {
        let backup = repository.at(SET, Epoch(epoch)).unwrap();
        for ((parent, name), lin) in &tree.entries {
            let found = backup.entry(*parent, name).await.unwrap().unwrap();
            assert_eq!(found.entry.unwrap().lin, *lin);
        }
        for parent in [1, 2, 3, 77].map(Lin) {
            let mut names = vec![];
            let mut entries = backup.directory(parent).await.unwrap();
            while let Some(entry) = entries.next().await.unwrap() {
                names.push(entry.name);
            }
            let expected: Vec<Name> =
                tree.entries.keys().filter(|(of, _)| *of == parent).map(|(_, name)| name.clone()).collect();
            assert_eq!(names, expected);
        }
        for (lin, content) in &tree.files {
            let mut extents = backup.extents_of(*lin).await.unwrap();
            let mut end = 0;
            while let Some(row) = extents.next().await.unwrap() {
                assert_eq!((row.lin, row.offset), (*lin, end));
                end += u64::from(row.extent.unwrap().length);
            }
            assert_eq!(end, content.len() as u64);
        }
        assert!(backup.inode(Lin(5)).await.unwrap().is_none());
        assert!(backup.entry(Lin(1), &Name::new("absent").unwrap()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_lookup_reads_few_row_groups_and_a_second_one_nearby_none() {
    let (world, [first, _]) = World::with_two_backups(6).await;
    let repository = world.open().await.list().await.unwrap();
    let backup = repository.at(SET, Epoch(1)).unwrap();
    let lin = *first.files.keys().next().unwrap();
    backup.inode(lin).await.unwrap().unwrap();
    let _ = world.recording.take();
    backup.inode(lin).await.unwrap().unwrap();
    assert_eq!(world.recording.take().total(), 0);
    let far = *first.files.keys().last().unwrap();
    backup.inode(far).await.unwrap();
    let ranges = world.recording.take().of(Operation::GetRange);
    assert!(ranges <= 2, "one row group in each of two runs: {ranges}");
}

#[tokio::test]
async fn a_node_lists_and_walks_but_reads_no_block() {
    let (world, [first, _]) = World::with_two_backups(7).await;
    let unlock = Unlock::Writer(world.keys.keys.writer.clone());
    let repository = Repository::open(&world.site, unlock).await.unwrap().list().await.unwrap();
    let backup = repository.at(SET, Epoch(1)).unwrap();
    let (lin, _) = first.files.iter().find(|(_, content)| content.len() > 5000).unwrap();
    let extent = backup.extents_of(*lin).await.unwrap().next().await.unwrap().unwrap().extent.unwrap();
    let error = backup.block(&extent.location, &extent.digest).await.unwrap_err();
    assert!(matches!(error, repo::RepoError::NeedsPrivateKey { .. }), "{error}");
}

#[tokio::test]
async fn no_plain_byte_or_name_is_in_the_clear() {
    let world = World::new(8).await;
    let mut tree = world::Tree::default();
    let secret = b"the quick brown fox jumps over it";
    tree.files.insert(Lin(10), secret.repeat(10));
    tree.files.insert(Lin(11), secret.repeat(5000));
    tree.entries.insert((Lin(1), Name::new(&b"quarterly-figures.ods"[..]).unwrap()), Lin(10));
    world.back_up(1, None, &world::Tree::default(), &tree).await;
    for (name, bytes) in world.memory.contents() {
        let found = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        for text in [&secret[..], b"quarterly", b"user.a", b"/home", block::digest(&secret.repeat(10)).0.as_slice()] {
            assert!(!found(text), "{name} shows {text:?}");
        }
    }
}

#[tokio::test]
async fn the_same_work_done_twice_counts_once() {
    let world = World::new(9).await;
    let mut reports = vec![];
    for sequence in 0..2 {
        let mut object = world.object(1, sequence);
        let (digest, location) = object.add_inline(b"content").unwrap();
        object.add_inode(repo::InodeRow {
            set: SET,
            lin: Lin(9),
            from: Epoch(1),
            seq: repo::ObjectNumber::OWN,
            inode: None,
        });
        let extent = repo::ExtentRecord { length: 7, digest, block_offset: 0, location };
        let (from, seq) = (Epoch(1), repo::ObjectNumber::OWN);
        object.add_extent(repo::ExtentRow { set: SET, lin: Lin(9), offset: 0, from, seq, extent: Some(extent) });
        reports.push(world.put(&object.finish().unwrap()).await);
    }
    let commit = world.commit(1, None, &reports).await;
    assert_eq!(commit.totals.rows, [1, 0, 1, 2, 2], "one inode, one extent, two copies of the block, two objects");
    let repository = world.open().await.list().await.unwrap();
    let backup = repository.at(SET, Epoch(1)).unwrap();
    let extent = backup.extents_of(Lin(9)).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(extent.seq, repo::ObjectNumber::new(Epoch(1), 1).unwrap(), "the later object counts");
    let extent = extent.extent.unwrap();
    assert_eq!(backup.block(&extent.location, &extent.digest).await.unwrap(), "content");
}

#[tokio::test]
async fn rows_may_point_to_blocks_in_another_object_of_the_epoch() {
    let world = World::new(10).await;
    let mut first = world.object(1, 0);
    let (digest, inline) = first.add_inline(b"shared").unwrap();
    let first = first.finish().unwrap();
    let mut second = world.object(1, 1);
    let number = second.reference(first.writer);
    let location = first.locate(inline, number);
    let (from, seq) = (Epoch(1), repo::ObjectNumber::OWN);
    let extent = repo::ExtentRecord { length: 6, digest, block_offset: 0, location };
    second.add_extent(repo::ExtentRow { set: SET, lin: Lin(9), offset: 0, from, seq, extent: Some(extent) });
    let reports = [world.put(&first).await, world.put(&second.finish().unwrap()).await];
    world.commit(1, None, &reports).await;
    let repository = world.open().await.list().await.unwrap();
    let backup = repository.at(SET, Epoch(1)).unwrap();
    let extent = backup.extents_of(Lin(9)).await.unwrap().next().await.unwrap().unwrap().extent.unwrap();
    assert_eq!(extent.location.object, repo::ObjectNumber::new(Epoch(1), 0).unwrap());
    assert_eq!(backup.block(&extent.location, &extent.digest).await.unwrap(), "shared");
}
