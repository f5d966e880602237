//! Entries as records, and back.

use bytes::Bytes;
use openraft::entry::RaftEntry;

use super::record::{Kind, Record};
use crate::position::{self, MembershipRecord};
use crate::raft_types::{Entry, EntryPayload, Payload};

/// The record of an entry.
pub(super) fn to_record(entry: &Entry) -> Record {
    let (kind, body) = match &entry.payload {
        EntryPayload::Blank => (Kind::Blank, Bytes::new()),
        EntryPayload::Normal(payload) => (Kind::Batch, payload.0.clone()),
        EntryPayload::Membership(membership) => {
            (Kind::Membership, position::encode(&MembershipRecord::new(None, membership)).into())
        }
    };
    Record { position: entry.log_id().into(), kind, body }
}

/// The entry of a record; `None` if its membership is not one.
pub(super) fn from_record(record: Record) -> Option<Entry> {
    let payload = match record.kind {
        Kind::Blank => EntryPayload::Blank,
        Kind::Batch => EntryPayload::Normal(Payload(record.body)),
        Kind::Membership => EntryPayload::Membership(position::decode::<MembershipRecord>(&record.body)?.membership()?),
    };
    Some(Entry::new(record.position.into(), payload))
}
