//! Who opens a repository, and who does not.

use repo::{KeyObject, PassphraseCost, PrivateKey, RecoveryKit, RepoError, Repository, Secret, Unlock};
use types::{ErrorKind, Generation, RepositoryId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::world::{CLUSTER, REPOSITORY, World, check, read};

#[tokio::test]
async fn the_recovery_kit_alone_reads_everything() {
    let (world, [first, _]) = World::with_two_backups(40).await;
    let private = world.keys.keys.private.clone();
    let kit = RecoveryKit { url: world.site.url().into(), repository: REPOSITORY, private };
    let typed: RecoveryKit = kit.to_text().parse().unwrap();
    let repository = Repository::open(&world.site, Unlock::Kit(typed)).await.unwrap().list().await.unwrap();
    assert_eq!(read(&repository, 1).await.unwrap(), first);
}

#[tokio::test]
async fn the_kit_gets_by_without_bootstrap_and_with_one_key_object() {
    let (world, [first, _]) = World::with_two_backups_of(45, 6, &[0, 100, 5000]).await;
    let private = world.keys.keys.private.clone();
    let kit = RecoveryKit { url: world.site.url().into(), repository: REPOSITORY, private };
    let keys: Vec<String> = world.memory.contents().into_keys().filter(|name| name.starts_with("keys/")).collect();
    assert_eq!(keys.len(), 2);
    world.memory.replace("holdfast.json", None);
    world.memory.replace(&keys[0], Some("{}".into()));
    let repository = Repository::open(&world.site, Unlock::Kit(kit.clone())).await.unwrap().list().await.unwrap();
    assert_eq!(read(&repository, 1).await.unwrap(), first);
    let findings = check(&repository, repo::CheckDepth::Structure).await.unwrap().findings;
    let named: Vec<_> = findings.iter().map(|finding| finding.name()).collect();
    assert_eq!(named, ["holdfast.json", keys[0].as_str()]);
    world.memory.replace(&keys[1], Some("{}".into()));
    let error = Repository::open(&world.site, Unlock::Kit(kit)).await.unwrap_err();
    assert!(error.to_string().contains(&keys[0]), "{error}");
}

#[tokio::test]
async fn a_kit_of_another_repository_is_refused_by_name() {
    let world = World::new(41).await;
    let repository = RepositoryId(Uuid::from_u128(1));
    let private = world.keys.keys.private.clone();
    let kit = RecoveryKit { url: world.site.url().into(), repository, private };
    let error = Repository::open(&world.site, Unlock::Kit(kit)).await.unwrap_err();
    assert!(
        matches!(error, RepoError::Foreign { found, expected, .. } if found == REPOSITORY && expected == repository)
    );
}

#[tokio::test]
async fn wrong_secrets_are_denied() {
    let world = World::new(42).await;
    let other = KeyObject::create(REPOSITORY, "another one", PassphraseCost::LEAST, &world.seed).unwrap();
    for unlock in [
        Unlock::Passphrase(Zeroizing::new("wrong passphrase".into())),
        Unlock::PrivateKey(PrivateKey::new(Secret::new([1; 32]))),
        Unlock::Writer(other.keys.writer),
    ] {
        let error = Repository::open(&world.site, unlock).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("keys/"), "{error}");
    }
}

#[tokio::test]
async fn the_owner_is_the_one_of_the_newest_generation() {
    let world = World::new(43).await;
    let repository = world.open().await;
    let owner = repository.owner().await.unwrap();
    assert_eq!((owner.generation, owner.cluster), (Generation(1), CLUSTER));
    let next = repo::OwnerObject::new(REPOSITORY, Generation(2), CLUSTER);
    world.site.put_new(&next.name().to_string(), next.encode()).await.unwrap();
    assert_eq!(repository.owner().await.unwrap().generation, Generation(2));
    let rival = repo::OwnerObject::new(REPOSITORY, Generation(2), types::ClusterId(Uuid::from_u128(2)));
    world.site.put_new(&rival.name().to_string(), rival.encode()).await.unwrap();
    let error = repository.owner().await.unwrap_err().to_string();
    for name in [next.name(), rival.name()] {
        assert!(error.contains(&name.to_string()), "{error}");
    }
}

#[tokio::test]
async fn making_a_repository_again_changes_nothing_and_another_one_is_refused() {
    let world = World::new(44).await;
    let before = world.memory.contents();
    let new = |repository| repo::NewRepository {
        repository,
        cluster: CLUSTER,
        generation: Generation(1),
        keys: world.keys.object.clone(),
        random: 9,
    };
    Repository::create(&world.site, &new(REPOSITORY)).await.unwrap();
    let error = Repository::create(&world.site, &new(RepositoryId(Uuid::from_u128(1)))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("holdfast.json"), "{error}");
    assert_eq!(world.memory.contents(), before);
}
