//! Random histories against a plain map, with all the ways to open a volume again.

use std::collections::BTreeMap;

use blockstore::{BlockStore, NewBlock, ScrubDepth};
use runtime::Seed;
use types::{BlockId, PgId};

use crate::support::{Folder, assert_holds, block_of, close, compact_once, id, noise};

const IDS: u64 = 40;
const STEPS: u64 = 60;

/// The seed of this run: `HOLDFAST_SEED` if it is set, and shown either way.
pub fn seed() -> u64 {
    let seed = std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| Seed::from_os().u64());
    println!("replay with HOLDFAST_SEED={seed}");
    seed
}

type Model = BTreeMap<BlockId, NewBlock>;

#[tokio::test]
async fn a_volume_does_what_a_map_does() {
    let root = Seed::fixed(seed());
    for history in 0..8 {
        run(&root.child(&format!("history {history}"))).await;
    }
}

async fn run(seed: &Seed) {
    let folder = Folder::new();
    let mut earlier_index = None;
    let mut store = folder.open().await;
    let mut model = Model::new();
    for _ in 0..STEPS {
        match seed.below(12) {
            0..=4 => put(&store, &mut model, seed).await,
            5..=6 => remove(&store, &mut model, seed).await,
            7 => compare(&store, &model).await,
            8..=9 => drop(compact_once(&store).await.unwrap()),
            _ => {
                close(store).await;
                damage(&folder, &mut earlier_index, seed);
                store = folder.open().await;
                assert_eq!(store.recovery().damaged_bytes, 0);
            }
        }
    }
    compare(&store, &model).await;
    close(store).await;
}

async fn put(store: &BlockStore, model: &mut Model, seed: &Seed) {
    let pg = PgId(u32::try_from(seed.below(3)).unwrap());
    let blocks: Vec<_> = (0..=seed.below(6)).map(|_| NewBlock { pg, ..random_block(seed) }).collect();
    // A removed id may come back with other bytes.
    let refused = conflicts(&blocks, model);
    let result = store.put(blocks.clone()).await;
    assert_eq!(result.is_err(), refused, "{result:?}");
    if !refused {
        model.extend(blocks.into_iter().map(|block| (block.id, block)));
    }
}

fn conflicts(blocks: &[NewBlock], model: &Model) -> bool {
    let mut known = model.iter().map(|(id, block)| (*id, block.digest)).collect::<BTreeMap<_, _>>();
    blocks.iter().any(|block| *known.entry(block.id).or_insert(block.digest) != block.digest)
}

fn random_block(seed: &Seed) -> NewBlock {
    let sequence = seed.below(IDS);
    let length = usize::try_from(seed.below(20_000)).unwrap();
    // Mostly the same bytes for the same id.
    let content = if seed.below(50) == 0 { seed.u64() } else { sequence };
    let length = if content == sequence { 500 * usize::try_from(sequence).unwrap() } else { length };
    block_of(sequence, &noise(content, length))
}

async fn remove(store: &BlockStore, model: &mut Model, seed: &Seed) {
    let ids: Vec<_> = (0..=seed.below(3)).map(|_| id(seed.below(IDS))).collect();
    store.remove(ids.clone()).await.unwrap();
    model.retain(|id, _| !ids.contains(id));
}

/// Loses the index, puts an older one back, or leaves half a record behind; or nothing of it.
fn damage(folder: &Folder, earlier_index: &mut Option<Folder>, seed: &Seed) {
    match seed.below(4) {
        0 => folder.lose_index(),
        1 => *earlier_index = Some(folder.copy()),
        2 => earlier_index.iter().for_each(|earlier| folder.put_back_index_of(earlier)),
        _ => {
            let file = folder.files.open_update(&folder.last_segment()).unwrap();
            let garbage = noise(seed.u64(), usize::try_from(seed.below(300)).unwrap());
            file.write_all_at(file.len().unwrap(), &garbage).unwrap();
        }
    }
}

async fn compare(store: &BlockStore, model: &Model) {
    let blocks: Vec<_> = model.values().cloned().collect();
    assert_holds(store, &blocks).await;
    for pg in 0..3 {
        let expected: Vec<_> = blocks.iter().filter(|block| block.pg == PgId(pg)).map(|block| block.id).collect();
        assert_eq!(store.ids(PgId(pg), None, 1000).await.unwrap(), expected);
    }
    let scrubbed = store.scrub(None, 1000, ScrubDepth::Digests).await.unwrap();
    assert_eq!((scrubbed.blocks, scrubbed.bad.len()), (blocks.len() as u64, 0));
    assert_eq!(store.usage().await.unwrap().blocks, blocks.len() as u64);
}
