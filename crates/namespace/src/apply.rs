//! Applying log entries: one write batch for all that are given (rules P1 to P3).
//!
//! Each operation is counted, carried out over what the batch has written so far, and kept or undone as a whole. Its
//! result is remembered in the same batch, so a request that comes again finds it wherever the first one was cut off.

use types::{Batch, OperationError, Request};

use crate::database::Database;
use crate::error::{Failure, StoreError};
use crate::genesis::GENESIS;
use crate::ops;
use crate::rows::ProgressRow;
use crate::session::FirstResult;
use crate::store::{Entry, Results};
use crate::transaction::Transaction;

/// What became of a request: its result, or what is wrong with the store.
type Done = Result<FirstResult, StoreError>;

/// Applies entries to a store that is at `progress`; gives how far it is then, and the results.
pub fn entries(
    database: &Database,
    progress: &ProgressRow,
    entries: &[Entry],
) -> Result<(ProgressRow, Vec<Results>), StoreError> {
    let mut tx = Transaction::new(database, progress.clone());
    let results = entries.iter().map(|entry| apply_entry(&mut tx, entry)).collect::<Result<_, _>>()?;
    let (progress, batch) = tx.finish();
    database.write(batch)?;
    Ok((progress, results))
}

fn apply_entry(tx: &mut Transaction<'_>, entry: &Entry) -> Result<Results, StoreError> {
    let progress = &mut tx.progress;
    // Index 0 is the consensus' own first entry, which a new store has not seen yet.
    if entry.index <= progress.index && progress.position.is_some() {
        return Err(StoreError::OutOfOrder { index: entry.index, applied: progress.index });
    }
    progress.index = entry.index;
    progress.position = Some(entry.position.clone());
    if let Some(membership) = &entry.membership {
        progress.membership = Some(membership.clone());
    }
    let results = entry.batch.as_ref().map_or_else(|| Ok(Vec::new()), |batch| apply_batch(tx, batch))?;
    tx.end_entry();
    Ok(results)
}

fn apply_batch(tx: &mut Transaction<'_>, batch: &Batch) -> Result<Results, StoreError> {
    match tx.revision() {
        GENESIS => tx.progress.time.found(batch.proposed_at),
        _ => tx.progress.time.show(batch.proposed_at),
    }
    batch.requests.iter().map(|request| apply_request(tx, request)).collect()
}

fn apply_request(tx: &mut Transaction<'_>, request: &Request) -> Done {
    tx.begin(request.key.map(|key| key.session));
    let Some(key) = request.key else { return attempt(tx, request) };
    match settle(tx, |tx| tx.admit(key))? {
        Ok(None) => {}
        Ok(Some(first)) => return Ok(first),
        Err(refused) => return Ok(Err(refused)),
    }
    let result = attempt(tx, request)?;
    settle(tx, |tx| tx.remember(key, &result))?.map_or_else(|refused| Ok(Err(refused)), |()| Ok(result))
}

fn attempt(tx: &mut Transaction<'_>, request: &Request) -> Done {
    let result = settle(tx, |tx| ops::perform(tx, &request.operation))?;
    settle(tx, ops::tidy_up)?.map_or_else(|refused| Ok(Err(refused)), |()| Ok(result))
}

/// Keeps what a step wrote, or undoes it if the step was refused.
fn settle<T>(
    tx: &mut Transaction<'_>,
    step: impl FnOnce(&mut Transaction<'_>) -> Result<T, Failure>,
) -> Result<Result<T, OperationError>, StoreError> {
    match step(tx) {
        Ok(done) => {
            tx.commit();
            Ok(Ok(done))
        }
        Err(Failure::Refused(refused)) => {
            tx.rollback();
            Ok(Err(refused))
        }
        Err(Failure::Store(error)) => Err(error),
    }
}
