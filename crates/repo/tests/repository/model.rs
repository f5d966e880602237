//! Random histories: whatever is backed up, each backup stays what it was when it was made.

use std::collections::BTreeSet;
use std::sync::Arc;

use repo::{CheckDepth, CoalesceOptions, RunOptions};
use runtime::Seed;
use site::{FaultPlan, Faulty, Medium, Site};
use types::{Lin, Name};

use crate::world::{ROOT, Tree, World, check, read};

/// The seed of a failed run, to be run again.
fn seed() -> u64 {
    std::env::var("HOLDFAST_SEED").map_or_else(|_| Seed::from_os().u64(), |seed| seed.parse().unwrap())
}

/// Changes a tree as people do. LINs are never used again.
fn change(tree: &mut Tree, next: &mut u64, seed: &Seed) {
    for _ in 0..seed.below(30) {
        let known = tree.files.keys().nth(usize::try_from(seed.below(40)).unwrap()).copied();
        let lin = known.unwrap_or(Lin(*next));
        *next += 1;
        let length =
            usize::try_from([0, 1, 500, 4096, 4097, 150_000, 150_001, 400_000][seed.below(8) as usize]).unwrap();
        match seed.below(4) {
            0 => drop(tree.files.remove(&lin)),
            _ => {
                let mut content = tree.files.get(&lin).cloned().unwrap_or_default();
                content.resize(length, u8::try_from(seed.below(256)).unwrap());
                if let Some(first) = content.first_mut() {
                    *first = u8::try_from(seed.below(256)).unwrap();
                }
                tree.files.insert(lin, content);
            }
        }
        let key = (Lin(1 + seed.below(4)), Name::new(format!("n{}", seed.below(12))).unwrap());
        match seed.below(3) {
            0 => drop(tree.entries.remove(&key)),
            _ => drop(tree.entries.insert(key, lin)),
        }
    }
    // Names of what is gone go too, and what has no name gets one.
    let Tree { files, entries } = tree;
    entries.retain(|_, lin| files.contains_key(lin));
    let named: BTreeSet<Lin> = entries.values().copied().collect();
    for lin in files.keys().filter(|lin| !named.contains(lin)) {
        entries.insert((ROOT, Name::new(format!("file {lin}")).unwrap()), *lin);
    }
    (2..=4).for_each(|lin| tree.mkdir(Lin(lin)));
}

#[tokio::test]
async fn every_backup_of_a_random_history_comes_back() {
    let number = seed();
    println!("HOLDFAST_SEED={number}");
    let mut world = World::new(number).await;
    let seed = Seed::fixed(number).child("history");
    let (mut history, mut next) = (vec![Tree::default()], 10);
    for epoch in 1..=7_u64 {
        let rows_per_group = usize::try_from(1 + seed.below(20)).unwrap();
        let length = usize::try_from(1 + seed.below(20_000)).unwrap();
        world.options = CoalesceOptions {
            runs: RunOptions { rows_per_group, length },
            read_ahead: seed.below(100_000),
            inputs_max: usize::try_from(seed.below(5)).unwrap(),
            pages_length: seed.below(1_000_000),
        };
        let before = history.last().unwrap();
        let mut after = before.clone();
        change(&mut after, &mut next, &seed);
        world.back_up(epoch, (epoch > 1).then_some(epoch - 1), before, &after).await;
        history.push(after);
    }
    let repository = world.open().await.list().await.unwrap();
    for (epoch, tree) in (1..).zip(&history[1..]) {
        assert_eq!(read(&repository, epoch).await.unwrap(), *tree, "epoch {epoch}");
    }
    let report = check(&repository, CheckDepth::Blocks).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// The same, with a site that refuses requests and loses answers: every step is tried again until it succeeds.
#[tokio::test]
async fn a_merge_over_a_faulty_site_is_tried_again_with_new_names_and_harms_nothing() {
    let number = seed();
    println!("HOLDFAST_SEED={number}");
    let (world, trees) = World::with_two_backups_of(number, 20, &[0, 100, 5000, 200_000]).await;
    let mut object = world.object(3, 0);
    let (digest, location) = object.add_inline(b"third").unwrap();
    let (from, seq) = (types::Epoch(3), repo::ObjectNumber::OWN);
    let extent = repo::ExtentRecord { length: 5, digest, block_offset: 0, location };
    let (set, lin) = (crate::world::SET, Lin(1000));
    object.add_extent(repo::ExtentRow { set, lin, offset: 0, from, seq, extent: Some(extent) });
    let reports = [world.put(&object.finish().unwrap()).await];
    let plan = FaultPlan { refused_per_mille: 50, reply_lost_per_mille: 100 };
    let medium = Arc::clone(&world.memory) as Arc<dyn Medium>;
    let faulty = Site::over("faulty", Arc::new(Faulty::new(medium, Seed::fixed(number), plan)));
    let mut merged = 0;
    for attempt in 0..40 {
        let writer = world.writer(3, 1000 + attempt * 100);
        let result = world.merge(&faulty, writer, &reports).await;
        match result {
            Ok(coalesced) => {
                assert_eq!(coalesced.totals.rows, [0, 0, 1, 1, 1]);
                merged += 1;
            }
            Err(error) => assert_eq!(error.kind(), types::ErrorKind::Unavailable, "{error}"),
        }
    }
    assert!(merged > 0, "some attempt succeeds");
    let repository = world.open().await.list().await.unwrap();
    for (epoch, tree) in [1, 2].into_iter().zip(&trees) {
        assert_eq!(read(&repository, epoch).await.unwrap(), *tree, "runs that no commit names mean nothing");
    }
}
