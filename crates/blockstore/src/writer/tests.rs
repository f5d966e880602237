use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use runtime::{ByteBudget, FileOperation, Metrics, Watch};
use tokio::sync::oneshot;
use types::{PgId, SessionId};
use uuid::Uuid;

use super::*;
use crate::BlockStoreMetrics;
use crate::record::RecordKind;
use crate::recovery::{Recovered, recover};

#[derive(Default)]
struct SegmentSyncs(AtomicU64);

impl Watch for SegmentSyncs {
    fn before(&self, operation: FileOperation, path: &Path) -> io::Result<()> {
        let is_segment = path.extension().is_some_and(|ending| ending == "segment");
        self.0.fetch_add((is_segment && operation == FileOperation::Sync).into(), Ordering::Relaxed);
        Ok(())
    }
}

fn writer(folder: &Path, files: &Files, queue: mpsc::Receiver<Command>) -> Writer {
    let volume = VolumeId(Uuid::from_u128(1));
    files.create_dirs(&folder.join("segments")).unwrap();
    let lock = Arc::new(files.lock(&folder.join("lock")).unwrap());
    let Recovered { index, segments, active, .. } = recover(files, folder, volume).unwrap();
    let options = Options { reserve_bytes: 0, batch_bytes: 1 << 20, ..Options::new(folder) };
    Writer {
        volume,
        files: files.clone(),
        index: Arc::new(index),
        log: Log::new(Arc::clone(&segments), active, options.segment_bytes),
        options,
        segments,
        doubts: Arc::default(),
        metrics: BlockStoreMetrics::new(&Metrics::new()).of(volume),
        queue,
        next: None,
        uncounted: 0,
        _lock: lock,
    }
}

fn record(sequence: u64, length: usize) -> NewRecord {
    let payload = Bytes::from(vec![7; length]);
    let header = RecordHeader {
        kind: RecordKind::Block,
        id: BlockId { session: SessionId(1), sequence },
        pg: PgId(1),
        digest: Digest::default(),
        plain_length: 0,
        payload_length: u32::try_from(length).unwrap(),
        payload_crc: crc32fast::hash(&payload),
        synced_before: 0,
    };
    NewRecord { header, payload }
}

/// Fills the queue before the writer runs, so that all of it waits together.
async fn run_with(puts: u64, length: usize) -> (u64, Vec<Result<(), BlockStoreError>>) {
    let folder = tempfile::tempdir().unwrap();
    let syncs = Arc::new(SegmentSyncs::default());
    let (sender, queue) = mpsc::channel(64);
    let writer = writer(folder.path(), &Files::watched(syncs.clone()), queue);
    let before = syncs.0.load(Ordering::Relaxed);
    let mut answers = Vec::new();
    for sequence in 0..puts {
        let (reply, answer) = oneshot::channel();
        let permit = ByteBudget::new(1).acquire(0).await;
        let put = Put { records: vec![record(sequence, length)], permit, reply: Reply(reply) };
        assert!(sender.try_send(Command::Put(put)).is_ok());
        answers.push(answer);
    }
    assert!(sender.try_send(Command::Close).is_ok());
    let metrics = writer.metrics.clone();
    runtime::blocking(move || writer.run()).await.unwrap();
    assert_eq!(metrics.syncs.get(), syncs.0.load(Ordering::Relaxed) - before);
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.unwrap());
    }
    (metrics.syncs.get(), results)
}

#[tokio::test]
async fn puts_that_wait_together_share_one_sync() {
    let (syncs, answers) = run_with(50, 1000).await;
    assert_eq!(syncs, 1);
    assert!(answers.len() == 50 && answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_batch_has_a_bound() {
    let (syncs, answers) = run_with(8, 512 << 10).await;
    assert_eq!(syncs, 4);
    assert!(answers.iter().all(Result::is_ok));
}

/// Queues a put of each record, all of them before the writer runs, and gives the volume's folder.
async fn volume_after(records: Vec<NewRecord>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (sender, queue) = mpsc::channel(64);
    let writer = writer(folder.path(), &Files::real(), queue);
    let mut answers = Vec::new();
    for record in records {
        let (reply, answer) = oneshot::channel();
        let permit = ByteBudget::new(1).acquire(0).await;
        assert!(sender.try_send(Command::Put(Put { records: vec![record], permit, reply: Reply(reply) })).is_ok());
        answers.push(answer);
    }
    assert!(sender.try_send(Command::Close).is_ok());
    runtime::blocking(move || writer.run()).await.unwrap();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    folder
}

#[tokio::test]
async fn a_block_put_twice_at_once_cuts_off_nothing_behind_it() {
    let moved = record(1, 64 << 10);
    let header = RecordHeader { pg: PgId(2), ..moved.header };
    let again = NewRecord { header, payload: moved.payload.clone() };
    let folder = volume_after(vec![moved, again, record(2, 64 << 10)]).await;

    // The index had not been flushed when the power went: what is left is what the segments say.
    let files = Files::real();
    files.remove_dir_all(&folder.path().join("index")).unwrap();
    let Recovered { index, .. } = recover(&files, folder.path(), VolumeId(Uuid::from_u128(1))).unwrap();
    for (sequence, pg) in [(1, PgId(2)), (2, PgId(1))] {
        let row = index.changes().row(BlockId { session: SessionId(1), sequence }).unwrap();
        assert_eq!(row.map(|row| (row.pg, row.is_held())), Some((pg, true)), "block {sequence}");
    }
}
