//! A unit on its way through a worker: differences are found, blocks are read, all is sealed. The three stages run at
//! the same time, with short queues between them.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use namespace::View;
use repo::Writer;
use tokio::sync::mpsc;
use types::Lin;

use super::{WorkError, Worker};
use crate::pack::{Differ, Difference, Loaded, PackError, Packed, Piece};
use crate::plan::Unit;
use crate::surroundings::BlockReadError;

/// Differences that go from stage to stage together.
const BATCH_DIFFERENCES: usize = 512;
/// Plain bytes of the blocks of a batch, about: with the queues, a unit has some five batches in memory.
const BATCH_BYTES: u64 = 8 << 20;
/// Batches that wait between two stages.
const BATCHES_WAITING: usize = 1;

impl Worker {
    /// Packs a unit; objects that become full are sent on.
    pub(super) async fn pack_unit(
        &self,
        unit: Unit,
        writer: Writer,
        sender: &mpsc::Sender<Packed>,
    ) -> Result<(), WorkError> {
        let (found_sender, found) = mpsc::channel(BATCHES_WAITING);
        let (loaded_sender, loaded) = mpsc::channel(BATCHES_WAITING);
        let (differ, around, job) = (Arc::clone(&self.differ), self.around.clone(), self.job.clone());
        let find = async {
            let found = runtime::blocking(move || {
                let mut differ = differ.lock().unwrap_or_else(PoisonError::into_inner);
                differ.renew(&around.state.view()?, &job)?;
                find(&mut differ, &unit, &found_sender)
            });
            found.await
        };
        // A stage whose successor has failed stops as well; the failure is the successor's to tell.
        let (found, loaded, sealed) =
            futures::join!(find, self.load(found, loaded_sender), self.seal(loaded, writer, sender));
        sealed.and(untold(loaded)).and(untold(found))?;
        Ok(())
    }

    async fn load(
        &self,
        mut found: mpsc::Receiver<Vec<Difference>>,
        sender: mpsc::Sender<Vec<Loaded>>,
    ) -> Result<(), WorkError> {
        while let Some(batch) = found.recv().await {
            let reads = stream::iter(batch).map(|difference| self.load_one(difference));
            let loaded = reads.buffered(self.options.reads_max).try_collect().await?;
            sender.send(loaded).await.map_err(|_| WorkError::Stopped)?;
        }
        Ok(())
    }

    async fn load_one(&self, difference: Difference) -> Result<Loaded, WorkError> {
        let Difference::Piece { lin, piece: Piece::Block(extent), .. } = &difference else {
            return Ok(Loaded { difference, stored: None });
        };
        let stored = match self.around.blocks.read(extent).await {
            Ok(stored) => stored,
            Err(source) => return Err(self.unreadable(*lin, extent.offset, source).await),
        };
        self.around.metrics.read_bytes.inc_by(stored.len() as u64);
        Ok(Loaded { difference, stored: Some(stored) })
    }

    /// Names the file whose block cannot be read.
    async fn unreadable(&self, lin: Lin, offset: u64, source: BlockReadError) -> WorkError {
        WorkError::Block { path: self.path(lin).await, lin, offset, source }
    }

    /// Names the file of which something cannot be packed, if it is about a file.
    async fn unpackable(&self, error: PackError) -> WorkError {
        match error {
            PackError::Block { lin, .. } => WorkError::Damaged { path: self.path(lin).await, source: error },
            PackError::Object(_) => error.into(),
        }
    }

    async fn path(&self, lin: Lin) -> String {
        let (state, snapshot) = (Arc::clone(&self.around.state), self.job.snapshot);
        let path = runtime::blocking(move || path_of(&state.view()?.at(snapshot)?, lin));
        path.await.unwrap_or_else(|_| "a file that is gone".to_owned())
    }

    async fn seal(
        &self,
        mut loaded: mpsc::Receiver<Vec<Loaded>>,
        writer: Writer,
        sender: &mpsc::Sender<Packed>,
    ) -> Result<(), WorkError> {
        while let Some(batch) = loaded.recv().await {
            let packer = Arc::clone(&self.packer);
            let sealed = match runtime::blocking(move || seal(&packer, batch, writer)).await {
                Ok(sealed) => sealed,
                Err(error) => return Err(self.unpackable(error).await),
            };
            for packed in sealed {
                sender.send(packed).await.map_err(|_| WorkError::Stopped)?;
            }
        }
        Ok(())
    }
}

/// Finds the differences of a unit, and sends them on in batches.
fn find(differ: &mut Differ, unit: &Unit, sender: &mpsc::Sender<Vec<Difference>>) -> Result<(), WorkError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for item in &unit.items {
        differ.diff(*item, &mut |difference| {
            bytes += match &difference {
                Difference::Piece { piece: Piece::Block(extent), .. } => u64::from(extent.block_length),
                Difference::Piece { piece: Piece::Inline { bytes, .. }, .. } => bytes.len() as u64,
                _ => 0,
            };
            batch.push(difference);
            if batch.len() < BATCH_DIFFERENCES && bytes < BATCH_BYTES {
                return Ok(());
            }
            bytes = 0;
            sender.blocking_send(std::mem::take(&mut batch)).map_err(|_| WorkError::Stopped)
        })?;
    }
    if batch.is_empty() { Ok(()) } else { sender.blocking_send(batch).map_err(|_| WorkError::Stopped) }
}

fn seal(packer: &Mutex<crate::pack::Packer>, batch: Vec<Loaded>, writer: Writer) -> Result<Vec<Packed>, PackError> {
    let mut packer = packer.lock().unwrap_or_else(PoisonError::into_inner);
    let mut full = Vec::new();
    for loaded in batch {
        packer.add(loaded, writer)?;
        full.extend(packer.take_full()?);
    }
    Ok(full)
}

/// The path of a LIN by the first of its names.
fn path_of(view: &View, lin: Lin) -> Result<String, WorkError> {
    let (mut path, mut at) = (String::new(), lin);
    while let Some((parent, name)) = view.links(at)?.into_iter().next() {
        path = format!("/{name}{path}");
        at = parent;
    }
    Ok(path)
}

/// A stage's own failure, and not that it was stopped by another one's.
fn untold(result: Result<(), WorkError>) -> Result<(), WorkError> {
    match result {
        Err(WorkError::Stopped) => Ok(()),
        other => other,
    }
}
