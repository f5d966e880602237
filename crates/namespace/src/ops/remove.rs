//! Removing names: `unlink` and `rmdir`.

use types::{FileKind, Lin, Name, OperationError, Outcome, Removal};

use crate::error::Failure;
use crate::history::Moment;
use crate::inode::entry_key;
use crate::transaction::Transaction;
use crate::tree;

/// Removes a name, and with the last one what it names.
pub fn remove(tx: &mut Transaction<'_>, parent: Lin, name: &Name, expect: Removal) -> Result<Outcome, Failure> {
    tx.directory(parent)?;
    let key = entry_key(parent, name);
    let entry = tree::existing_entry(tx, Moment::Head, &key)?;
    let lin = entry.lin;
    match (expect, entry.kind) {
        (Removal::NotDirectory, FileKind::Directory) => return Err(OperationError::IsDirectory { lin }.into()),
        (Removal::Directory, FileKind::Directory) | (Removal::NotDirectory, _) => {}
        (Removal::Directory, _) => return Err(OperationError::NotDirectory { lin }.into()),
    }
    tx.unlink(&key, entry)?;
    Ok(Outcome::Done)
}
