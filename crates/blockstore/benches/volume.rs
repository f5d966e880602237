//! Puts to a volume and gets from it, beside what the disk itself gives for as many bytes in a plain file.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench fails by panicking")]

use std::cell::Cell;

use block::{Encoded, encode};
use blockstore::{BlockStore, BlockStoreMetrics, NewBlock, Options, Outside};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use runtime::{Files, Metrics, Seed, Tasks};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use types::{BlockId, PgId, SessionId};

/// The lengths of blocks of small and of large files, and how many of them are put together.
const PUTS: [(usize, usize); 4] = [(4 << 10, 1), (4 << 10, 64), (1 << 20, 1), (1 << 20, 16)];

/// A volume in a temporary folder, whose blocks are noise: what is stored is as long as what was put.
struct Volume {
    runtime: Runtime,
    store: BlockStore,
    seed: Seed,
    /// The number of the last block.
    last: Cell<u64>,
    _folder: TempDir,
}

impl Volume {
    fn new() -> Self {
        let (runtime, folder, seed) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap(), Seed::fixed(1));
        let outside = Outside {
            files: Files::real(),
            tasks: Tasks::new("bench"),
            seed: seed.clone(),
            metrics: BlockStoreMetrics::new(&Metrics::new()),
        };
        let options = Options { reserve_bytes: 0, ..Options::new(folder.path()) };
        let store = runtime.block_on(BlockStore::open(options, outside)).unwrap();
        Self { runtime, store, seed, last: Cell::new(0), _folder: folder }
    }

    /// Blocks that are not there yet.
    fn blocks(&self, length: usize, count: usize) -> Vec<NewBlock> {
        let mut plain = vec![0; length];
        let block = |_| {
            self.last.set(self.last.get() + 1);
            self.seed.fill(&mut plain);
            let Encoded { stored, digest, .. } = encode(&plain).unwrap();
            NewBlock { id: id(self.last.get()), pg: PgId(1), digest, stored }
        };
        (0..count).map(block).collect()
    }

    fn put(&self, blocks: Vec<NewBlock>) {
        self.runtime.block_on(self.store.put(blocks)).unwrap();
    }
}

fn id(sequence: u64) -> BlockId {
    BlockId { session: SessionId(1), sequence }
}

fn puts(criterion: &mut Criterion) {
    let volume = Volume::new();
    let folder = tempfile::tempdir().unwrap();
    let file = Files::real().create(&folder.path().join("plain")).unwrap();
    let mut end = 0;
    for (length, count) in PUTS {
        let mut group = criterion.benchmark_group(format!("put of {count} x {} KiB", length >> 10));
        group.throughput(Throughput::Bytes((length * count) as u64));
        group.sample_size(20);
        group.bench_function("volume", |bencher| {
            bencher.iter_batched(|| volume.blocks(length, count), |blocks| volume.put(blocks), BatchSize::PerIteration);
        });
        group.bench_function("plain file, fdatasync", |bencher| {
            let bytes = vec![7; length * count];
            bencher.iter(|| {
                file.write_all_at(end, &bytes).unwrap();
                file.sync_data().unwrap();
                end += bytes.len() as u64;
            });
        });
        group.finish();
    }
}

/// Reads come from the page cache on both sides: what differs is the work on top of the disk.
fn gets(criterion: &mut Criterion) {
    let volume = Volume::new();
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("get");
    for length in [4 << 10, 1 << 20] {
        let blocks = volume.blocks(length, 16);
        let (id, stored) = (blocks.first().unwrap().id, blocks.first().unwrap().stored.clone());
        volume.put(blocks);
        let file = Files::real().create(&folder.path().join(length.to_string())).unwrap();
        file.write_all_at(0, &stored).unwrap();
        group.throughput(Throughput::Bytes(length as u64));
        let of = |what| BenchmarkId::new(what, format!("{} KiB", length >> 10));
        group.bench_function(of("volume"), |bencher| {
            bencher.iter(|| volume.runtime.block_on(volume.store.get(id)).unwrap().unwrap());
        });
        group.bench_function(of("plain file"), |bencher| {
            bencher.iter(|| file.read_exact_at(0, stored.len()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, puts, gets);
criterion_main!(benches);
