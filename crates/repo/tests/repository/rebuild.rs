//! Runs that are damaged are made again from the footers of their backup's objects.

use bytes::Bytes;
use repo::{CheckDepth, Listed, RebuildOptions, Rebuilt, Repository};
use runtime::{Files, Seed};

use crate::world::{Tree, World, check, read};

async fn list(world: &World) -> Repository<Listed> {
    world.open().await.list().await.unwrap()
}

/// Three backups of a few files, of which the last has those of the first.
async fn three_backups(seed: u64) -> (World, [Tree; 3]) {
    let (world, [first, second]) = World::with_two_backups_of(seed, 18, &[0, 1, 4000, 5000, 140_000, 160_000]).await;
    world.back_up(3, Some(2), &second, &first).await;
    (world, [first.clone(), second, first])
}

/// Makes runs again; the folder has to stay.
async fn rebuild(world: &World) -> (tempfile::TempDir, Repository<Listed>, Vec<Rebuilt>) {
    let folder = tempfile::tempdir().unwrap();
    let (files, seed) = (Files::real(), Seed::fixed(3));
    let options = RebuildOptions { files, seed, folder: folder.path().join("tables") };
    let (repository, told) = list(world).await.rebuild(&options).await.unwrap();
    (folder, repository, told)
}

/// Names of the second backup that begin so.
fn of_second(world: &World, prefix: &str) -> Vec<String> {
    let is_wanted = |name: &String| name.starts_with(prefix) && name.contains("/0000000000000001-0000000000000002-");
    world.memory.contents().into_keys().filter(is_wanted).collect()
}

#[tokio::test]
async fn damaged_and_missing_runs_are_made_again_and_every_backup_comes_back() {
    // The second backup removes files and names, so rows that say so are made again too.
    for prefix in
        ["tables/inodes/", "tables/entries/", "tables/extents/", "tables/blocks/", "tables/objects/", "tables/"]
    {
        for harm in [None, Some(Bytes::from_static(b"junk"))] {
            let (world, trees) = three_backups(90).await;
            let runs = of_second(&world, prefix);
            runs.iter().for_each(|name| world.memory.replace(name, harm.clone()));
            let report = check(&list(&world).await, CheckDepth::Structure).await.unwrap();
            let is_certain = !runs.iter().any(|name| name.starts_with("tables/objects/"));
            assert_eq!(report.rebuildable, if is_certain { vec![types::Epoch(2)] } else { vec![] }, "{prefix}");

            let is_read = read(&list(&world).await, 2).await.is_ok();
            assert_eq!(is_read, prefix == "tables/blocks/", "{prefix}");
            let before = world.memory.contents();
            let (_folder, repository, told) = rebuild(&world).await;
            assert_eq!(world.memory.contents(), before, "nothing is put into the repository");
            let [Rebuilt { epoch, runs: named, failure: None }] = &told[..] else { panic!("{told:?}") };
            assert_eq!((epoch.0, named.len()), (2, runs.len()), "{prefix}");
            for (epoch, tree) in (1..).zip(&trees) {
                assert!(read(&repository, epoch).await.unwrap() == *tree, "{prefix} {epoch}");
            }
        }
    }
}

#[tokio::test]
async fn a_sound_repository_is_left_as_it_is() {
    let (world, [first, _]) = World::with_two_backups_of(91, 6, &[100]).await;
    let (folder, repository, told) = rebuild(&world).await;
    assert!(told.is_empty() && !folder.path().join("tables").exists());
    assert!(read(&repository, 1).await.unwrap() == first);
}

#[tokio::test]
async fn objects_of_which_no_table_tells_are_not_taken_for_the_backups_own() {
    for damaged in ["tables/entries/", "tables/objects/"] {
        let (world, trees) = three_backups(92).await;
        // An object that a worker put and nobody counts, as of a job that was handed on.
        world.put(&world.object(2, 7777).finish().unwrap()).await;
        of_second(&world, damaged).iter().for_each(|name| world.memory.replace(name, None));
        let (_folder, repository, told) = rebuild(&world).await;
        let outcome = read(&repository, 2).await;
        if damaged == "tables/entries/" {
            assert!(told[0].failure.is_none() && outcome.unwrap() == trees[1], "the table of objects tells: {told:?}");
        } else {
            let failure = told[0].failure.as_ref().unwrap().to_string();
            assert!(failure.contains("are not those that it counts") && outcome.is_err(), "{failure}");
            assert!(read(&repository, 1).await.unwrap() == trees[0]);
        }
    }
}

#[tokio::test]
async fn an_object_whose_footer_is_damaged_is_named_and_nothing_is_made_of_the_others() {
    let (world, trees) = three_backups(93).await;
    of_second(&world, "tables/inodes/").iter().for_each(|name| world.memory.replace(name, None));
    let object = of_second(&world, "objects/").remove(0);
    let mut bytes = world.memory.contents()[&object].to_vec();
    let footer = bytes.len() - 400;
    bytes[footer] ^= 1;
    world.memory.replace(&object, Some(bytes.into()));
    let (_folder, repository, told) = rebuild(&world).await;
    let failure = told[0].failure.as_ref().unwrap().to_string();
    assert!(failure.contains(&object), "{failure}");
    assert!(read(&repository, 2).await.is_err());
    assert!(read(&repository, 1).await.unwrap() == trees[0], "the backup before it needs none of them");
}
