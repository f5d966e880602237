//! A check finds nothing in a sound repository and names what is wrong in another.

use bytes::Bytes;
use repo::{CheckDepth, ExtentRecord, ExtentRow, InodeRecord, ObjectNumber, RepoError, Repository, Unlock};
use types::{Epoch, FileKind, Lin, Timestamp};

use crate::world::{SET, World};

#[tokio::test]
async fn a_sound_repository_has_no_findings_at_any_depth() {
    let (world, _) = World::with_two_backups(20).await;
    let repository = world.open().await.list().await.unwrap();
    for depth in [CheckDepth::Structure, CheckDepth::Bytes, CheckDepth::Blocks] {
        let report = repository.check(depth).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.backups, report.runs), (2, repository.head().unwrap().runs.len() as u64));
        assert!(report.objects >= 4 && report.rows > 100, "{report:?}");
        assert_eq!(report.bytes > 0, depth >= CheckDepth::Bytes);
        assert_eq!(report.blocks > 50, depth == CheckDepth::Blocks);
    }
}

#[tokio::test]
async fn bytes_are_checked_without_the_private_key_and_blocks_are_not() {
    let (world, _) = World::with_two_backups(21).await;
    let unlock = Unlock::Writer(world.keys.keys.writer.clone());
    let repository = Repository::open(&world.site, unlock).await.unwrap().list().await.unwrap();
    assert!(repository.check(CheckDepth::Bytes).await.unwrap().is_clean());
    let error = repository.check(CheckDepth::Blocks).await.unwrap_err();
    assert!(matches!(error, RepoError::NeedsPrivateKey { .. }), "{error}");
}

#[tokio::test]
async fn without_any_key_every_flipped_stripe_is_found() {
    let (world, _) = World::with_two_backups(22).await;
    let report = repo::check_without_key(&world.site).await.unwrap();
    assert!(report.is_clean() && report.objects >= 4, "{report:?}");
    let objects: Vec<_> =
        world.memory.contents().into_iter().filter(|(name, _)| name.starts_with("objects/")).collect();
    for (name, bytes) in objects {
        for place in [0, 9, bytes.len() / 2, bytes.len() - 300, bytes.len() - 50, bytes.len() - 1] {
            let mut changed = bytes.to_vec();
            changed[place] ^= 1;
            world.memory.replace(&name, Some(changed.into()));
            let report = repo::check_without_key(&world.site).await.unwrap();
            assert_eq!((report.findings_total, &report.findings[0].name), (1, &name), "{place}");
        }
        world.memory.replace(&name, Some(bytes));
    }
}

#[tokio::test]
async fn extents_that_do_not_fit_their_file_are_found() {
    let world = World::new(23).await;
    let mut object = world.object(1, 0);
    let (digest, location) = object.add_inline(&[7; 100]).unwrap();
    let mut file = |lin: u64, size, extents: &[(u64, u32, u32)]| {
        object.add_inode(inode(Lin(lin), size));
        for (offset, length, block_offset) in extents {
            let extent = ExtentRecord { length: *length, digest, block_offset: *block_offset, location };
            let (from, seq) = (Epoch(1), ObjectNumber::OWN);
            object.add_extent(ExtentRow { set: SET, lin: Lin(lin), offset: *offset, from, seq, extent: Some(extent) });
        }
    };
    file(10, 300, &[(0, 100, 0), (150, 50, 50)]);
    file(11, 200, &[(0, 100, 0), (99, 100, 0)]);
    file(12, 99, &[(0, 100, 0)]);
    file(13, 200, &[(0, 100, 1)]);
    let report = world.put(&object.finish().unwrap()).await;
    world.commit(1, None, &[report]).await;
    let repository = world.open().await.list().await.unwrap();
    let findings = repository.check(CheckDepth::Structure).await.unwrap().findings;
    let told: Vec<_> = findings.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        told,
        [
            "the extent of inode 11 at 99 overlaps the one before it",
            "the extent of inode 12 at 0 goes beyond the end of the file",
            "the extent of inode 13 at 0 goes beyond the end of its block",
        ]
    );
}

fn inode(lin: Lin, size: u64) -> repo::InodeRow {
    let time = Timestamp::default();
    let inode = InodeRecord {
        kind: FileKind::File,
        mode: 0o600,
        uid: 0,
        gid: 0,
        nlink: 1,
        size,
        atime: time,
        mtime: time,
        ctime: time,
        target: Bytes::new(),
        xattrs: vec![],
    };
    repo::InodeRow { set: SET, lin, from: Epoch(1), seq: ObjectNumber::OWN, inode: Some(inode) }
}
