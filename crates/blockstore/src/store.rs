//! The handle of a volume.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use runtime::{ByteBudget, Files, OnError, Seed, Tasks, blocking};
use tokio::sync::{Semaphore, mpsc, oneshot};
use types::{BlockId, Digest, PgId, VolumeId};

use crate::broken::Broken;
use crate::doubts::Doubts;
use crate::identity::{HasSegments, Wanted, identify};
use crate::metrics::VolumeMetrics;
use crate::reader::Reader;
use crate::record::{RecordHeader, RecordKind};
use crate::recovery::{Recovered, recover};
use crate::segment::SEGMENT_HEADER_LENGTH;
use crate::segment_files::SegmentFiles;
use crate::writer::{Command, Log, NewRecord, Put, Reply, Writer};
use crate::{BlockStoreError, Options, Outside, Recovery, ScrubDepth, Scrubbed, Usage};

/// Commands that wait for the writer; their bytes have a bound of their own.
const QUEUE_COMMANDS: usize = 256;

/// A block to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlock {
    /// The block.
    pub id: BlockId,
    /// The placement group that it was put to.
    pub pg: PgId,
    /// The digest of its plain bytes.
    pub digest: Digest,
    /// Its stored form.
    pub stored: Bytes,
}

/// A block that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// The placement group that it was put to.
    pub pg: PgId,
    /// The digest of its plain bytes.
    pub digest: Digest,
    /// Its stored form, checked by CRC-32.
    pub stored: Bytes,
}

/// The blocks on one disk; clones are the same volume.
#[derive(Clone)]
pub struct BlockStore {
    inner: Arc<Inner>,
}

struct Inner {
    volume: VolumeId,
    options: Options,
    files: Files,
    tasks: Tasks,
    reader: Reader,
    writer: mpsc::Sender<Command>,
    in_flight: ByteBudget,
    reads: Arc<Semaphore>,
    /// One compaction at a time.
    compactions: Arc<Semaphore>,
    metrics: VolumeMetrics,
    recovery: Recovery,
    broken: Broken,
}

impl BlockStore {
    /// Opens a volume, or makes one in an empty folder, and recovers what a crash left.
    ///
    /// # Errors
    /// The folder is another volume, in use, or cannot be read.
    pub async fn open(options: Options, outside: Outside) -> Result<Self, BlockStoreError> {
        blocking(move || open(options, outside)).await
    }

    /// Which volume this is.
    #[must_use]
    pub fn volume(&self) -> VolumeId {
        self.inner.volume
    }

    /// What was found when it was opened.
    #[must_use]
    pub fn recovery(&self) -> &Recovery {
        &self.inner.recovery
    }

    /// Whether puts and removals are taken, or a write has failed since the volume was opened.
    ///
    /// # Errors
    /// One has, and why.
    pub fn takes_writes(&self) -> Result<(), BlockStoreError> {
        let refused = |reason| BlockStoreError::Unwritable { volume: self.volume(), reason };
        self.inner.broken.reason().map_or(Ok(()), |reason| Err(refused(reason)))
    }

    /// Takes writes again after one has failed: the segments' files are opened again, what no record says was synced is
    /// written and synced anew, and the index learns of it, all as after a crash. Reads go on meanwhile. A put or removal
    /// that failed may turn out to be there. Nothing happens if no write has failed.
    ///
    /// # Errors
    /// The disk fails still, or has lost what it had synced; the volume still takes no writes.
    pub async fn reopen(&self) -> Result<(), BlockStoreError> {
        self.ask(|reply| Command::Reopen { reply }).await
    }

    /// Keeps blocks: all of them are on the medium when this returns. A block that is held already is fine, unless the
    /// disk did not give it when it was last read: then it is written anew.
    ///
    /// # Errors
    /// A block's bytes are none, its id is taken by other bytes, there is no room, or the disk failed. Of a put that is
    /// refused some blocks may be kept.
    pub async fn put(&self, blocks: Vec<NewBlock>) -> Result<(), BlockStoreError> {
        let bytes = blocks.iter().map(|block| block.stored.len() as u64).sum();
        let permit = self.inner.in_flight.acquire(bytes).await;
        let records = blocking(move || blocks.into_iter().map(check).collect::<Result<Vec<_>, _>>()).await?;
        self.ask(|reply| Command::Put(Put { records, permit, reply })).await
    }

    /// The block in its stored form.
    ///
    /// # Errors
    /// Its bytes are damaged, or the disk failed.
    pub async fn get(&self, id: BlockId) -> Result<Option<StoredBlock>, BlockStoreError> {
        let found = self.read(move |reader| reader.payload(id)).await?;
        Ok(found.map(|(row, stored)| StoredBlock { pg: row.pg, digest: row.digest, stored }))
    }

    /// A range of the block's plain bytes; reads and opens only the frames that hold it.
    ///
    /// # Errors
    /// The range lies outside of the block, its bytes are damaged, or the disk failed.
    pub async fn get_range(&self, id: BlockId, offset: u32, length: u32) -> Result<Option<Bytes>, BlockStoreError> {
        self.read(move |reader| reader.range(id, offset, length)).await
    }

    /// Whether the block is held, and not in quarantine. One that the disk did not give is read again, and is not held
    /// if that fails too.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn holds(&self, id: BlockId) -> Result<bool, BlockStoreError> {
        self.read(move |reader| reader.holds(id)).await
    }

    /// Those of the blocks that have not been removed, in the order given; quarantined ones are among them.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn remaining(&self, ids: Vec<BlockId>) -> Result<Vec<BlockId>, BlockStoreError> {
        self.read(move |reader| {
            let mut remaining = Vec::new();
            for id in ids {
                if reader.index.row(id)?.is_some() {
                    remaining.push(id);
                }
            }
            Ok(remaining)
        })
        .await
    }

    /// Up to `limit` held blocks of a placement group behind `after`, in order, without those that the disk did not give
    /// when they were last read.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn ids(&self, pg: PgId, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        self.read(move |reader| reader.ids(pg, after, limit)).await
    }

    /// Up to `limit` blocks behind `after`, held and quarantined, in order.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn all_ids(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        self.read(move |reader| reader.index.all_ids(after, limit)).await
    }

    /// Up to `limit` blocks behind `after` whose bytes were found damaged, in order. A new put replaces them; a read
    /// or scrub that finds them good makes them held again.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn quarantined(&self, after: Option<BlockId>, limit: usize) -> Result<Vec<BlockId>, BlockStoreError> {
        self.read(move |reader| reader.index.quarantined(after, limit)).await
    }

    /// Lets go of blocks for good, and gives their space back. Whether anybody still needs them is the caller's business
    /// (rule P9). Those that are not here are passed over.
    ///
    /// # Errors
    /// The disk failed; some blocks may be gone.
    pub async fn remove(&self, ids: Vec<BlockId>) -> Result<(), BlockStoreError> {
        self.ask(|reply| Command::Remove { ids, reply }).await
    }

    /// Checks up to `limit` blocks behind `after`. Bad ones are quarantined and listed; those that the disk does not give
    /// are listed only; those in quarantine are looked at again, and held if they are good.
    ///
    /// # Errors
    /// The index cannot be read.
    pub async fn scrub(
        &self,
        after: Option<BlockId>,
        limit: usize,
        depth: ScrubDepth,
    ) -> Result<Scrubbed, BlockStoreError> {
        let scrubbed = self.read(move |reader| reader.scrub(after, limit, depth)).await?;
        self.inner.metrics.scrubbed_blocks.inc_by(scrubbed.blocks);
        self.inner.metrics.scrubbed_bytes.inc_by(scrubbed.bytes);
        Ok(scrubbed)
    }

    /// How full the volume is.
    ///
    /// # Errors
    /// The index or the disk cannot be read.
    pub async fn usage(&self) -> Result<Usage, BlockStoreError> {
        let inner = Arc::clone(&self.inner);
        self.read(move |_| inner.usage()).await
    }

    /// Finishes what was put before, flushes the index and stops. Nothing is lost without it; the next open is slower.
    pub async fn close(&self) {
        // It is closed already if nobody takes the command.
        let _ = self.inner.writer.send(Command::Close).await;
        self.inner.tasks.wait_idle().await;
    }

    pub(crate) fn compactions(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.compactions)
    }

    /// The disk, and the volume's folder on it.
    pub(crate) fn place(&self) -> (Files, PathBuf) {
        (self.inner.files.clone(), self.inner.options.folder.clone())
    }

    pub(crate) fn metrics(&self) -> &VolumeMetrics {
        &self.inner.metrics
    }

    /// The bytes that may wait to be written.
    pub(crate) fn in_flight(&self) -> &ByteBudget {
        &self.inner.in_flight
    }

    pub(crate) async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), BlockStoreError> {
        let closed = || BlockStoreError::Closed { volume: self.inner.volume };
        let (reply, answer) = oneshot::channel();
        self.inner.writer.send(command(Reply(reply))).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, BlockStoreError> + Send + 'static,
    ) -> Result<T, BlockStoreError> {
        let reader = self.inner.reader.clone();
        let place = Arc::clone(&self.inner.reads).acquire_owned().await;
        blocking(move || {
            // The place is taken until the disk has answered, whether or not anybody still waits for it.
            let _place = place;
            work(&reader)
        })
        .await
    }
}

impl Inner {
    fn usage(&self) -> Result<Usage, BlockStoreError> {
        let (segments, used) = self.reader.index.total_use()?;
        let space = self.files.free_space(&self.options.folder)?;
        let dead_bytes = used.length.saturating_sub(used.live_bytes + segments * SEGMENT_HEADER_LENGTH);
        self.metrics.dead_bytes.set(i64::try_from(dead_bytes).unwrap_or(i64::MAX));
        self.metrics.quarantined_blocks.set(i64::try_from(used.quarantined).unwrap_or(i64::MAX));
        Ok(Usage {
            blocks: used.live_blocks,
            live_bytes: used.live_bytes,
            dead_bytes,
            quarantined_blocks: used.quarantined,
            segments,
            waiting_bytes: self.in_flight.taken(),
            free_bytes: space.free,
            total_bytes: space.total,
            reserve_bytes: self.options.reserve_bytes,
            capacity_bytes: self.options.capacity_bytes.map_or(space.total, |limit| limit.min(space.total)),
        })
    }
}

impl fmt::Debug for BlockStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockStore").field("volume", &self.inner.volume).finish_non_exhaustive()
    }
}

fn open(options: Options, outside: Outside) -> Result<BlockStore, BlockStoreError> {
    let Outside { files, tasks, seed, metrics } = outside;
    if options.expected.is_some() {
        // The folder of a disk that is not mounted stays as empty as it is.
        look_for_volume(&files, &options, &seed)?;
    }
    files.create_dirs(&options.folder.join("segments"))?;
    let lock = Arc::new(files.lock(&options.folder.join("lock"))?);
    let volume = look_for_volume(&files, &options, &seed)?;
    let Recovered { index, segments, active, recovery } = recover(&files, &options.folder, volume)?;

    let (index, doubts) = (Arc::new(index), Arc::new(Doubts::default()));
    let (writer, queue) = mpsc::channel(QUEUE_COMMANDS);
    let tasks = tasks.child("volume");
    let log = Log::new(Arc::clone(&segments), active, options.segment_bytes);
    let (broken, metrics) = (log.broken(), metrics.of(volume));
    let thread = Writer {
        volume,
        options: options.clone(),
        files: files.clone(),
        index: Arc::clone(&index),
        log,
        segments: Arc::clone(&segments),
        doubts: Arc::clone(&doubts),
        metrics: metrics.clone(),
        queue,
        next: None,
        uncounted: 0,
        _lock: lock,
    };
    start(&tasks, thread, writer.downgrade()).map_err(|source| BlockStoreError::Thread { volume, source })?;
    let in_flight = ByteBudget::new(options.queue_bytes);
    let reader = Reader { index, segments, doubts, writer: writer.clone() };
    let reads = Arc::new(Semaphore::new(options.reads_max));
    let compactions = Arc::new(Semaphore::new(1));
    let inner = Inner {
        volume,
        options,
        files,
        tasks,
        reader,
        writer,
        in_flight,
        reads,
        compactions,
        metrics,
        recovery,
        broken,
    };
    Ok(BlockStore { inner: Arc::new(inner) })
}

/// Finds out which volume the folder is; one that is none yet becomes a new one, unless another is expected.
fn look_for_volume(files: &Files, options: &Options, seed: &Seed) -> Result<VolumeId, BlockStoreError> {
    let has_segments = match SegmentFiles::list(files, &options.folder.join("segments")) {
        Ok(segments) if segments.is_empty() => HasSegments::No,
        Ok(_) => HasSegments::Yes,
        Err(error) if error.is_not_found() => HasSegments::No,
        Err(error) => return Err(error.into()),
    };
    identify(files, &options.folder, &Wanted { expected: options.expected, has_segments }, seed)
}

/// Starts the writer, and what tells it when the process ends.
fn start(tasks: &Tasks, writer: Writer, commands: mpsc::WeakSender<Command>) -> std::io::Result<()> {
    let shutdown = tasks.shutdown();
    let ended = shutdown.clone();
    tasks.spawn_thread("writer", OnError::Log, move || {
        let result = writer.run();
        ended.cancel();
        result
    })?;
    tasks.spawn("closer", OnError::Log, async move {
        shutdown.cancelled().await;
        if let Some(commands) = commands.upgrade() {
            // It is closed already if nobody takes the command.
            let _ = commands.send(Command::Close).await;
        }
    });
    Ok(())
}

/// Checks what somebody wants to be kept (law 3).
fn check(new: NewBlock) -> Result<NewRecord, BlockStoreError> {
    let NewBlock { id, pg, digest, stored } = new;
    let plain_length = block::check(&stored).and_then(|()| block::plain_length(&stored));
    let plain_length = plain_length.map_err(|source| BlockStoreError::BadBlock { id, source })?;
    let header = RecordHeader {
        kind: RecordKind::Block,
        id,
        pg,
        digest,
        plain_length,
        payload_length: u32::try_from(stored.len()).expect("a checked block has at most 4 MiB and its head"),
        payload_crc: crc32fast::hash(&stored),
        synced_before: 0,
    };
    Ok(NewRecord { header, payload: stored })
}
