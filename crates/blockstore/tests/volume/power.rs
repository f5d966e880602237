//! A volume against the loss of power at any moment (laws 1 and 2).
//!
//! Random puts and removals run on a recorded disk. At every moment of them, and of the recovery from such a loss, the
//! disk loses its power in some way, and the volume is opened: what was answered is so, what was not is so or not, and
//! nothing is told as damaged. RocksDB does not write through `runtime`, so that the index is always lost here; that it
//! survives in part is what `lossyfs` is for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use blockstore::{BlockStore, NewBlock, Options};
use futures::future::join_all;
use runtime::{Files, Seed, Tasks};
use testkit::power::{Disk, Moment, Recorder, folder};
use types::{BlockId, VolumeId};

use crate::support::{SEGMENT_BYTES, block_of, close, id, noise, outside};

const STEPS: u64 = 30;
const IDS: u64 = 24;
/// Of so many losses of power one comes during the recovery from another.
const SECOND_LOSSES: u64 = 6;

/// Something that was asked of the volume about one block.
struct Event {
    begun: Moment,
    answered: Moment,
    /// The block that is held then, if one is.
    after: Option<NewBlock>,
}

/// What was asked, block by block, one after the other.
#[derive(Default)]
struct History {
    events: BTreeMap<BlockId, Vec<Event>>,
    volume: Option<(Moment, VolumeId)>,
}

impl History {
    fn held(&self, id: BlockId) -> Option<&NewBlock> {
        self.events.get(&id)?.last()?.after.as_ref()
    }

    /// What may be found of a block at a moment.
    fn possible(&self, id: BlockId, moment: Moment) -> Vec<Option<&NewBlock>> {
        let events = self.events.get(&id).map_or(&[][..], Vec::as_slice);
        let sure = events.iter().take_while(|event| event.answered <= moment).count();
        let last_sure = sure.checked_sub(1).and_then(|last| events[last].after.as_ref());
        let begun = events[sure..].iter().filter(|event| event.begun <= moment).map(|event| event.after.as_ref());
        std::iter::once(last_sure).chain(begun).collect()
    }

    /// Looks whether the volume has what it promised; gives what it holds.
    async fn check(&self, store: &BlockStore, moment: Moment) -> Held {
        assert_eq!(store.recovery().damaged, [], "nothing is damaged");
        let mut held = Held::new();
        for id in store.all_ids(None, 1000).await.unwrap() {
            let found = store.get(id).await.unwrap().unwrap();
            held.insert(id, NewBlock { id, pg: found.pg, digest: found.digest, stored: found.stored });
        }
        for id in held.keys().chain(self.events.keys()).copied().filter(|id| *id != one_more().id) {
            assert!(self.possible(id, moment).contains(&held.get(&id)), "block {id}: {:?}", held.get(&id));
        }
        held
    }
}

/// What a volume holds.
type Held = BTreeMap<BlockId, NewBlock>;

/// A block that is put after a recovery.
fn one_more() -> NewBlock {
    block_of(IDS, b"one more")
}

fn options(root: &Path) -> Options {
    // Two folders that the volume makes itself.
    let folder = root.join("disk/volume");
    Options { segment_bytes: SEGMENT_BYTES, reserve_bytes: 0, ..Options::new(folder) }
}

async fn open(files: Files, options: Options) -> BlockStore {
    BlockStore::open(options, outside(files, Tasks::new("test"))).await.unwrap()
}

fn random_block(seed: &Seed, sequence: u64) -> NewBlock {
    let length = [100, 3000, 20_000, 40_000][usize::try_from(seed.below(4)).unwrap()];
    block_of(sequence, &noise(seed.u64(), length + usize::try_from(seed.below(200)).unwrap()))
}

/// Asks for a few things at once, each about another block.
async fn step(store: &BlockStore, recorder: &Arc<Recorder>, history: &mut History, seed: &Seed) {
    let first = seed.below(IDS);
    let asked = (0..=seed.below(4)).map(|next| {
        let sequence = (first + next) % IDS;
        let after = history.held(id(sequence)).is_none().then(|| random_block(seed, sequence));
        async move {
            let begun = recorder.now();
            match after.clone() {
                Some(block) => store.put(vec![block]).await.unwrap(),
                None => store.remove(vec![id(sequence)]).await.unwrap(),
            }
            (id(sequence), Event { begun, answered: recorder.now(), after })
        }
    });
    let answered = join_all(asked.collect::<Vec<_>>()).await;
    for (id, event) in answered {
        history.events.entry(id).or_default().push(event);
    }
}

async fn run(seed: &Seed) -> (tempfile::TempDir, Arc<Recorder>, History) {
    let folder = folder();
    let recorder = Recorder::new(folder.path());
    let mut history = History::default();
    let mut store = open(recorder.files(), options(folder.path())).await;
    history.volume = Some((recorder.now(), store.volume()));
    for _ in 0..STEPS {
        step(&store, &recorder, &mut history, seed).await;
        if seed.below(8) == 0 {
            close(store).await;
            store = open(recorder.files(), options(folder.path())).await;
        }
    }
    close(store).await;
    recorder.check_mirror().unwrap();
    (folder, recorder, history)
}

/// Opens what a loss of power has left, and looks at it; gives what happened to the disk meanwhile, and what is held.
async fn recover(
    left: Disk,
    history: &History,
    moment: Moment,
) -> (tempfile::TempDir, Arc<Recorder>, BlockStore, Held) {
    let folder = folder();
    let recorder = Recorder::lay_out(folder.path(), left).unwrap();
    let expected = history.volume.filter(|(made, _)| *made <= moment).map(|(_, volume)| volume);
    let store = open(recorder.files(), Options { expected, ..options(folder.path()) }).await;
    let held = history.check(&store, moment).await;
    (folder, recorder, store, held)
}

async fn lose_power(disk: &Disk, history: &History, moment: Moment, seed: &Seed) {
    let (_folder, recorder, store, held) = recover(disk.after_power_loss(seed), history, moment).await;
    if seed.below(SECOND_LOSSES) > 0 {
        return close(store).await;
    }
    let recovered = recorder.now();
    store.put(vec![one_more()]).await.unwrap();
    let put = recorder.now();
    close(store).await;
    let during = Moment::FIRST.later(seed.below(recorder.moments_from(Moment::FIRST).count() as u64));
    for again in [during, recovered, put] {
        let left = recorder.disk(again).after_power_loss(seed);
        let (_folder, _, store, mut held_again) = recover(left, history, moment).await;
        let more = held_again.remove(&one_more().id);
        assert!(again < put || more == Some(one_more()), "what was put after the recovery is lost");
        // What a recovered volume has shown stays, be it that nobody was answered.
        assert!(again < recovered || held_again == held, "{:?} became {:?}", held.keys(), held_again.keys());
        close(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_keeps_what_it_promised_whatever_a_loss_of_power_leaves() {
    let root = testkit::seed();
    for round in 0..testkit::rounds(1) {
        let seed = root.child(&format!("round {round}"));
        let (folder, recorder, history) = run(&seed).await;
        let mut losses = 0;
        for moment in recorder.moments_from(Moment::FIRST) {
            losses += 1;
            let seed = seed.child(&format!("{moment:?}"));
            lose_power(&recorder.disk(moment), &history, moment, &seed).await;
        }
        let segments = Files::real().list(&options(folder.path()).folder.join("segments")).unwrap().len();
        println!("round {round}: {losses} losses, {segments} segments");
        assert!(losses > 100 && segments > 5, "a history that is worth its name");
    }
}
