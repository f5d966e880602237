//! Hard links.

use types::{FileKind, Lin, Name, OperationError, Outcome};

use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::inode::{LINKS_MAX, entry_key};
use crate::rows::EntryRow;
use crate::transaction::Transaction;

/// Adds a name for what is no directory.
pub fn link(tx: &mut Transaction<'_>, lin: Lin, parent: Lin, name: &Name) -> Result<Outcome, Failure> {
    tx.directory(parent)?;
    let mut inode = tx.inode(lin)?;
    if inode.row.kind == FileKind::Directory {
        return Err(OperationError::IsDirectory { lin }.into());
    }
    // Linux: what lost its last name gets none again (`ENOENT`).
    if inode.row.nlink == 0 {
        return Err(OperationError::NoInode { lin }.into());
    }
    let key = entry_key(parent, name);
    tx.expect_free(&key)?;
    if inode.row.nlink >= LINKS_MAX {
        return Err(OperationError::TooManyLinks { lin }.into());
    }
    tx.link_scope(&inode, parent)?;
    tx.add_entry(&key, EntryRow { lin, kind: inode.row.kind })?;
    inode.row.nlink += 1;
    Ok(Outcome::Inode(tx.save(inode, ChangeFlags::LINKS | ChangeFlags::ATTRIBUTES)?))
}
