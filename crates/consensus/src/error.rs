//! Why consensus failed.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use types::{ErrorKind, NodeId};

use crate::log::LogError;
use crate::state::StateError;

/// Why consensus failed.
///
/// A request that failed was certainly not applied, unless [`ConsensusError::maybe_applied`] says that it may have been.
/// Then only a request with a [`types::RequestKey`] may be sent again: it gives its first result.
#[derive(Debug, Error)]
pub enum ConsensusError {
    /// There was no leader, or none that answered, for the whole deadline. Nothing was proposed.
    #[error("no leader was found within {waited:?}: a majority of the voters has to be up and reach each other")]
    NoLeader {
        /// How long it was looked for.
        waited: Duration,
    },
    /// There is a leader, and it, or this node itself, did not get on for the whole deadline. Nothing was proposed.
    #[error("no answer within {waited:?}: the leader or this node is overloaded, or its disk hangs")]
    Stalled {
        /// How long it was waited for.
        waited: Duration,
    },
    /// This node does not lead.
    #[error("this node does not lead; {}", leader_hint(*leader))]
    NotLeader {
        /// Who leads, if this node knows.
        leader: Option<NodeId>,
    },
    /// The proposal went out and its result did not come back: it may have been applied, or still be.
    #[error("the outcome is unknown: the leader changed or fell silent before it answered")]
    OutcomeUnknown,
    /// The queue of proposals was full for the whole deadline. Nothing was proposed.
    #[error("the queue of proposals was full for {waited:?}")]
    Overloaded {
        /// How long a place was waited for.
        waited: Duration,
    },
    /// A single proposal is larger than a log entry may be.
    #[error("a proposal of {bytes} bytes and {requests} requests is larger than one log entry may be")]
    TooLarge {
        /// Its encoded length.
        bytes: usize,
        /// How many requests it has.
        requests: usize,
    },
    /// A change of membership that the group does not allow, now or at all.
    #[error("the membership cannot be changed: {reason}")]
    Membership {
        /// What is in the way.
        reason: String,
    },
    /// Another change of the membership has to be done first.
    #[error("the membership is being changed: {reason}")]
    ChangeInProgress {
        /// What is in the way.
        reason: String,
    },
    /// The node belongs to a group already.
    #[error("node {node} already belongs to a group")]
    AlreadyInitialized {
        /// The node.
        node: NodeId,
    },
    /// Leadership was offered to another voter, which did not take it in time.
    #[error("node {to} did not take over leadership within {waited:?}")]
    TransferFailed {
        /// The other voter.
        to: NodeId,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The Raft core has stopped; the process is about to.
    #[error("consensus has stopped: {reason}")]
    Stopped {
        /// Why.
        reason: String,
    },
    /// A message is for another node: its sender has an old address.
    #[error("a message for node {to} arrived at node {node}")]
    WrongNode {
        /// The receiver that it names.
        to: NodeId,
        /// This node.
        node: NodeId,
    },
    /// A message that cannot be decoded.
    #[error("a malformed {what} message")]
    Malformed {
        /// What it should be.
        what: &'static str,
    },
    /// A message in a version that this program does not know.
    #[error("messages of version {version} are not known here: this program is older than its peer")]
    UnknownVersion {
        /// The version.
        version: u8,
    },
    /// This node is a member, which has a log from the first moment on, and it is not there (rule P6).
    #[error(
        "{} is missing, although node {node} is a member and had it: a node that lost its log must not vote; \
         move its data and its volumes away, and let it join as a new node with a new token",
        missing.display()
    )]
    LogLost {
        /// The node.
        node: NodeId,
        /// What is not there.
        missing: PathBuf,
    },
    /// The log ends before an entry that was synced to it and committed: the disk lost what it had confirmed.
    #[error(
        "the log ends at entry {last:?}, and {} says that entry {committed} was synced to it: the disk lost what it had \
         confirmed, and a node that lost entries must not vote; move its data and its volumes away, and let it join as \
         a new node with a new token. If it is the only voter, remove that file to go on with what is left",
        hint.display()
    )]
    EntriesLost {
        /// The last entry that is there.
        last: Option<u64>,
        /// The last entry that was known to be committed.
        committed: u64,
        /// What says so.
        hint: PathBuf,
    },
    /// A node that is to become a member has a log already (rule P6).
    #[error("{} is there already, and a new member begins with an empty log: move it away", path.display())]
    LogExists {
        /// What is there.
        path: PathBuf,
    },
    /// There is a log and no marker: it is not known whose log it is (rule P6).
    #[error(
        "{} is missing, although there is a log: put it back, or remove the log and let this node join as a new one",
        marker.display()
    )]
    MarkerLost {
        /// What is not there.
        marker: PathBuf,
    },
    /// The folder belongs to another node.
    #[error("{} belongs to node {found}, not to node {node}", marker.display())]
    ForeignFolder {
        /// This node.
        node: NodeId,
        /// Whose it is.
        found: NodeId,
        /// What says so.
        marker: PathBuf,
    },
    /// The state store ends before the log begins: one of the two is from another time.
    #[error("the state store ends at entry {applied:?}, and the log begins after entry {purged}")]
    StateBehindLog {
        /// The last entry of the state store.
        applied: Option<u64>,
        /// The last entry that the log has dropped.
        purged: u64,
    },
    /// The options contradict each other.
    #[error("invalid consensus options: {reason}")]
    Options {
        /// How.
        reason: String,
    },
    /// The log failed.
    #[error("the log failed: {0}")]
    Log(#[from] LogError),
    /// The state store failed.
    #[error("the state store failed: {0}")]
    State(#[from] StateError),
}

impl ConsensusError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotLeader { .. } => ErrorKind::NotLeader,
            Self::NoLeader { .. }
            | Self::Stalled { .. }
            | Self::OutcomeUnknown
            | Self::Overloaded { .. }
            | Self::TransferFailed { .. }
            | Self::Stopped { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } | Self::WrongNode { .. } | Self::Malformed { .. } | Self::Options { .. } => {
                ErrorKind::InvalidRequest
            }
            Self::Membership { .. }
            | Self::ChangeInProgress { .. }
            | Self::AlreadyInitialized { .. }
            | Self::LogExists { .. } => ErrorKind::Conflict,
            Self::UnknownVersion { .. } => ErrorKind::Unsupported,
            Self::LogLost { .. }
            | Self::EntriesLost { .. }
            | Self::MarkerLost { .. }
            | Self::ForeignFolder { .. }
            | Self::StateBehindLog { .. } => ErrorKind::Corrupt,
            Self::Log(error) => error.kind(),
            Self::State(error) => error.kind(),
        }
    }

    /// Whether the requests may have been applied, or may yet be.
    ///
    /// While this is false they may be sent again as they are; else only those that have a key.
    #[must_use]
    pub fn maybe_applied(&self) -> bool {
        matches!(self, Self::OutcomeUnknown | Self::Stopped { .. })
    }
}

/// Says where to go.
fn leader_hint(leader: Option<NodeId>) -> String {
    leader.map_or_else(|| "no leader is known".to_owned(), |node| format!("node {node} does"))
}
