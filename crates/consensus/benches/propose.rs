//! What durable proposals cost a member that is alone, beside what the disk itself takes to sync as many bytes: those of
//! callers that come at once go into one entry, which is appended to the log, synced, and applied.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{Handle, MessageKind, Options, Surroundings, Transport, TransportError, create, start};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::future::{BoxFuture, join_all};
use runtime::{Clock, Files, Metrics, Tasks};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use types::{NodeId, Operation, Request};

/// Bytes of an entry in the log before its requests, and of one request: as `FORMAT.md` has them.
const HEADER_LENGTH: usize = 48 + 12;
const REQUEST_LENGTH: usize = 8;

/// A group of one has nobody to talk to.
struct Nobody;

impl Transport for Nobody {
    fn send<'a>(
        &'a self,
        node: NodeId,
        address: &'a str,
        _: MessageKind,
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'a, Result<Bytes, TransportError>> {
        let (address, reason) = (address.to_owned(), "there is nobody".to_owned());
        Box::pin(async move { Err(TransportError::Unreachable { node, address, reason }) })
    }
}

async fn group_of_one(folder: &TempDir) -> Handle {
    let (raft, marker) = (folder.path().join("raft"), folder.path().join("raft.marker"));
    let options = Options::new(NodeId(1), "127.0.0.1:1".to_owned(), raft, marker);
    create(&options, &Files::real()).unwrap();
    let surroundings = Surroundings {
        tasks: Tasks::new("bench"),
        clock: Clock::real(),
        files: Files::real(),
        metrics: Metrics::new(),
        transport: Arc::new(Nobody),
    };
    let handle = start(options, surroundings).await.unwrap();
    handle.initialize().await.unwrap();
    handle
}

fn request() -> Request {
    Request { key: None, operation: Operation::OpenSession { label: "bench".to_owned() } }
}

async fn propose(handle: &Handle) {
    let results = handle.propose(vec![request()]).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
}

fn proposals(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let handle = runtime.block_on(group_of_one(&folder));
    let mut group = criterion.benchmark_group("propose");
    let file = Files::real().create(&folder.path().join("plain")).unwrap();
    let mut end = 0;
    for callers in [1_usize, 8, 64] {
        group.throughput(Throughput::Elements(callers as u64));
        group.bench_function(format!("{callers} at once"), |bencher| {
            bencher.iter(|| runtime.block_on(join_all((0..callers).map(|_| propose(&handle)))));
        });
        group.bench_function(format!("plain file, fdatasync, as many bytes as {callers}"), |bencher| {
            let bytes = vec![7; HEADER_LENGTH + callers * REQUEST_LENGTH];
            bencher.iter(|| {
                file.write_all_at(end, &bytes).unwrap();
                file.sync_data().unwrap();
                end += bytes.len() as u64;
            });
        });
    }
    group.finish();
    runtime.block_on(handle.stop(Duration::from_secs(10))).unwrap();
}

criterion_group!(benches, proposals);
criterion_main!(benches);
