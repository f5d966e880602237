//! The types with which openraft is used: the only place that chooses them.

use std::fmt;

use bytes::Bytes;
use openraft::declare_raft_types;
use openraft::type_config::alias;
use serde::{Deserialize, Serialize};
use types::{OperationError, Outcome};

use crate::state::{Machine, Transfer};

declare_raft_types!(
    /// The types of our Raft group.
    pub(crate) Group:
        D = Payload,
        R = Results,
        NodeId = u64,
        Node = openraft::BasicNode,
);

/// What an entry carries: an encoded [`types::Batch`], see [`crate::payload`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload(pub Bytes);

/// What the application of an entry gives: one result per request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Results(pub Vec<Result<Outcome, OperationError>>);

pub(crate) type Raft = openraft::Raft<Group, Machine>;
pub(crate) type Entry = alias::EntryOf<Group>;
pub(crate) type EntryPayload = alias::PayloadOf<Group>;
pub(crate) type LogId = alias::LogIdOf<Group>;
pub(crate) type LeaderId = alias::LeaderIdOf<Group>;
pub(crate) type Vote = alias::VoteOf<Group>;
pub(crate) type Membership = openraft::Membership<u64, openraft::BasicNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Group>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Group>;
pub(crate) type Snapshot = alias::SnapshotOf<Group, Transfer>;
pub(crate) type IoFlushed = openraft::storage::IOFlushed<Group>;
pub(crate) type LogState = openraft::LogState<Group>;
pub(crate) type AppendRequest = openraft::raft::AppendEntriesRequest<Group>;
pub(crate) type AppendResponse = openraft::raft::AppendEntriesResponse<Group>;
pub(crate) type StreamAppendResult = openraft::raft::StreamAppendResult<Group>;
pub(crate) type VoteRequest = openraft::raft::VoteRequest<Group>;
pub(crate) type VoteResponse = openraft::raft::VoteResponse<Group>;
pub(crate) type TransferRequest = openraft::raft::TransferLeaderRequest<Group>;
pub(crate) type TransferResponse = openraft::raft::TransferLeaderResponse<Group>;
pub(crate) type WriteError = openraft::errors::ClientWriteError<Group>;
pub(crate) type WriteResult = openraft::raft::ClientWriteResult<Group>;
pub(crate) type Fatal = openraft::errors::Fatal<Group>;
pub(crate) type RpcError = openraft::errors::RPCError<Group>;
pub(crate) type StreamingError = openraft::errors::StreamingError<Group>;
pub(crate) type Unreachable = openraft::errors::Unreachable<Group>;

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
