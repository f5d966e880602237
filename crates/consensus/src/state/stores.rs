//! The state store that counts, and its replacement by a received one.
//!
//! `CURRENT` names the folder of the store. A received state becomes a folder of its own, is synced and opened, and only
//! then named by `CURRENT`; the old folder stays until the new store has applied an entry. A crash in between leaves
//! `CURRENT` at one of the two, and what it does not name is removed at the next start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use namespace::{Store, View};
use runtime::Files;
use tracing::{info, warn};

use super::{Checkpoint, StateError};
use crate::position::{self, MembershipRecord, Position};

/// The state store that counts; clones share it.
#[derive(Clone)]
pub(crate) struct Stores {
    shared: Arc<Shared>,
}

struct Shared {
    files: Files,
    folder: PathBuf,
    current: RwLock<Store>,
    names: Mutex<Names>,
}

/// Which folders are in use; the lock is held while one is replaced.
struct Names {
    current: u64,
    /// The folder of the store before, until the new one has applied an entry.
    old: Option<u64>,
    checkpoints: u64,
}

/// How far a store is, in the words of this crate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppliedState {
    pub position: Option<Position>,
    pub membership: Option<MembershipRecord>,
}

impl AppliedState {
    /// The number after the last applied entry.
    pub fn end(&self) -> u64 {
        self.position.map_or(0, |position| position.index + 1)
    }
}

impl Stores {
    /// Opens the store that `CURRENT` names, or makes the first one, and removes all others. Blocks.
    pub fn open(files: &Files, folder: &Path) -> Result<Self, StateError> {
        files.create_dirs(folder)?;
        let current = match read_pointer(files, folder)? {
            Some(current) => current,
            None => {
                write_pointer(files, folder, 1)?;
                1
            }
        };
        remove_all_but(files, folder, current)?;
        let store = Store::open(store_folder(folder, current))?;
        let names = Mutex::new(Names { current, old: None, checkpoints: 0 });
        let shared = Shared { files: files.clone(), folder: folder.to_owned(), current: RwLock::new(store), names };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The store that counts now.
    pub fn current(&self) -> Store {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The state of this moment, for reading.
    pub fn view(&self) -> Result<View, StateError> {
        Ok(self.current().view()?)
    }

    /// Makes what is applied durable, and gives the entry that the log may be purged up to (rule P5); none if the store
    /// was replaced meanwhile. Blocks.
    pub fn flush(&self) -> Result<Option<u64>, StateError> {
        self.flush_of(&self.numbered())
    }

    /// A flush of a store that does not count any more says nothing of the one that does. It may even fail, because the
    /// folder is gone.
    fn flush_of(&self, (number, store): &(u64, Store)) -> Result<Option<u64>, StateError> {
        let flushed = store.flush();
        if self.names().current != *number {
            return Ok(None);
        }
        Ok(Some(flushed?))
    }

    /// The store that counts now, with its number.
    fn numbered(&self) -> (u64, Store) {
        let names = self.names();
        (names.current, self.current())
    }

    /// Applies entries by one write, after which a store before this one is not needed any more. Blocks.
    pub fn apply(&self, entries: &[namespace::Entry]) -> Result<Vec<namespace::Results>, StateError> {
        let results = self.current().apply(entries)?;
        self.confirm();
        Ok(results)
    }

    /// How far the store is.
    pub fn applied(&self) -> Result<AppliedState, StateError> {
        applied_state(&self.current().applied())
    }

    /// Copies the store between two batches. Blocks.
    pub fn checkpoint(&self) -> Result<Checkpoint, StateError> {
        let number = {
            let mut names = self.names();
            names.checkpoints += 1;
            names.checkpoints
        };
        let folder = self.shared.folder.join(format!("checkpoint-{number:08}"));
        let applied = applied_state(&self.current().checkpoint(&folder)?)?;
        Checkpoint::open(&self.shared.files, &folder, applied)
    }

    /// Where the files of a state are kept until all of them are there.
    pub fn parts_folder(&self) -> PathBuf {
        self.shared.folder.join("parts")
    }

    /// An empty folder for a state that was received. Blocks.
    pub fn incoming_folder(&self, number: u64) -> Result<PathBuf, StateError> {
        let folder = self.shared.folder.join(format!("incoming-{number:08}"));
        self.shared.files.remove_dir_all(&folder)?;
        self.shared.files.create_dirs(&folder)?;
        Ok(folder)
    }

    /// Makes a copied or received state the one that counts. Blocks.
    pub fn install(&self, checkpoint: Arc<Checkpoint>) -> Result<(), StateError> {
        let shared = &self.shared;
        let mut names = self.names();
        self.remove_old(&mut names);
        let (next, announced) = (names.current + 1, checkpoint.position());
        let folder = store_folder(&shared.folder, next);
        shared.files.remove_dir_all(&folder)?;
        checkpoint.move_to(&folder)?;
        shared.files.sync_dir(&shared.folder)?;
        let store = Store::open(&folder)?;
        let found = applied_state(&store.applied())?.position;
        if found != announced {
            drop(store);
            shared.files.remove_dir_all(&folder)?;
            let index = |position: Option<Position>| position.map(|position| position.index);
            return Err(StateError::WrongState { found: index(found), announced: index(announced) });
        }
        write_pointer(&shared.files, &shared.folder, next)?;
        *shared.current.write().unwrap_or_else(PoisonError::into_inner) = store;
        info!(entry = announced.map(|last| last.index), folder = %folder.display(), "installed a state snapshot");
        names.old = Some(names.current);
        names.current = next;
        Ok(())
    }

    /// Removes the store before, now that this one has proven itself. Blocks.
    pub fn confirm(&self) {
        let mut names = self.names();
        self.remove_old(&mut names);
    }

    fn remove_old(&self, names: &mut Names) {
        let Some(old) = names.old.take() else { return };
        let folder = store_folder(&self.shared.folder, old);
        if let Err(error) = self.shared.files.remove_dir_all(&folder) {
            warn!(%error, "cannot remove the old state store; the next start does");
        }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.shared.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Translates what the store keeps for us.
fn applied_state(applied: &namespace::Applied) -> Result<AppliedState, StateError> {
    let position = match &applied.position {
        Some(bytes) => Some(position::decode::<Position>(bytes).ok_or(StateError::Position)?),
        None => None,
    };
    let membership = match &applied.membership {
        Some(bytes) => Some(position::decode::<MembershipRecord>(bytes).ok_or(StateError::Position)?),
        None => None,
    };
    Ok(AppliedState { position, membership })
}

fn store_folder(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("store-{number:08}"))
}

fn pointer(folder: &Path) -> PathBuf {
    folder.join("CURRENT")
}

fn read_pointer(files: &Files, folder: &Path) -> Result<Option<u64>, StateError> {
    let path = pointer(folder);
    let text = match files.read(&path) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => String::from_utf8(other?).unwrap_or_default(),
    };
    let number = text.strip_prefix("store-").and_then(|rest| rest.strip_suffix('\n')).and_then(|n| n.parse().ok());
    number.map(Some).ok_or(StateError::Pointer { path })
}

fn write_pointer(files: &Files, folder: &Path, number: u64) -> Result<(), StateError> {
    Ok(files.write_atomic(&pointer(folder), format!("store-{number:08}\n").as_bytes(), 0o600)?)
}

/// Removes stores that do not count, copies and unfinished receptions.
fn remove_all_but(files: &Files, folder: &Path, current: u64) -> Result<(), StateError> {
    let keep = store_folder(folder, current);
    for entry in files.list(folder)? {
        let name = entry.name.to_string_lossy();
        let ours = ["store-", "checkpoint-", "incoming-"].iter().any(|prefix| name.starts_with(prefix));
        if ours && entry.path != keep {
            files.remove_dir_all(&entry.path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn stores() -> (TempDir, Stores) {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::open(&Files::real(), &folder.path().join("state")).expect("a store");
        (folder, stores)
    }

    fn entry(index: u64) -> namespace::Entry {
        let position = position::encode(&Position { term: 1, leader: 1, index }).into();
        namespace::Entry { index, position, membership: None, batch: None }
    }

    #[test]
    fn the_flush_of_a_store_that_was_replaced_meanwhile_bounds_no_purge() {
        let (_folder, stores) = stores();
        stores.current().apply(&[entry(1), entry(2)]).expect("applied");
        assert_eq!(stores.flush().expect("flushed"), Some(2));
        let flushing = stores.numbered();

        let received = Arc::new(stores.checkpoint().expect("a copy"));
        stores.install(received).expect("installed");
        stores.current().apply(&[entry(3)]).expect("applied");
        stores.confirm();
        assert_eq!(stores.flush_of(&flushing).expect("no failure: its folder may be gone"), None);
        assert_eq!(stores.flush().expect("flushed"), Some(3));
    }
}
