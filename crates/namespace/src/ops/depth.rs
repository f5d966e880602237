//! How deep directories lie: the walk up from one has to end.

use types::{Lin, OperationError};

use crate::error::Failure;
use crate::history::Moment;
use crate::transaction::Transaction;
use crate::tree;

/// Directories above one another below which no directory is made or moved. Each needs two bytes of a path, so a path of
/// 4096 bytes, as long as Linux takes, never leads there. What is in a directory when it is moved comes to lie deeper.
const DEPTH_MAX: usize = 4096;

/// Walks up from a directory to the root. Refuses one that lies too deep for another one in it.
pub fn walk_up(
    tx: &Transaction<'_>,
    from: Lin,
    visit: impl Fn(Lin) -> Result<(), OperationError>,
) -> Result<(), Failure> {
    let mut above = from;
    for _ in 0..=DEPTH_MAX {
        visit(above)?;
        match tree::parent(tx, Moment::Head, above)? {
            Some(parent) => above = parent,
            None => return Ok(()),
        }
    }
    Err(OperationError::TooDeep { lin: from, limit: DEPTH_MAX as u64 }.into())
}
