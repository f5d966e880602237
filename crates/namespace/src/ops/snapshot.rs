//! Snapshots: taken in one row, dropped in bounded steps (rule P8).

use types::{OperationError, Outcome, Snapshot, SnapshotId, SnapshotState};

use super::{check_record_name, no_record, record_exists};
use crate::database::Rows as _;
use crate::error::{Failure, StoreError};
use crate::family::Family;
use crate::history::history_key;
use crate::keys::{DeadKey, Key as _, KeyRange, NameKey, Named};
use crate::read::Read as _;
use crate::rows::SnapshotRow;
use crate::tables::{Deadlist, Names, Snapshots};
use crate::transaction::Transaction;

/// Rows of a dying snapshot that one operation drops.
const DROP_ROWS_MAX: u32 = 10_000;
/// Live snapshots: their list is in memory while a batch is applied.
const SNAPSHOTS_MAX: usize = 10_000;

/// Takes a snapshot of everything up to this operation.
pub fn create(tx: &mut Transaction<'_>, name: &str) -> Result<Outcome, Failure> {
    Ok(Outcome::Snapshot(take(tx, name)?))
}

/// Marks a snapshot as dying, unless somebody holds it.
pub fn delete(tx: &mut Transaction<'_>, id: SnapshotId) -> Result<Outcome, Failure> {
    let row = existing(tx, id)?;
    if row.snapshot.pins > 0 {
        let by = "a policy or a job holds it: delete the policy, or wait for the job to end".to_owned();
        return Err(OperationError::InUse { what: "snapshot".into(), name: row.snapshot.name, by }.into());
    }
    if let Some((session, pin)) = tx.reader(id)? {
        return Err(OperationError::SnapshotPinned { name: row.snapshot.name, session, label: pin.label }.into());
    }
    condemn(tx, row);
    Ok(Outcome::Done)
}

/// Drops some rows of a dying snapshot: what an older one sees moves to that one's list, the rest goes.
pub fn drop_step(tx: &mut Transaction<'_>, id: SnapshotId, rows_max: u32) -> Result<Outcome, Failure> {
    let Some(row) = tx.row::<Snapshots>(&id)? else { return Ok(Outcome::Remaining(0)) };
    if row.snapshot.state == SnapshotState::Live {
        let by = "it is live: delete it first".to_owned();
        return Err(OperationError::InUse { what: "snapshot".into(), name: row.snapshot.name, by }.into());
    }
    let limit = rows_max.clamp(1, DROP_ROWS_MAX) as usize;
    let dead = tx.rows::<Deadlist>(KeyRange::prefix(id.encode())).map(|row| row.map(|(key, _)| key));
    let dead: Vec<_> = dead.take(limit).collect::<Result<_, _>>()?;
    let older = tx.live_snapshots()?.iter().rev().find(|live| **live < id).copied();
    let dropped = dead.len();
    for key in dead {
        drop_row(tx, key, older)?;
    }
    if dropped < limit {
        tx.delete::<Snapshots>(&id);
        return Ok(Outcome::Remaining(0));
    }
    Ok(Outcome::Remaining(1))
}

fn drop_row(tx: &mut Transaction<'_>, key: DeadKey, older: Option<SnapshotId>) -> Result<(), StoreError> {
    tx.delete::<Deadlist>(&key);
    if let Some(snapshot) = older.filter(|older| key.birth.0 <= older.0) {
        tx.put_dead(DeadKey { snapshot, ..key });
        return Ok(());
    }
    if key.family == Family::Changed {
        tx.delete_raw(Family::Changed, key.key);
        return Ok(());
    }
    let old = history_key(&key.key, key.birth);
    if key.family == Family::ExtentHistory
        && let Some(value) = tx.get(Family::ExtentHistory, &old)?
    {
        tx.lose_old_extent(&old, &value)?;
    }
    tx.delete_raw(key.family, old);
    Ok(())
}

/// Takes a snapshot; its number is the revision that it sees last.
pub fn take(tx: &mut Transaction<'_>, name: &str) -> Result<Snapshot, Failure> {
    check_record_name(name)?;
    let key = name_key(name);
    if tx.row::<Names>(&key)?.is_some() {
        return Err(record_exists("snapshot", name).into());
    }
    let live = tx.live_snapshots()?.len();
    if live >= SNAPSHOTS_MAX {
        return Err(super::out_of_range("the number of snapshots", live + 1, SNAPSHOTS_MAX).into());
    }
    let snapshot = Snapshot {
        id: SnapshotId(tx.revision().0),
        name: name.to_owned(),
        revision: tx.revision(),
        created: tx.now(),
        state: SnapshotState::Live,
        pins: 0,
    };
    tx.put::<Names>(&key, &snapshot.id.0);
    tx.put::<Snapshots>(&snapshot.id, &SnapshotRow { snapshot: snapshot.clone(), is_released: false });
    Ok(snapshot)
}

/// Holds a snapshot against deletion.
pub fn pin(tx: &mut Transaction<'_>, id: SnapshotId) -> Result<(), Failure> {
    let mut row = existing(tx, id)?;
    row.snapshot.pins = row.snapshot.pins.saturating_add(1);
    tx.put::<Snapshots>(&id, &row);
    Ok(())
}

/// Gives up one hold on a snapshot. One that is gone is held by nobody.
pub fn unpin(tx: &mut Transaction<'_>, id: SnapshotId) -> Result<(), Failure> {
    if let Some(mut row) = tx.row::<Snapshots>(&id)? {
        row.snapshot.pins = row.snapshot.pins.saturating_sub(1);
        tx.put::<Snapshots>(&id, &row);
    }
    Ok(())
}

/// Gives up one hold on a snapshot, and lets it die if that was the last one: at once, or with the last session that pins
/// it.
pub fn release(tx: &mut Transaction<'_>, id: SnapshotId) -> Result<(), Failure> {
    unpin(tx, id)?;
    match tx.row::<Snapshots>(&id)?.filter(is_unused) {
        Some(row) if tx.reader(id)?.is_some() => {
            tx.put::<Snapshots>(&id, &SnapshotRow { is_released: true, ..row });
        }
        Some(row) => condemn(tx, row),
        None => {}
    }
    Ok(())
}

/// Lets a snapshot die that was needed for its last pin alone.
pub fn drop_released(tx: &mut Transaction<'_>, id: SnapshotId) -> Result<(), Failure> {
    if let Some(row) = tx.row::<Snapshots>(&id)?.filter(|row| row.is_released && is_unused(row)) {
        condemn(tx, row);
    }
    Ok(())
}

fn is_unused(row: &SnapshotRow) -> bool {
    row.snapshot.pins == 0 && row.snapshot.state == SnapshotState::Live
}

/// A snapshot that can be read.
pub fn live(tx: &Transaction<'_>, id: SnapshotId) -> Result<Snapshot, Failure> {
    let snapshot = existing(tx, id)?.snapshot;
    if snapshot.state == SnapshotState::Live { Ok(snapshot) } else { Err(no_record("snapshot", id).into()) }
}

fn condemn(tx: &mut Transaction<'_>, mut row: SnapshotRow) {
    // The name is free at once; a snapshot that is dying has given it up before.
    if row.snapshot.state == SnapshotState::Live {
        tx.delete::<Names>(&name_key(&row.snapshot.name));
    }
    row.snapshot.state = SnapshotState::Dying;
    tx.put::<Snapshots>(&row.snapshot.id, &row);
}

fn existing(tx: &Transaction<'_>, id: SnapshotId) -> Result<SnapshotRow, Failure> {
    Ok(tx.row::<Snapshots>(&id)?.ok_or_else(|| no_record("snapshot", id))?)
}

fn name_key(name: &str) -> NameKey {
    NameKey { named: Named::Snapshot, name: name.to_owned() }
}
