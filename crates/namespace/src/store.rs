//! The store: the one that applies log entries, and makes views.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use types::{Batch, OperationError, Outcome};

use crate::apply;
use crate::database::Database;
use crate::error::StoreError;
use crate::genesis;
use crate::meta;
use crate::rows::ProgressRow;
use crate::view::View;

/// A log entry, with what the consensus wants to find again after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its index in the log.
    pub index: u64,
    /// Its position in the consensus' own words.
    pub position: Bytes,
    /// The membership that it sets, in the consensus' own words.
    pub membership: Option<Bytes>,
    /// The operations; an entry of the consensus' own has none.
    pub batch: Option<Batch>,
}

/// How far a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last log entry; 0 if there was none.
    pub index: u64,
    /// Its position in the consensus' own words.
    pub position: Option<Bytes>,
    /// The last membership in the consensus' own words.
    pub membership: Option<Bytes>,
}

/// The results of the operations of one log entry, in their order.
pub type Results = Vec<Result<Outcome, OperationError>>;

/// The replicated state machine on one node. Cheap to clone; all calls block, so async callers go through
/// `runtime::blocking`.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    writer: Arc<Mutex<Writer>>,
}

/// What applying needs to itself.
struct Writer {
    /// What the last batch left behind.
    progress: ProgressRow,
    /// Set by a failed write: memory and disk may differ from then on.
    stopped: bool,
}

impl Store {
    /// Opens the store in a folder, or makes one there; the folder's parent must exist.
    ///
    /// # Errors
    /// The folder cannot be opened, is open already, or holds a store of another format.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        meta::refuse_another_format(folder.as_ref())?;
        let database = Arc::new(Database::open(folder.as_ref())?);
        if meta::format(&*database)?.is_none() {
            genesis::write(&database)?;
        }
        let progress = meta::progress(&*database)?;
        let writer = Arc::new(Mutex::new(Writer { progress, stopped: false }));
        Ok(Self { database, writer })
    }

    /// Applies log entries in one write batch, and gives the results of each entry's operations.
    ///
    /// The batch is in memory only: after a crash the store is at the last [`Store::flush`], and the log has the rest.
    ///
    /// # Errors
    /// The store failed. Nothing was applied, and nothing more will be until it is opened again.
    pub fn apply(&self, entries: &[Entry]) -> Result<Vec<Results>, StoreError> {
        let mut writer = self.writer();
        if writer.stopped {
            return Err(StoreError::Stopped);
        }
        let applied = apply::entries(&self.database, &writer.progress, entries);
        writer.stopped = applied.is_err();
        let (progress, results) = applied?;
        writer.progress = progress;
        Ok(results)
    }

    /// How far the store is.
    #[must_use]
    pub fn applied(&self) -> Applied {
        let writer = self.writer();
        let ProgressRow { index, position, membership, .. } = writer.progress.clone();
        Applied { index, position, membership }
    }

    /// The chained hash of all writes so far, as [`View::digest`] has it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.writer().progress.digest
    }

    /// Makes what is applied durable, and gives the index that the log may be purged up to: the one that was applied
    /// before the flush began (rule P5).
    ///
    /// # Errors
    /// The store failed; nothing may be purged.
    pub fn flush(&self) -> Result<u64, StoreError> {
        let index = self.writer().progress.index;
        self.database.flush()?;
        Ok(index)
    }

    /// Makes a durable copy of the store between two batches, in a folder that does not exist yet, and says how far the
    /// copy is. It shares files with the store where the file system can. [`Store::open`] opens it.
    ///
    /// # Errors
    /// The folder is there, or the store failed.
    pub fn checkpoint(&self, folder: impl AsRef<Path>) -> Result<Applied, StoreError> {
        // Most of the flush happens before the lock, so that applying waits for the rest of it only.
        self.database.flush()?;
        let writer = self.writer();
        self.database.checkpoint(folder.as_ref())?;
        let ProgressRow { index, position, membership, .. } = writer.progress.clone();
        Ok(Applied { index, position, membership })
    }

    /// The state of this moment, for reading.
    ///
    /// # Errors
    /// The store failed.
    pub fn view(&self) -> Result<View, StoreError> {
        View::new(Arc::clone(&self.database))
    }

    /// The rows as they are.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// A panic while applying leaves nothing half done: the progress is replaced as a whole, after the write.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
