//! Why a node could not start, join or stop.

use std::path::PathBuf;
use std::time::Duration;

use cluster::{IdentityError, KeystoreError, PinnedError, PkiError, TokenBookError, TokenError};
use consensus::ConsensusError;
use runtime::net::NetError;
use runtime::telemetry::TelemetryError;
use runtime::{FileError, LockError, Stuck, TaskFailure};
use thiserror::Error;
use types::{ErrorKind, NodeId, OperationError};
use wire::Failure;

use crate::ConfigError;

/// Why a node could not start, join or stop.
#[derive(Debug, Error)]
pub enum NodeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logging could not be started.
    #[error("cannot start logging: {0}")]
    Telemetry(#[from] TelemetryError),
    /// Another process uses the data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The process could not get the threads that it needs.
    #[error("cannot start the runtime: {source}")]
    Runtime {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A port or socket could not be opened, or a peer not reached.
    #[error(transparent)]
    Net(#[from] NetError),
    /// TLS or HTTP/2 could not be set up, or the server ended.
    #[error("the {server} server failed: {source}")]
    Server {
        /// Which.
        server: &'static str,
        /// What the transport says.
        #[source]
        source: tonic::transport::Error,
    },
    /// The identity of the node.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The keystore.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A certificate or key.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The text is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token cannot be issued or redeemed.
    #[error(transparent)]
    TokenBook(#[from] TokenBookError),
    /// The cluster of the token was not found.
    #[error("{source}{}", cause_of(source))]
    Pinned {
        /// What was wrong.
        #[from]
        source: PinnedError,
    },
    /// Raft.
    #[error(transparent)]
    Consensus(#[from] ConsensusError),
    /// The state store.
    #[error(transparent)]
    State(#[from] namespace::StoreError),
    /// The blocks.
    #[error(transparent)]
    Blocks(#[from] blockstore::BlockStoreError),
    /// An operation was refused.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// A peer refused.
    #[error(transparent)]
    Peer(#[from] Failure),
    /// The node is a member already.
    #[error("this node is already {identity}")]
    AlreadyMember {
        /// Who it is.
        identity: String,
    },
    /// The number of first nodes is none that a cluster can begin with.
    #[error("a cluster begins with 1, 3 or 5 nodes, not with {first_nodes}")]
    FirstNodes {
        /// The number that was asked for.
        first_nodes: u32,
    },
    /// The name of the admin does not fit into a certificate.
    #[error("the name of an admin has 1 to 64 bytes, not {length}")]
    AdminName {
        /// Its length in bytes.
        length: usize,
    },
    /// A folder holds something that no identity explains (rule P6).
    #[error("{} holds data and there is no identity beside it: move it away, or put the identity file back", path.display())]
    Unexplained {
        /// The folder.
        path: PathBuf,
    },
    /// The configuration names another number of volumes than the node has.
    #[error(
        "{configured} volumes are configured and the node joined with {joined}: correct `volumes` in the configuration"
    )]
    VolumeCount {
        /// Folders in the configuration.
        configured: usize,
        /// Volumes of the node.
        joined: usize,
    },
    /// A volume of this node that it does not have.
    #[error("volume {volume} is not on this node")]
    NoVolume {
        /// The volume.
        volume: types::VolumeId,
    },
    /// The volume did not open when the node started.
    #[error(
        "volume {volume} at {} did not open ({reason}): put its disk right and restart the node",
        path.display()
    )]
    VolumeNotOpen {
        /// The volume.
        volume: types::VolumeId,
        /// Its folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The reserve for metadata is touched.
    #[error(
        "the disk of {} has less than {reserve} bytes free, which are kept for removals: remove files, or give it room",
        path.display()
    )]
    DataFolderFull {
        /// The data folder.
        path: PathBuf,
        /// The reserve, in bytes.
        reserve: u64,
    },
    /// A disk hangs, or has far too much to do.
    #[error("the volume at {} did not answer within {limit:?}", path.display())]
    SlowVolume {
        /// Its folder.
        path: PathBuf,
        /// How long it had.
        limit: Duration,
    },
    /// The volumes were still being closed when the deadline of the end came.
    #[error("the volumes were not closed within {limit:?}")]
    VolumesOpen {
        /// How long they had.
        limit: Duration,
    },
    /// A holder that does not answer has been sent enough.
    #[error("volume {volume} of node {node} has not answered puts of {bytes} bytes yet, and is sent no more before")]
    BusySeat {
        /// The node.
        node: NodeId,
        /// Its volume.
        volume: types::VolumeId,
        /// What it has not answered.
        bytes: u64,
    },
    /// A member's file is gone.
    #[error("node {node} lacks {what} in its keystore: put it back from a copy, or let the machine join as a new node")]
    MissingSecret {
        /// The node.
        node: NodeId,
        /// What is missing.
        what: &'static str,
    },
    /// Only voters can sign certificates.
    #[error("node {node} does not have the authority's key, which voters have: ask one of them")]
    NotAuthority {
        /// The node.
        node: NodeId,
    },
    /// Raft gave the founder another number than the one with which it founded the group.
    #[error("the first node was registered as node {found}, not as node {expected}")]
    FounderNumber {
        /// The number that Raft gave.
        found: NodeId,
        /// The number with which the group was founded.
        expected: NodeId,
    },
    /// The answer of a peer makes no sense.
    #[error("the answer of {peer} cannot be used: {reason}")]
    Answer {
        /// Who answered.
        peer: String,
        /// What is wrong.
        reason: String,
    },
    /// A task that the process cannot live without has ended.
    #[error(transparent)]
    Task(#[from] TaskFailure),
    /// Tasks did not end in time.
    #[error(transparent)]
    Stuck(#[from] Stuck),
}

impl NodeError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Lock(LockError::Held { .. })
            | Self::AlreadyMember { .. }
            | Self::Unexplained { .. }
            | Self::NotAuthority { .. }
            | Self::VolumeCount { .. } => ErrorKind::Conflict,
            Self::NoVolume { .. } => ErrorKind::NotFound,
            Self::DataFolderFull { .. } => ErrorKind::NoSpace,
            Self::Identity(error) => error.kind(),
            Self::Keystore(error) => error.kind(),
            Self::Pki(error) => error.kind(),
            Self::Token(error) => error.kind(),
            Self::TokenBook(error) => error.kind(),
            Self::Pinned { source } => source.kind(),
            Self::Consensus(error) => error.kind(),
            Self::State(error) => error.kind(),
            Self::Blocks(error) => error.kind(),
            Self::Operation(error) => error.kind(),
            Self::Peer(failure) => failure.kind,
            Self::FirstNodes { .. } | Self::AdminName { .. } => ErrorKind::InvalidRequest,
            Self::MissingSecret { .. } => ErrorKind::Corrupt,
            Self::Net(_) | Self::SlowVolume { .. } | Self::VolumeNotOpen { .. } | Self::BusySeat { .. } => {
                ErrorKind::Unavailable
            }
            Self::Telemetry(_)
            | Self::Lock(_)
            | Self::File(_)
            | Self::Runtime { .. }
            | Self::Server { .. }
            | Self::FounderNumber { .. }
            | Self::Answer { .. }
            | Self::Task(_)
            | Self::VolumesOpen { .. }
            | Self::Stuck(_) => ErrorKind::Internal,
        }
    }

    /// Its stable name on the wire.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyMember { .. } => "already_member",
            Self::DataFolderFull { .. } => "data_folder_full",
            Self::FirstNodes { .. } => "first_nodes",
            Self::Unexplained { .. } => "unexplained_data",
            Self::Token(_) => "bad_token",
            Self::TokenBook(_) => "token_refused",
            Self::Pinned { .. } => "cluster_not_found",
            Self::MissingSecret { .. } => "missing_secret",
            Self::NotAuthority { .. } => "not_authority",
            Self::Identity(_) => "identity",
            Self::Keystore(_) => "keystore",
            Self::Consensus(_) => "consensus",
            Self::State(_) => "state_store",
            Self::Blocks(_) => "block_store",
            Self::VolumeNotOpen { .. } => "volume_not_open",
            _ => "node",
        }
    }
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Peer(failure) => failure,
            NodeError::Operation(error) => error.into(),
            error => Self::new(error.kind(), error.code(), error.to_string()),
        }
    }
}

impl From<NodeError> for tonic::Status {
    fn from(error: NodeError) -> Self {
        Failure::from(error).into()
    }
}

impl From<namespace::Failure> for NodeError {
    fn from(failure: namespace::Failure) -> Self {
        match failure {
            namespace::Failure::Refused(error) => Self::Operation(error),
            namespace::Failure::Store(error) => Self::State(error),
        }
    }
}

impl From<wire::ConnectError> for NodeError {
    fn from(error: wire::ConnectError) -> Self {
        Self::Peer(error.into())
    }
}

impl From<wire::InvalidMessage> for NodeError {
    fn from(error: wire::InvalidMessage) -> Self {
        Self::Peer(error.into())
    }
}

impl From<tonic::Status> for NodeError {
    fn from(status: tonic::Status) -> Self {
        Self::Peer(status.into())
    }
}

/// Why the cluster of a token was not found: what the handshake says is what a person needs.
fn cause_of(error: &PinnedError) -> String {
    std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default()
}
