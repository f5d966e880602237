//! Extended attributes.

use bytes::Bytes;
use types::{
    Lin, NameError, OperationError, Outcome, XATTR_NAME_LENGTH_MAX, XATTR_VALUE_LENGTH_MAX, XATTRS_MAX, XattrMode,
};

use super::out_of_range;
use crate::changes::ChangeFlags;
use crate::error::Failure;
use crate::history::{Moment, version};
use crate::keys::XattrKey;
use crate::tables::Xattrs;
use crate::transaction::Transaction;
use crate::tree;

/// Sets an extended attribute.
pub fn set(
    tx: &mut Transaction<'_>,
    lin: Lin,
    name: &Bytes,
    value: &Bytes,
    mode: XattrMode,
) -> Result<Outcome, Failure> {
    let inode = tx.inode(lin)?;
    check_xattr(name, value)?;
    let key = XattrKey { lin, name: name.clone() };
    match (version::<Xattrs>(tx, Moment::Head, &key)?, mode) {
        (Some(_), XattrMode::Create) => return Err(OperationError::XattrExists { lin, name: printable(name) }.into()),
        (None, XattrMode::Replace) => return Err(no_xattr(lin, name).into()),
        (None, _) => expect_room(tx, lin)?,
        (Some(_), _) => {}
    }
    tx.put_version::<Xattrs>(&key, value.clone())?;
    tx.save(inode, ChangeFlags::XATTRS)?;
    Ok(Outcome::Done)
}

/// Removes an extended attribute.
pub fn remove(tx: &mut Transaction<'_>, lin: Lin, name: &Bytes) -> Result<Outcome, Failure> {
    let inode = tx.inode(lin)?;
    let key = XattrKey { lin, name: name.clone() };
    version::<Xattrs>(tx, Moment::Head, &key)?.ok_or_else(|| no_xattr(lin, name))?;
    tx.delete_version::<Xattrs>(&key)?;
    tx.save(inode, ChangeFlags::XATTRS)?;
    Ok(Outcome::Done)
}

/// Checks an extended attribute's name and value.
pub fn check_xattr(name: &Bytes, value: &Bytes) -> Result<(), OperationError> {
    if name.is_empty() {
        return Err(NameError::Empty.into());
    }
    if name.len() > XATTR_NAME_LENGTH_MAX {
        return Err(out_of_range("the length of the attribute's name", name.len(), XATTR_NAME_LENGTH_MAX));
    }
    if name.contains(&0) {
        return Err(NameError::Reserved { name: printable(name) }.into());
    }
    if value.len() > XATTR_VALUE_LENGTH_MAX {
        return Err(out_of_range("the length of the attribute's value", value.len(), XATTR_VALUE_LENGTH_MAX));
    }
    Ok(())
}

fn expect_room(tx: &Transaction<'_>, lin: Lin) -> Result<(), Failure> {
    let count = tree::xattrs(tx, Moment::Head, lin).take(XATTRS_MAX).count();
    if count < XATTRS_MAX {
        return Ok(());
    }
    Err(out_of_range("the number of extended attributes", count + 1, XATTRS_MAX).into())
}

fn no_xattr(lin: Lin, name: &Bytes) -> OperationError {
    OperationError::NoXattr { lin, name: printable(name) }
}

fn printable(name: &Bytes) -> String {
    name.escape_ascii().to_string()
}
