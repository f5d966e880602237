//! The operations, one file each or one for a family of small ones.

mod append;
mod clear;
mod clone;
mod create;
mod depth;
mod job;
mod link;
mod policy;
pub mod quota;
mod registry;
mod remove;
mod rename;
mod rewrite;
mod set_attributes;
mod site;
pub mod snapshot;
mod write;
mod xattr;

use std::time::Duration;

use types::{Change, Operation, OperationError, Outcome, Registration, SessionId, Timestamp};

use crate::accounts::Judgement;
use crate::error::Failure;
use crate::transaction::Transaction;

/// Nanoseconds of the last point in a second.
const NANOSECONDS_MAX: u32 = 999_999_999;
/// The longest label of a session or a pin.
const LABEL_LENGTH_MAX: usize = 255;
/// The longest name of a record.
pub const RECORD_NAME_LENGTH_MAX: usize = 255;

/// Carries an operation out. After a refusal the caller rolls back what it wrote.
pub fn perform(tx: &mut Transaction<'_>, operation: &Operation) -> Result<Outcome, Failure> {
    match operation {
        Operation::OpenSession { label } => {
            check_label(label)?;
            Ok(Outcome::Session(tx.open_session(label)))
        }
        Operation::CloseSession { session } => close_session(tx, *session),
        Operation::RaiseBlockMark { session, mark } => tx.raise_block_mark(*session, *mark).map(|()| Outcome::Done),
        Operation::Change(change) => perform_change(tx, change),
        Operation::Register(registration) => perform_registration(tx, registration),
        Operation::Job(operation) => job::perform(tx, operation),
        Operation::Tick { after } => {
            tx.tick(*after);
            Ok(Outcome::Done)
        }
        Operation::CountTime { after, length_ms } => {
            tx.progress.time.count(*after, Duration::from_millis((*length_ms).into()));
            Ok(Outcome::Done)
        }
        Operation::AcceptTime { shown } => {
            tx.progress.time.accept(*shown)?;
            Ok(Outcome::Done)
        }
        Operation::Quota(operation) => quota::perform(tx, operation),
    }
}

fn perform_change(tx: &mut Transaction<'_>, change: &Change) -> Result<Outcome, Failure> {
    let outcome = match change {
        Change::Create(create) => create::create(tx, create),
        Change::Link { lin, parent, name } => link::link(tx, *lin, *parent, name),
        Change::Remove { parent, name, expect } => remove::remove(tx, *parent, name, *expect),
        Change::Rename(rename) => rename::rename(tx, rename),
        Change::SetAttributes { lin, changes } => set_attributes::set_attributes(tx, *lin, changes),
        Change::SetXattr { lin, name, value, mode } => xattr::set(tx, *lin, name, value, *mode),
        Change::RemoveXattr { lin, name } => xattr::remove(tx, *lin, name),
        Change::Write { lin, content, mtime } => write::write(tx, *lin, content, *mtime),
        Change::CreateSnapshot { name } => snapshot::create(tx, name),
        Change::DeleteSnapshot { snapshot } => snapshot::delete(tx, *snapshot),
        Change::DropStep { snapshot, rows_max } => snapshot::drop_step(tx, *snapshot, *rows_max),
        Change::AcknowledgeFreed { node, blocks } => {
            tx.acknowledge_freed(*node, blocks);
            Ok(Outcome::Done)
        }
        Change::ClearRange { lin, offset, length, clearing, mtime } => {
            clear::clear(tx, *lin, clear::range(*offset, *length)?, *clearing, *mtime)
        }
        Change::Clone(clone) => clone::clone(tx, clone),
        Change::Hold { lin } => tx.hold(*lin),
        Change::Release { lin } => tx.release(*lin),
        Change::Append(append) => append::append(tx, append),
        Change::Rewrite(rewrite) => rewrite::rewrite(tx, rewrite),
        Change::Lock { lin, lock } => tx.lock(*lin, lock),
        Change::Unlock { lin, kind, owner, range } => tx.unlock(*lin, *kind, *owner, *range),
        Change::PinSnapshot { snapshot, label } => tx.pin_snapshot(*snapshot, label),
        Change::UnpinSnapshot { snapshot } => tx.unpin_snapshot(*snapshot),
    }?;
    tx.settle_accounts(Judgement::Enforced)?;
    tx.free_unused_blocks()?;
    Ok(outcome)
}

/// Ends a session. Files that nobody else held go with it.
fn close_session(tx: &mut Transaction<'_>, session: SessionId) -> Result<Outcome, Failure> {
    tx.close_session(session)?;
    tx.settle_accounts(Judgement::Counted)?;
    tx.free_unused_blocks()?;
    Ok(Outcome::Done)
}

/// What every operation does besides its own work, even one that was refused: its share of what earlier ones left.
pub fn tidy_up(tx: &mut Transaction<'_>) -> Result<(), Failure> {
    tx.drop_orphans()?;
    Ok(tx.free_unused_blocks()?)
}

fn perform_registration(tx: &mut Transaction<'_>, registration: &Registration) -> Result<Outcome, Failure> {
    match registration {
        Registration::AddNode(node) => registry::add_node(tx, node),
        Registration::StartNode { node, address } => registry::start_node(tx, *node, address),
        Registration::FormPool { replicas, groups, nodes } => registry::form_pool(tx, *replicas, *groups, nodes),
        Registration::AddSite(site) => site::add(tx, site),
        Registration::RemoveSite { site } => site::remove(tx, *site),
        Registration::KitExported { site } => site::kit_exported(tx, *site),
        Registration::CreatePolicy { name, roots, site } => policy::create(tx, name, roots, *site),
        Registration::DeletePolicy { policy } => policy::delete(tx, *policy),
    }
}

/// Says that a record is not there.
fn no_record(what: &str, name: impl ToString) -> OperationError {
    OperationError::NoRecord { what: what.to_owned(), name: name.to_string() }
}

/// Says that a record is there already.
fn record_exists(what: &str, name: &str) -> OperationError {
    OperationError::RecordExists { what: what.to_owned(), name: name.to_owned() }
}

/// Says that a value is too large.
fn out_of_range(what: &str, value: usize, limit: usize) -> OperationError {
    OperationError::OutOfRange { what: what.to_owned(), value: value as u64, limit: limit as u64 }
}

/// Refuses times whose nanoseconds are a second or more.
fn check_times(times: &[Option<Timestamp>]) -> Result<(), OperationError> {
    match times.iter().flatten().find(|time| time.nanoseconds > NANOSECONDS_MAX) {
        Some(time) => Err(OperationError::OutOfRange {
            what: "the nanoseconds of a time".into(),
            value: time.nanoseconds.into(),
            limit: NANOSECONDS_MAX.into(),
        }),
        None => Ok(()),
    }
}

/// Checks the label of a session or a pin.
pub fn check_label(label: &str) -> Result<(), OperationError> {
    match label.len() {
        0..=LABEL_LENGTH_MAX => Ok(()),
        length => Err(out_of_range("the length of the label", length, LABEL_LENGTH_MAX)),
    }
}

/// Checks the name of a record.
fn check_record_name(name: &str) -> Result<(), OperationError> {
    match name.len() {
        0 => Err(types::NameError::Empty.into()),
        1..=RECORD_NAME_LENGTH_MAX if name.contains('\0') => {
            Err(types::NameError::Reserved { name: name.escape_default().to_string() }.into())
        }
        1..=RECORD_NAME_LENGTH_MAX => Ok(()),
        length => Err(out_of_range("the length of the name", length, RECORD_NAME_LENGTH_MAX)),
    }
}
