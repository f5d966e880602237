//! What can go wrong between a client and its cluster.

use std::time::Duration;

use thiserror::Error;
use types::{BlockId, ErrorKind, Lin, PgId, SessionId};
use wire::{ConnectError, Failure, InvalidMessage, code};

use crate::PathError;

/// Why a call did not give what was asked for.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No node could be reached, or the only one could not.
    #[error("{source}")]
    Connect {
        /// What the last endpoint said.
        #[from]
        source: ConnectError,
    },
    /// The cluster refused.
    #[error("cannot {action}: {failure}")]
    Refused {
        /// What was to be done.
        action: &'static str,
        /// Why not.
        failure: Failure,
    },
    /// The cluster has not heard of the session for longer than its lease.
    #[error(
        "cannot {action}: session {session} is over, because the cluster did not hear of this program for too long; what \
         was on its way may have been done or not: look, and run the command again"
    )]
    SessionOver {
        /// What was to be done.
        action: &'static str,
        /// The session.
        session: SessionId,
    },
    /// A node did not answer in time; what was asked may be asked again.
    #[error("cannot {action}: no answer from {endpoint} within {limit:?}")]
    NoAnswer {
        /// What was to be done.
        action: &'static str,
        /// The node.
        endpoint: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A node did not answer in time to what must not be sent twice.
    #[error(
        "it is not known whether it was possible to {action}: no answer from {endpoint} within {limit:?}; look before \
         you try again"
    )]
    OutcomeUnknown {
        /// What was to be done.
        action: &'static str,
        /// The node.
        endpoint: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The node answered something that means nothing.
    #[error("the answer to \"{action}\" is not understood: {source}; do client and cluster have the same version?")]
    BadAnswer {
        /// What was asked.
        action: &'static str,
        /// What is wrong with the answer.
        source: InvalidMessage,
    },
    /// The node gave more or fewer answers than were asked for.
    #[error("the answer to \"{action}\" has {found} parts, not {expected}")]
    AnswerCount {
        /// What was asked.
        action: &'static str,
        /// How many parts came.
        found: usize,
        /// How many were asked for.
        expected: usize,
    },
    /// A path is not one, or leads nowhere.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No placement group can take blocks.
    #[error("no placement group has enough full seats to take blocks: see `cluster status`")]
    NoPlacement,
    /// A block came back with bytes that are not its own (law 3).
    #[error("block {block} of inode {lin} in placement group {pg} is damaged: {source}")]
    Damaged {
        /// The file.
        lin: Lin,
        /// The block.
        block: BlockId,
        /// Its placement group.
        pg: PgId,
        /// What the check found.
        source: block::BlockError,
    },
    /// A block that was to be put again came back damaged.
    #[error("block {block} came back damaged from placement group {pg}: {source}")]
    DamagedCopy {
        /// The block.
        block: BlockId,
        /// Its placement group.
        pg: PgId,
        /// What the check found.
        source: block::BlockError,
    },
    /// A block is not the one that was asked for.
    #[error("a node answered with block {found} where {expected} was asked for")]
    WrongBlock {
        /// What came.
        found: BlockId,
        /// What was asked for.
        expected: BlockId,
    },
    /// A range of a file lies outside of its block.
    #[error("an extent of inode {lin} at offset {offset} lies outside of its block")]
    BadExtent {
        /// The file.
        lin: Lin,
        /// Where in the file.
        offset: u64,
    },
    /// A file was made shorter, or emptied and written anew, by somebody else.
    #[error("inode {lin} was cut or emptied while it was read: read it again")]
    FileChanged {
        /// The file.
        lin: Lin,
    },
    /// It is not a file.
    #[error("inode {lin} is no regular file")]
    NotAFile {
        /// The LIN.
        lin: Lin,
    },
    /// The task that did the work ended without a result, because the program is ending.
    #[error("interrupted: the program is ending")]
    Interrupted,
}

impl ClientError {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connect { source } => source.kind(),
            Self::Refused { failure, .. } => failure.kind,
            Self::BadAnswer { .. } | Self::AnswerCount { .. } | Self::WrongBlock { .. } => ErrorKind::Internal,
            Self::Path(error) => error.kind(),
            Self::SessionOver { .. } | Self::FileChanged { .. } => ErrorKind::Conflict,
            Self::NoAnswer { .. } | Self::OutcomeUnknown { .. } | Self::NoPlacement | Self::Interrupted => {
                ErrorKind::Unavailable
            }
            Self::Damaged { .. } | Self::DamagedCopy { .. } | Self::BadExtent { .. } => ErrorKind::Corrupt,
            Self::NotAFile { .. } => ErrorKind::InvalidRequest,
        }
    }

    /// Its stable name: the cluster's for a refusal, ours for the rest.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Connect { .. } => code::TRANSPORT,
            Self::Refused { failure, .. } => &failure.code,
            Self::SessionOver { .. } => code::NO_SESSION,
            Self::NoAnswer { .. } => "no_answer",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::BadAnswer { .. } | Self::AnswerCount { .. } | Self::WrongBlock { .. } => "bad_answer",
            Self::Path(error) => error.code(),
            Self::NoPlacement => "no_placement",
            Self::Damaged { .. } | Self::DamagedCopy { .. } => "damaged_block",
            Self::BadExtent { .. } => "bad_extent",
            Self::FileChanged { .. } => "file_changed",
            Self::NotAFile { .. } => "wrong_kind",
            Self::Interrupted => "interrupted",
        }
    }

    /// Whether doing it again may help. A stale placement is the cached table's fault, which is fetched anew.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { source } => source.kind() == ErrorKind::Unavailable,
            Self::Refused { failure, .. } => failure.is_transient() || failure.code == code::STALE_PLACEMENT,
            Self::NoPlacement | Self::NoAnswer { .. } => true,
            _ => false,
        }
    }

    /// The same error about a request that must not be sent twice.
    pub(crate) fn or_unknown(self) -> Self {
        match self {
            Self::NoAnswer { action, endpoint, limit } => Self::OutcomeUnknown { action, endpoint, limit },
            other => other,
        }
    }
}
