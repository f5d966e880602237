//! The invariants of the store, checked row by row. FORMAT.md names each of them.
//!
//! The check reads every row once or twice and looks up what it refers to. It needs memory for the faults, of which it keeps
//! a bounded number, a few megabytes, and one sum of each user and of each directory with a quota.

mod blocks;
mod copies;
mod extents;
mod history;
mod holds;
mod locks;
mod pins;
mod quotas;
mod sessions;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

use types::{SnapshotId, SnapshotState};

use self::quotas::Sums;
use crate::database::Rows;
use crate::error::StoreError;
use crate::family::Family;
use crate::keys::KeyRange;
use crate::read::Read as _;
use crate::rows::Usage;
use crate::tables::{Entries, Extents, Inodes, Links, Snapshots, Xattrs};

/// Faults that are told; a store with more is no better known by them.
const FAULTS_MAX: usize = 100;
/// Why a row of the head is no good whose inode is older than it: two snapshots would look the same.
const UNNOTED: &str = "its inode was not saved with it";

/// A row that breaks an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the row is.
    pub family: Family,
    /// Its key, in hexadecimal digits.
    pub key: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: {}", self.family.name(), self.key, self.reason)
    }
}

/// Checks every invariant; gives the first faults.
pub fn check(rows: &impl Rows) -> Result<Vec<Fault>, StoreError> {
    let mut checker =
        Checker { rows, faults: Vec::new(), usage: Usage::default(), sums: Sums::new(), live: live(rows)? };
    checker.inodes()?;
    checker.accounts()?;
    checker.entries()?;
    checker.links()?;
    checker.xattrs()?;
    checker.extents()?;
    checker.changes()?;
    checker.history::<Inodes>()?;
    checker.history::<Entries>()?;
    checker.history::<Links>()?;
    checker.history::<Extents>()?;
    checker.history::<Xattrs>()?;
    checker.deadlist()?;
    checker.blocks()?;
    checker.references()?;
    checker.freed()?;
    checker.short()?;
    checker.sessions()?;
    checker.holds()?;
    checker.locks()?;
    checker.pins()?;
    checker.remembered()?;
    checker.claimed()?;
    Ok(checker.faults)
}

/// The live snapshots, oldest first: at most 10,000.
fn live(rows: &impl Rows) -> Result<Vec<SnapshotId>, StoreError> {
    let snapshots = rows.rows::<Snapshots>(KeyRange::all());
    let live = snapshots.filter(|row| row.as_ref().map_or(true, |(_, row)| row.snapshot.state == SnapshotState::Live));
    live.map(|row| row.map(|(id, _)| id)).collect()
}

struct Checker<'a, R> {
    rows: &'a R,
    faults: Vec<Fault>,
    /// What the inodes add up to.
    usage: Usage,
    /// What they add up to for each account.
    sums: Sums,
    live: Vec<SnapshotId>,
}

impl<R: Rows> Checker<'_, R> {
    fn fault(&mut self, family: Family, key: &[u8], reason: impl ToString) {
        if self.faults.len() < FAULTS_MAX {
            let key = key.iter().map(|byte| format!("{byte:02x}")).collect();
            self.faults.push(Fault { family, key, reason: reason.to_string() });
        }
    }

    fn expect(&mut self, holds: bool, family: Family, key: &[u8], reason: impl ToString) {
        if !holds {
            self.fault(family, key, reason);
        }
    }
}
