//! What a repository does not accept: forks, broken chains, other versions, rows that point nowhere.

use bytes::Bytes;
use repo::{Commit, ExtentRecord, ExtentRow, ObjectNumber, RepoError, Repository, Unlock};
use types::{Epoch, ErrorKind, Lin, NodeId, SetId};

use crate::world::{REPOSITORY, SET, World, check, read};

#[tokio::test]
async fn two_commits_of_one_number_are_a_fork_that_names_both() {
    let (world, _) = World::with_two_backups(50).await;
    let head = world.open().await.list().await.unwrap().head().unwrap().clone();
    let mut rival = head.clone();
    rival.writer.node = NodeId(99);
    put(&world, &rival).await;
    let error = world.open().await.list().await.unwrap_err();
    assert!(matches!(error, RepoError::Fork { .. }) && error.kind() == ErrorKind::Conflict);
    for name in [head.name(), rival.name()] {
        assert!(error.to_string().contains(&name.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_commit_of_an_older_generation_that_the_chain_does_not_reach_does_not_count() {
    let (world, _) = World::with_two_backups(51).await;
    let listed = world.open().await.list().await.unwrap();
    let mut adopted = listed.head().unwrap().clone();
    adopted.writer.generation = types::Generation(2);
    adopted.writer.epoch = Epoch(3);
    adopted.number = 3;
    adopted.parent = listed.head_reference().cloned();
    adopted.voids = vec![Epoch(2)];
    put(&world, &adopted).await;
    let mut zombie = listed.head().unwrap().clone();
    zombie.writer.epoch = Epoch(7);
    zombie.number = 3;
    put(&world, &zombie).await;
    let listed = world.open().await.list().await.unwrap();
    let epochs: Vec<u64> = listed.backups().iter().map(|backup| backup.epoch.0).collect();
    assert_eq!(epochs, [3, 1], "the voided and the zombie's backup are not there");
}

#[tokio::test]
async fn a_parent_that_is_another_commit_is_found() {
    let (world, _) = World::with_two_backups(52).await;
    let listed = world.open().await.list().await.unwrap();
    let parent = listed.backups()[1].commit.clone();
    let mut commit = Commit::open(&parent, REPOSITORY, listed.keys(), &world.memory.contents()[&parent]).unwrap();
    commit.policy = "forged".into();
    let forged = commit.seal(listed.keys(), &world.seed).unwrap();
    world.memory.replace(&parent, Some(forged));
    let listed = world.open().await.list().await.unwrap();
    let [lost] = listed.lost() else { panic!("{:?}", listed.lost()) };
    assert!(lost.commit == parent && lost.epoch == Epoch(1), "{lost:?}");
    assert_eq!(listed.backups().len(), 1, "the backup whose commit is sound is there");
}

#[tokio::test]
async fn a_lost_commit_takes_no_other_backup_with_it() {
    for (lost, left) in [(1, [3, 2]), (2, [3, 1]), (3, [2, 1])] {
        for gone in [false, true] {
            let (world, backups) = World::with_three_backups(57).await;
            let listed = world.open().await.list().await.unwrap();
            let name = listed.backups().iter().find(|backup| backup.epoch == Epoch(lost)).unwrap().commit.clone();
            let flipped = world.memory.contents()[&name].iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
            world.memory.replace(&name, (!gone).then(|| flipped.into()));

            let listed = world.open().await.list().await.unwrap();
            let epochs: Vec<u64> = listed.backups().iter().map(|backup| backup.epoch.0).collect();
            assert_eq!(epochs, left, "without the commit of backup {lost}");
            for epoch in left {
                let tree = read(&listed, epoch).await.unwrap();
                assert_eq!(tree, backups[usize::try_from(epoch).unwrap() - 1], "backup {epoch} without {lost}");
            }
            if gone && lost == 3 {
                assert!(listed.lost().is_empty(), "nothing in the repository tells of a newest commit that is gone");
                continue;
            }
            let error = listed.at(SET, Epoch(lost)).err().unwrap();
            assert!(matches!(&error, RepoError::LostBackup { .. }) && error.kind() == ErrorKind::Corrupt, "{error}");
            assert!(error.to_string().contains(&name), "{error}");
            let report = check(&listed, repo::CheckDepth::Structure).await.unwrap();
            assert!(report.findings.iter().any(|finding| finding.name() == name), "{:?}", report.findings);
        }
    }
}

#[tokio::test]
async fn what_somebody_without_a_key_puts_among_the_commits_stops_no_reader() {
    let (world, [_, second]) = World::with_two_backups(58).await;
    let mut rival = world.open().await.list().await.unwrap().head().unwrap().clone();
    rival.writer.node = NodeId(99);
    let strays = [rival.name().to_string(), "commits/.DS_Store".to_owned()];
    for stray in &strays {
        world.site.put_new(stray, Bytes::from_static(b"junk")).await.unwrap();
    }
    let listed = world.open().await.list().await.unwrap();
    assert_eq!(listed.backups().len(), 2);
    assert_eq!(read(&listed, 2).await.unwrap(), second);
    let report = check(&listed, repo::CheckDepth::Structure).await.unwrap();
    for stray in strays {
        assert!(report.findings.iter().any(|finding| finding.name() == stray), "{stray}: {:?}", report.findings);
    }
}

#[tokio::test]
async fn the_newest_commit_is_found_among_a_few_strays_and_not_looked_for_among_many() {
    let (world, _) = World::with_two_backups(61).await;
    let keys = &world.keys.keys.writer;
    let head = world.open().await.list().await.unwrap().head().unwrap().clone();
    let newest = async || repo::newest_commit(&world.site, REPOSITORY, keys).await;
    for node in 100..115 {
        let mut rival = head.clone();
        rival.writer.node = NodeId(node);
        world.site.put_new(&rival.name().to_string(), Bytes::from_static(b"junk")).await.unwrap();
    }
    assert_eq!(newest().await.unwrap(), Some(head.name().to_string()));

    let mut rival = head.clone();
    rival.writer.node = NodeId(115);
    world.site.put_new(&rival.name().to_string(), Bytes::from_static(b"junk")).await.unwrap();
    let _ = world.recording.take();
    let error = newest().await.unwrap_err();
    assert!(matches!(error, RepoError::Twins { number: 2, most: 16, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(world.recording.take().of(site::Operation::Get), 0, "none of them is opened");
}

#[tokio::test]
async fn a_newest_commit_that_does_not_open_is_named_and_two_that_do_are_a_fork() {
    let (world, _) = World::with_two_backups(62).await;
    let keys = &world.keys.keys.writer;
    let mut rival = world.open().await.list().await.unwrap().head().unwrap().clone();
    let name = rival.name().to_string();
    let sound = world.memory.contents()[&name].clone();
    world.memory.replace(&name, Some(Bytes::from_static(b"junk")));
    let error = repo::newest_commit(&world.site, REPOSITORY, keys).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains(&name), "{error}");

    world.memory.replace(&name, Some(sound));
    rival.writer.node = NodeId(99);
    put(&world, &rival).await;
    let error = repo::newest_commit(&world.site, REPOSITORY, keys).await.unwrap_err();
    assert!(matches!(error, RepoError::Fork { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_run_harms_only_the_backups_that_need_it() {
    for table in ["inodes", "entries", "extents", "blocks", "objects"] {
        let (world, backups) = World::with_three_backups(59).await;
        let prefix = format!("tables/{table}/");
        let of_third = |name: &&String| name.starts_with(&prefix) && name.contains("-0000000000000003-");
        let contents = world.memory.contents();
        for name in contents.keys().filter(of_third) {
            world.memory.replace(name, Some(Bytes::from_static(b"junk")));
        }
        let listed = world.open().await.list().await.unwrap();
        for epoch in [1, 2] {
            assert_eq!(read(&listed, epoch).await.unwrap(), backups[usize::try_from(epoch).unwrap() - 1], "{table}");
        }
        // Blocks are found by the hints of their extents.
        assert_eq!(read(&listed, 3).await.is_ok(), table == "blocks", "{table}");
    }
}

#[tokio::test]
async fn a_lost_run_of_one_set_harms_no_other_set() {
    let (world, [first, second]) = World::with_two_backups(60).await;
    let mut other = world.open().await.list().await.unwrap();
    let mut commit = other.head().unwrap().clone();
    (commit.set, commit.number, commit.writer.epoch) = (SetId(9), 3, Epoch(3));
    commit.parent = other.head_reference().cloned();
    let mut run = commit.runs[0];
    run.writer.epoch = Epoch(3);
    commit.runs.push(run);
    put(&world, &commit).await;

    world.back_up(4, Some(2), &second, &first).await;
    other = world.open().await.list().await.unwrap();
    assert_eq!(read(&other, 4).await.unwrap(), first);
    let backup = other.at(SetId(9), Epoch(3)).unwrap();
    assert!(matches!(backup.inodes().await.map(drop).unwrap_err(), RepoError::Missing { .. }));
}

#[tokio::test]
async fn a_later_version_is_refused_and_not_misread() {
    let (world, _) = World::with_two_backups(53).await;
    let sound = world.memory.contents();
    let commit = sound.keys().find(|name| name.starts_with("commits/")).unwrap();
    let later = |name: &str| -> Bytes {
        let bytes = &sound[name];
        if name.starts_with("commits/") {
            [&[2][..], &bytes[1..]].concat().into()
        } else {
            let text = std::str::from_utf8(bytes).unwrap();
            text.replace("\"format_version\": 1", "\"format_version\": 2, \"what\": \"is new\"").into()
        }
    };
    for name in ["holdfast.json", commit, sound.keys().find(|name| name.starts_with("keys/")).unwrap()] {
        world.memory.replace(name, Some(later(name)));
        let unlock = Unlock::PrivateKey(world.keys.keys.private.clone());
        let opened = match Repository::open(&world.site, unlock).await {
            Ok(repository) => repository.list().await.map(drop),
            Err(error) => Err(error),
        };
        let error = opened.unwrap_err();
        assert!(matches!(&error, RepoError::Version { name: found, .. } if found == name), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        world.memory.replace(name, Some(sound[name].clone()));
    }
}

#[tokio::test]
async fn a_row_that_points_to_an_object_outside_of_the_epoch_stops_the_merge() {
    let world = World::new(54).await;
    let mut object = world.object(1, 0);
    let (digest, location) = object.add_inline(b"content").unwrap();
    let stranger = world.writer(1, 77);
    let location = repo::Location { object: object.reference(stranger), ..location };
    let extent = ExtentRecord { length: 7, digest, block_offset: 0, location };
    let (from, seq) = (Epoch(1), ObjectNumber::OWN);
    object.add_extent(ExtentRow { set: SET, lin: Lin(9), offset: 0, from, seq, extent: Some(extent) });
    let reports = [world.put(&object.finish().unwrap()).await];
    let error = world.merge(&world.site, world.writer(1, 100), &reports).await.unwrap_err();
    let stranger = repo::names::Name::Object(stranger).to_string();
    assert!(
        matches!(&error, RepoError::Missing { name, needed_by } if *name == stranger && *needed_by == reports[0].name)
    );
}

#[tokio::test]
async fn two_rows_of_one_key_in_one_object_are_refused() {
    let world = World::new(55).await;
    let mut object = world.object(1, 0);
    let row = repo::InodeRow { set: SET, lin: Lin(9), from: Epoch(1), seq: ObjectNumber::OWN, inode: None };
    object.add_inode(row.clone());
    object.add_inode(row);
    assert!(matches!(object.finish().unwrap_err(), RepoError::Limit { .. }));
}

#[tokio::test]
async fn a_slot_that_was_moved_does_not_open() {
    let world = World::new(56).await;
    let mut object = world.object(1, 0);
    let plain = [vec![1; 200_000], vec![2; 200_000]];
    let mut locations = vec![];
    for plain in &plain {
        let stored = block::encode(plain).unwrap().stored;
        locations.push(object.add_block(&repo::StoredBlock::new(block::digest(plain), 200_000, &stored)).unwrap());
    }
    let object = object.finish().unwrap();
    let row = object.row(ObjectNumber::new(Epoch(1), 0).unwrap());
    let key = repo::ObjectKey::unwrap(&row, REPOSITORY, &world.keys.keys.private).unwrap();
    let [first, second] = [0, 1].map(|index| object.locate(locations[index], row.number));
    let range = |location: &repo::Location| {
        let start = usize::try_from(location.slot_offset).unwrap();
        &object.bytes[start..start + location.slot_length as usize]
    };
    assert!(key.open(0, range(&first)).is_ok() && key.open(1, range(&second)).is_ok());
    assert!(key.open(1, range(&first)).is_err() && key.open(0, range(&second)).is_err());
    let elsewhere = repo::ObjectRow { salt: [0; 16], ..row.clone() };
    assert!(repo::ObjectKey::unwrap(&elsewhere, REPOSITORY, &world.keys.keys.private).is_err());
    let renamed = repo::ObjectRow { writer: world.writer(1, 5), ..row };
    assert!(repo::ObjectKey::unwrap(&renamed, REPOSITORY, &world.keys.keys.private).is_err());
}

async fn put(world: &World, commit: &Commit) {
    let bytes = commit.seal(&world.keys.keys.writer, &world.seed).unwrap();
    world.site.put_new(&commit.name().to_string(), bytes).await.unwrap();
}
