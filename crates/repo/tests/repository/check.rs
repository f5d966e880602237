//! A check finds nothing in a sound repository and names what is wrong in another.

use repo::{CheckDepth, RepoError, Repository, Unlock};

use crate::world::{World, check};

#[tokio::test]
async fn a_sound_repository_has_no_findings_at_any_depth() {
    let (world, _) = World::with_two_backups(20).await;
    let repository = world.open().await.list().await.unwrap();
    for depth in [CheckDepth::Structure, CheckDepth::Bytes, CheckDepth::Blocks] {
        let report = check(&repository, depth).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!((report.backups, report.runs), (2, repository.head().unwrap().runs.len() as u64));
        assert!(report.objects >= 4 && report.rows > 100, "{report:?}");
        assert_eq!(report.bytes > 0, depth >= CheckDepth::Bytes);
        assert_eq!(report.blocks > 50, depth == CheckDepth::Blocks);
    }
}

/// Nothing in a repository says that its newest commit is gone, but the objects of that backup are there.
#[tokio::test]
async fn objects_of_a_backup_without_a_commit_are_told() {
    let (world, _) = World::with_two_backups(23).await;
    let repository = world.open().await.list().await.unwrap();
    assert_eq!(check(&repository, CheckDepth::Structure).await.unwrap().uncommitted, []);
    let epochs: Vec<_> = repository.backups().iter().map(|backup| backup.epoch).collect();
    for gone in 1..=2 {
        // Names of commits sort newest first.
        let names = world.memory.contents().into_keys().filter(|name| name.starts_with("commits/"));
        names.take(1).for_each(|name| world.memory.replace(&name, None));
        let repository = world.open().await.list().await.unwrap();
        let report = check(&repository, CheckDepth::Structure).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        let mut told: Vec<_> = report.uncommitted.iter().map(|left| left.epoch).collect();
        told.reverse();
        assert_eq!(told, epochs[..gone]);
        assert!(report.uncommitted.iter().all(|left| left.objects > 0));
    }
}

#[tokio::test]
async fn bytes_are_checked_without_the_private_key_and_blocks_are_not() {
    let (world, _) = World::with_two_backups(21).await;
    let unlock = Unlock::Writer(world.keys.keys.writer.clone());
    let repository = Repository::open(&world.site, unlock).await.unwrap().list().await.unwrap();
    assert!(check(&repository, CheckDepth::Bytes).await.unwrap().is_clean());
    let error = check(&repository, CheckDepth::Blocks).await.unwrap_err();
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
            assert_eq!((report.findings_total, report.findings[0].name()), (1, name.as_str()), "{place}");
        }
        world.memory.replace(&name, Some(bytes));
    }
}
