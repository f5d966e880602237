//! The state of the leader, as it arrives.
//!
//! The leader offers a copy, file by file; this node says how much of each file it has, and the leader sends the rest
//! in order. A transfer that was cut off goes on where it stopped, as long as the offer is the same and this process
//! lives. Each chunk is checked before it is written; all files are synced before the copy is handed on.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runtime::{File, Files};

use super::checkpoint::Contents;
use super::{Checkpoint, StateError, Stores};

/// Where received state goes; at most one transfer at a time.
pub(crate) struct Incoming {
    files: Files,
    stores: Stores,
    transfer: Mutex<Transfers>,
}

#[derive(Default)]
struct Transfers {
    begun: u64,
    current: Option<Receiving>,
}

struct Receiving {
    number: u64,
    folder: PathBuf,
    contents: Contents,
    files: Vec<(File, u64)>,
}

/// A piece of a file.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    pub transfer: u64,
    pub file: usize,
    pub offset: u64,
    pub crc: u32,
    pub bytes: &'a [u8],
}

impl Incoming {
    pub fn new(files: Files, stores: Stores) -> Self {
        Self { files, stores, transfer: Mutex::default() }
    }

    /// Begins a transfer, or goes on with the one that was offered before. Gives its number, and how much of each file
    /// is there. Blocks.
    pub fn offer(&self, contents: Contents) -> Result<(u64, Vec<u64>), StateError> {
        let mut transfers = self.transfers();
        if let Some(receiving) = transfers.current.as_ref().filter(|receiving| receiving.contents == contents) {
            return Ok((receiving.number, receiving.files.iter().map(|(_, length)| *length).collect()));
        }
        if let Some(bad) = contents.files.iter().find(|file| !file.is_plain()) {
            return Err(StateError::Chunk { file: bad.name.clone() });
        }
        if let Some(old) = transfers.current.take() {
            self.files.remove_dir_all(&old.folder)?;
        }
        transfers.begun += 1;
        let number = transfers.begun;
        let folder = self.stores.incoming_folder(number)?;
        let mut files = Vec::new();
        for entry in &contents.files {
            files.push((self.files.create(&folder.join(&entry.name))?, 0));
        }
        let have = vec![0; files.len()];
        transfers.current = Some(Receiving { number, folder, contents, files });
        Ok((number, have))
    }

    /// Takes in a chunk; false if it belongs to no transfer that is in progress, and the leader has to offer again.
    /// Blocks.
    pub fn chunk(&self, chunk: &Chunk<'_>) -> Result<bool, StateError> {
        let mut transfers = self.transfers();
        let Some(receiving) = transfers.current.as_mut().filter(|receiving| receiving.number == chunk.transfer) else {
            return Ok(false);
        };
        let entry = receiving.contents.files.get(chunk.file);
        let (Some(entry), Some((file, length))) = (entry, receiving.files.get_mut(chunk.file)) else {
            return Ok(false);
        };
        let end = chunk.offset + chunk.bytes.len() as u64;
        if chunk.offset != *length || end > entry.length || crc32fast::hash(chunk.bytes) != chunk.crc {
            return Err(StateError::Chunk { file: entry.name.clone() });
        }
        file.write_all_at(chunk.offset, chunk.bytes)?;
        *length = end;
        Ok(true)
    }

    /// Ends a transfer and gives the copy, durable; `None` if it is not complete. Blocks.
    pub fn finish(&self, transfer: u64) -> Result<Option<Arc<Checkpoint>>, StateError> {
        let mut transfers = self.transfers();
        let whole = |receiving: &Receiving| {
            let lengths = receiving.contents.files.iter().map(|entry| entry.length);
            receiving.number == transfer && lengths.eq(receiving.files.iter().map(|(_, length)| *length))
        };
        if !transfers.current.as_ref().is_some_and(whole) {
            return Ok(None);
        }
        let Some(receiving) = transfers.current.take() else { return Ok(None) };
        for (file, _) in &receiving.files {
            file.sync_data()?;
        }
        self.files.sync_dir(&receiving.folder)?;
        Ok(Some(Arc::new(Checkpoint::received(&self.files, &receiving.folder, receiving.contents))))
    }

    fn transfers(&self) -> MutexGuard<'_, Transfers> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
