//! Moving names, as `renameat2` of Linux does.

use types::{FileKind, Lin, OperationError, Outcome, Rename, RenameMode};

use super::depth::walk_up;
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::history::Moment;
use crate::inode::{entry_exists, entry_key};
use crate::keys::EntryKey;
use crate::rows::EntryRow;
use crate::transaction::Transaction;
use crate::tree;

/// A name and what it names.
struct Place {
    key: EntryKey,
    entry: EntryRow,
}

/// Moves a name, or exchanges two.
pub fn rename(tx: &mut Transaction<'_>, rename: &Rename) -> Result<Outcome, Failure> {
    tx.directory(rename.from_parent)?;
    tx.directory(rename.to_parent)?;
    let from = place(tx, entry_key(rename.from_parent, &rename.from_name))?;
    let to = entry_key(rename.to_parent, &rename.to_name);
    match (rename.mode, tx.entry(&to)?) {
        (RenameMode::NoReplace, Some(_)) => Err(entry_exists(&to).into()),
        (RenameMode::Exchange, _) => {
            let to = place(tx, to)?;
            exchange(tx, from, to)
        }
        // POSIX: two names of one file stay as they are.
        (RenameMode::Replace, Some(target)) if target.lin == from.entry.lin => Ok(()),
        (RenameMode::Replace, Some(target)) => replace(tx, from, Place { key: to, entry: target }),
        (RenameMode::Replace | RenameMode::NoReplace, None) => {
            refuse_cycle(tx, &from, to.parent)?;
            move_entry(tx, from, to)
        }
    }?;
    Ok(Outcome::Done)
}

fn place(tx: &Transaction<'_>, key: EntryKey) -> Result<Place, Failure> {
    let entry = tree::existing_entry(tx, Moment::Head, &key)?;
    Ok(Place { key, entry })
}

/// Moves a name to one that is taken.
fn replace(tx: &mut Transaction<'_>, from: Place, to: Place) -> Result<(), Failure> {
    let lin = to.entry.lin;
    match (from.entry.kind, to.entry.kind) {
        (FileKind::Directory, FileKind::Directory) => refuse_cycle(tx, &from, to.key.parent)?,
        (FileKind::Directory, _) => return Err(OperationError::NotDirectory { lin }.into()),
        (_, FileKind::Directory) => return Err(OperationError::IsDirectory { lin }.into()),
        _ => {}
    }
    tx.unlink(&to.key, to.entry)?;
    move_entry(tx, from, to.key)
}

fn move_entry(tx: &mut Transaction<'_>, from: Place, to: EntryKey) -> Result<(), Failure> {
    tx.move_scope(from.entry.lin, from.key.parent, to.parent)?;
    tx.remove_entry(&from.key, from.entry)?;
    tx.add_entry(&to, from.entry)?;
    note_move(tx, from.entry.lin)
}

fn exchange(tx: &mut Transaction<'_>, from: Place, to: Place) -> Result<(), Failure> {
    if from.entry.lin == to.entry.lin {
        return Ok(());
    }
    refuse_cycle(tx, &from, to.key.parent)?;
    refuse_cycle(tx, &to, from.key.parent)?;
    tx.move_scope(from.entry.lin, from.key.parent, to.key.parent)?;
    tx.move_scope(to.entry.lin, to.key.parent, from.key.parent)?;
    tx.remove_entry(&from.key, from.entry)?;
    tx.remove_entry(&to.key, to.entry)?;
    tx.add_entry(&from.key, to.entry)?;
    tx.add_entry(&to.key, from.entry)?;
    note_move(tx, from.entry.lin)?;
    note_move(tx, to.entry.lin)
}

fn note_move(tx: &mut Transaction<'_>, lin: Lin) -> Result<(), Failure> {
    let inode = tx.inode(lin)?;
    tx.save(inode, ChangeFlags::LINKS)?;
    Ok(())
}

/// Refuses to move a directory into itself or below itself: walks up from where it is to go.
fn refuse_cycle(tx: &Transaction<'_>, moved: &Place, into: Lin) -> Result<(), Failure> {
    if moved.entry.kind != FileKind::Directory || moved.key.parent == into {
        return Ok(());
    }
    walk_up(tx, into, |above| match above == moved.entry.lin {
        true => Err(OperationError::Cycle { lin: above }),
        false => Ok(()),
    })
}
