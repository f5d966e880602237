//! Lookups in the tree that reads and operations share.

use bytes::Bytes;
use types::{FileKind, Lin, Name, OperationError};

use crate::database::Rows;
use crate::error::{Failure, StoreError};
use crate::extents::end_of;
use crate::history::{KeyAndVersion, Moment, Version, Versions, last_version, version, versions};
use crate::keys::{EntryKey, ExtentKey, Key as _, KeyRange, LinkKey, XattrKey};
use crate::orphans::Taken;
use crate::rows::{EntryRow, InodeRow};
use crate::tables::{Entries, Extents, Inodes, Links, Xattrs};

/// The inode of a LIN.
pub fn inode(rows: &impl Rows, moment: Moment, lin: Lin) -> Result<Version<Inodes>, Failure> {
    Ok(version::<Inodes>(rows, moment, &lin)?.ok_or(OperationError::NoInode { lin })?)
}

/// The inode of a directory.
pub fn directory(rows: &impl Rows, moment: Moment, lin: Lin) -> Result<InodeRow, Failure> {
    let row = inode(rows, moment, lin)?.row;
    if row.kind == FileKind::Directory { Ok(row) } else { Err(OperationError::NotDirectory { lin }.into()) }
}

/// The inode of a regular file.
pub fn file(rows: &impl Rows, moment: Moment, lin: Lin) -> Result<InodeRow, Failure> {
    Ok(inode(rows, moment, lin)?.row.expect_file(lin)?)
}

/// What a name in a directory names, if it is there.
pub fn entry(rows: &impl Rows, moment: Moment, key: &EntryKey) -> Result<Option<EntryRow>, StoreError> {
    Ok(version::<Entries>(rows, moment, key)?.map(|version| version.row))
}

/// What a name in a directory names.
pub fn existing_entry(rows: &impl Rows, moment: Moment, key: &EntryKey) -> Result<EntryRow, Failure> {
    let missing = || OperationError::NoEntry { parent: key.parent, name: key.name.to_string() };
    Ok(entry(rows, moment, key)?.ok_or_else(missing)?)
}

/// The names of a LIN, in the order of their directories.
pub fn links<'a>(
    rows: &'a impl Rows,
    moment: Moment,
    lin: Lin,
) -> impl Iterator<Item = Result<(Lin, Name), StoreError>> + 'a {
    let range = KeyRange::prefix(lin.encode());
    versions::<Links>(rows, moment, range).map(|row| row.map(|(LinkKey { parent, name, .. }, _)| (parent, name)))
}

/// The directory that a directory lies in; `None` for the root.
pub fn parent(rows: &impl Rows, moment: Moment, lin: Lin) -> Result<Option<Lin>, StoreError> {
    Ok(links(rows, moment, lin).next().transpose()?.map(|(parent, _)| parent))
}

/// The extents and tails of a content that reach beyond an offset, in order.
pub fn runs<'a>(
    rows: &'a impl Rows,
    moment: Moment,
    from: ExtentKey,
) -> Result<impl Iterator<Item = Result<KeyAndVersion<Extents>, StoreError>> + 'a, StoreError> {
    let taken = Taken::of(rows, from.content)?;
    let alive = move |(key, version): &KeyAndVersion<Extents>| !taken.hides(moment, key.offset, version.revision);
    Ok(stored_extents(rows, moment, from)?.filter(move |row| row.as_ref().map_or(true, &alive)))
}

/// The rows of the extents and tails of a content that reach beyond an offset, in order, orphans included.
pub fn stored_extents<'a>(
    rows: &'a impl Rows,
    moment: Moment,
    from: ExtentKey,
) -> Result<Versions<'a, Extents>, StoreError> {
    let content = KeyRange::prefix(from.content.encode());
    let before = last_version::<Extents>(rows, moment, content.clone().until(&from))?;
    let reaches = |(key, version): &KeyAndVersion<Extents>| end_of(key.offset, &version.row) > from.offset;
    let first = before.filter(reaches).map_or(from, |(key, _)| key);
    Ok(versions::<Extents>(rows, moment, content.from(&first)))
}

/// The extended attributes of a LIN, in the order of their names.
pub fn xattrs<'a>(
    rows: &'a impl Rows,
    moment: Moment,
    lin: Lin,
) -> impl Iterator<Item = Result<(Bytes, Bytes), StoreError>> + 'a {
    let range = KeyRange::prefix(lin.encode());
    versions::<Xattrs>(rows, moment, range).map(|row| row.map(|(XattrKey { name, .. }, version)| (name, version.row)))
}
