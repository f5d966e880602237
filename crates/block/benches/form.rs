//! What it costs to give a block its stored form, and to read it: digest, compression, checksums.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench fails by panicking")]

use block::{Encoded, check, decode, decode_range, encode};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use runtime::Seed;

/// The average length of a block that is cut out of a large file.
const LENGTH: usize = 1 << 20;
const RANGE_LENGTH: u32 = 4096;

/// Plain bytes that zstd can do nothing with, such as those of photos, and some that it makes a third of.
fn plains() -> [(&'static str, Vec<u8>); 2] {
    let seed = Seed::fixed(1);
    let mut noise = vec![0; LENGTH];
    seed.fill(&mut noise);
    let words: Vec<String> = (0..2000).map(|_| format!("{:x} ", seed.below(1 << 20))).collect();
    let word = || words.get(seed.below(2000) as usize).map_or("", String::as_str).bytes();
    let text = std::iter::repeat_with(word).flatten().take(LENGTH).collect();
    [("noise", noise), ("text", text)]
}

fn forms(criterion: &mut Criterion) {
    for (name, plain) in plains() {
        let Encoded { stored, digest, .. } = encode(&plain).unwrap();
        let mut group = criterion.benchmark_group(format!("block of 1 MiB of {name}"));
        group.throughput(Throughput::Bytes(LENGTH as u64));
        group.bench_function("encode", |bencher| bencher.iter(|| encode(&plain).unwrap()));
        group.bench_function("check", |bencher| bencher.iter(|| check(&stored).unwrap()));
        group.bench_function("decode", |bencher| bencher.iter(|| decode(&stored, &digest).unwrap()));
        group.throughput(Throughput::Bytes(u64::from(RANGE_LENGTH)));
        group.bench_function("decode 4 KiB of it", |bencher| {
            bencher.iter(|| decode_range(&stored, 500_000, RANGE_LENGTH).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, forms);
criterion_main!(benches);
