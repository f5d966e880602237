//! The state of the leader, as it arrives (rule P5).
//!
//! The leader offers a copy: its files, each with its length and the digest of its bytes. What arrives is kept in a folder
//! of its own, in *parts* that are named by digest, not by file. So a transfer that was cut off, by either end or by a
//! restart, goes on where it stopped; and a later copy, of which most files are the same, begins with those that are
//! there. This node says how much of each file it has, and the leader sends the rest in order.
//!
//! Each chunk is checked before it is written, and each file against its digest before the copy is handed on, because a
//! crash may have lost what was not synced. A part that is not what its name says is emptied, and sent again.
//!
//! **Crash**: parts stay, and are taken up by the next offer. **Limits.** One transfer at a time; there are parts of the
//! last offer only, and none once nothing has come for [`IDLE`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Clock, File, Files};
use tokio::time::Instant;
use tracing::{info, warn};

use super::checkpoint::{Contents, FileEntry, digest_of};
use super::{Checkpoint, StateError, Stores};

/// How long parts stay when nothing comes any more: a leader tries again within seconds, a new one within an election.
const IDLE: Duration = Duration::from_secs(3600);

/// Where received state goes; at most one transfer at a time.
pub(crate) struct Incoming {
    files: Files,
    stores: Stores,
    clock: Clock,
    transfer: Mutex<Transfers>,
}

struct Transfers {
    begun: u64,
    current: Option<Receiving>,
    used: Instant,
}

struct Receiving {
    number: u64,
    contents: Contents,
    /// One for each file, in the order of the contents.
    parts: Vec<Part>,
}

/// As much of a file as is there.
struct Part {
    file: File,
    length: u64,
    /// Whether it was found to be what its name says.
    verified: bool,
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
    pub fn new(files: Files, stores: Stores, clock: Clock) -> Self {
        let transfer = Mutex::new(Transfers { begun: 0, current: None, used: clock.now() });
        Self { files, stores, clock, transfer }
    }

    /// Begins a transfer, or goes on with one that was offered before. Gives its number, and how much of each file is
    /// there. Blocks.
    pub fn offer(&self, contents: Contents) -> Result<(u64, Vec<u64>), StateError> {
        let mut transfers = self.transfers();
        transfers.used = self.clock.now();
        if let Some(receiving) = transfers.current.as_ref().filter(|receiving| receiving.contents == contents) {
            return Ok((receiving.number, receiving.lengths()));
        }
        if let Some(bad) = contents.files.iter().find(|file| !file.is_plain()) {
            return Err(StateError::Chunk { file: bad.name.clone() });
        }
        transfers.current = None;
        transfers.begun += 1;
        let parts = self.open_parts(&contents.files)?;
        let receiving = Receiving { number: transfers.begun, contents, parts };
        let (number, lengths) = (receiving.number, receiving.lengths());
        let (there, whole) = (lengths.iter().sum::<u64>(), receiving.contents.length());
        info!(bytes = whole, there, "a state snapshot is offered");
        transfers.current = Some(receiving);
        Ok((number, lengths))
    }

    /// Opens the parts of an offer as far as they are there, and removes those of other offers.
    fn open_parts(&self, entries: &[FileEntry]) -> Result<Vec<Part>, StateError> {
        let (folder, names) = (self.stores.parts_folder(), part_names(entries));
        self.files.create_dirs(&folder)?;
        let wanted: BTreeSet<_> = names.iter().map(|name| folder.join(name)).collect();
        for found in self.files.list(&folder)? {
            if !wanted.contains(&found.path) {
                self.files.remove(&found.path)?;
            }
        }
        let open = |(entry, name): (&FileEntry, &PathBuf)| {
            let file = self.files.open_write(&folder.join(name))?;
            let mut part = Part { length: file.len()?, file, verified: false };
            if part.length > entry.length {
                part.empty()?;
            }
            Ok(part)
        };
        entries.iter().zip(&names).map(open).collect()
    }

    /// Takes in a chunk; false if it belongs to no transfer that is in progress, and the leader has to offer again.
    /// Blocks.
    pub fn chunk(&self, chunk: &Chunk<'_>) -> Result<bool, StateError> {
        let mut transfers = self.transfers();
        transfers.used = self.clock.now();
        let Some(receiving) = transfers.current.as_mut().filter(|receiving| receiving.number == chunk.transfer) else {
            return Ok(false);
        };
        let entry = receiving.contents.files.get(chunk.file);
        let (Some(entry), Some(part)) = (entry, receiving.parts.get_mut(chunk.file)) else {
            return Ok(false);
        };
        let end = chunk.offset.saturating_add(chunk.bytes.len() as u64);
        if chunk.offset != part.length || end > entry.length || crc32fast::hash(chunk.bytes) != chunk.crc {
            return Err(StateError::Chunk { file: entry.name.clone() });
        }
        part.file.write_all_at(chunk.offset, chunk.bytes)?;
        part.length = end;
        Ok(true)
    }

    /// Ends a transfer and gives the copy, durable; `None` if something is missing or damaged, and the leader has to
    /// offer again. Blocks.
    pub fn finish(&self, transfer: u64) -> Result<Option<Arc<Checkpoint>>, StateError> {
        let mut transfers = self.transfers();
        transfers.used = self.clock.now();
        let Some(receiving) = transfers.current.as_mut().filter(|receiving| receiving.number == transfer) else {
            return Ok(None);
        };
        if !receiving.verify()? {
            return Ok(None);
        }
        for part in &receiving.parts {
            part.file.sync_data()?;
        }
        let Some(receiving) = transfers.current.take() else { return Ok(None) };
        let folder = self.stores.incoming_folder(receiving.number)?;
        for (name, entry) in part_names(&receiving.contents.files).iter().zip(&receiving.contents.files) {
            self.files.rename(&self.stores.parts_folder().join(name), &folder.join(&entry.name))?;
        }
        self.files.sync_dir(&folder)?;
        Ok(Some(Arc::new(Checkpoint::received(&self.files, &folder, receiving.contents))))
    }

    /// Removes the parts of a transfer with which nobody goes on. Blocks.
    pub fn drop_idle(&self) {
        let mut transfers = self.transfers();
        if self.clock.now().saturating_duration_since(transfers.used) <= IDLE {
            return;
        }
        transfers.used = self.clock.now();
        transfers.current = None;
        if let Err(error) = self.files.remove_dir_all(&self.stores.parts_folder()) {
            warn!(%error, "cannot remove a state snapshot that was never received in full; it is tried again");
        }
    }

    fn transfers(&self) -> MutexGuard<'_, Transfers> {
        self.transfer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiving {
    fn lengths(&self) -> Vec<u64> {
        self.parts.iter().map(|part| part.length).collect()
    }

    /// Whether every part is what its name says; one that is not is emptied.
    fn verify(&mut self) -> Result<bool, StateError> {
        let mut sound = true;
        for (entry, part) in self.contents.files.iter().zip(&mut self.parts) {
            if part.length < entry.length {
                sound = false;
            } else if !part.verified {
                part.verified = digest_of(&part.file, entry.length)? == entry.digest;
                if !part.verified {
                    warn!(file = entry.name, "a file of a state snapshot is damaged, and is sent again");
                    part.empty()?;
                    sound = false;
                }
            }
        }
        Ok(sound)
    }
}

impl Part {
    fn empty(&mut self) -> Result<(), StateError> {
        self.file.set_len(0)?;
        self.length = 0;
        Ok(())
    }
}

/// The names of the parts: the digest, and a number that tells files with the same bytes apart.
fn part_names(entries: &[FileEntry]) -> Vec<PathBuf> {
    let mut same = BTreeMap::new();
    let name = |entry: &FileEntry| {
        let number: &mut u32 = same.entry(entry.digest).or_default();
        *number += 1;
        let digest: String = entry.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        PathBuf::from(format!("{digest}.{number}"))
    };
    entries.iter().map(name).collect()
}

#[cfg(test)]
mod tests;
