//! What a refused call tells its caller, in the same form for every service.

use std::collections::BTreeMap;

use prost::Message;
use thiserror::Error;
use tonic::{Code, Status};
use types::{ErrorKind, OperationError};

use crate::convert::Numbered;
use crate::{InvalidMessage, REQUEST_HEADER, RequestId, v1};

/// Stable names of errors. Those of the state machine are their variants in snake case.
pub mod code {
    /// A message does not mean anything.
    pub const INVALID_MESSAGE: &str = "invalid_message";
    /// The peer could not be reached, or the connection was lost.
    pub const TRANSPORT: &str = "transport";
    /// The session has ended or never was.
    pub const NO_SESSION: &str = "no_session";
    /// The block's session has ended, or its mark is above the block.
    pub const STALE_BLOCK: &str = "stale_block";
    /// Older blocks of the session have to be published or given up first.
    pub const SESSION_FULL: &str = "session_full";
    /// A change is longer than an entry of the log.
    pub const TOO_LARGE: &str = "too_large";
    /// The placement group has another membership by now.
    pub const STALE_PLACEMENT: &str = "stale_placement";
    /// Too few full seats acknowledged the block.
    pub const TOO_FEW_COPIES: &str = "too_few_copies";
    /// No node has a copy of the block.
    pub const NO_BLOCK: &str = "no_block";
    /// Bytes that were appended have to be cut into blocks before more are.
    pub const TAIL_FULL: &str = "tail_full";
    /// A range does not hold any more what its new extents were made of.
    pub const RANGE_CHANGED: &str = "range_changed";
    /// The cluster does not yet have its first nodes, so that it takes no files.
    pub const CLUSTER_FORMING: &str = "cluster_forming";
    /// The node has no identity yet: it was neither initialized nor has it joined.
    pub const NO_CLUSTER: &str = "no_cluster";
    /// The node has not opened everything that it needs yet.
    pub const STARTING: &str = "starting";
    /// The node stops and takes no new calls.
    pub const STOPPING: &str = "stopping";
}

/// The field that names the request, by which it is found in the logs of the nodes.
const REQUEST: &str = "request";

/// An error as it crosses the wire. Callers branch on `kind`, and on `code` where one kind has several remedies.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", self.where_to_look())]
pub struct Failure {
    /// What the caller can do about it.
    pub kind: ErrorKind,
    /// Its stable name, see [`code`].
    pub code: String,
    /// For people: names the thing and says what to do.
    pub message: String,
    /// What it names.
    pub fields: BTreeMap<String, String>,
}

impl Failure {
    /// An error that names nothing in particular.
    #[must_use]
    pub fn new(kind: ErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), fields: BTreeMap::new() }
    }

    /// The same error, naming one thing more.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl ToString) -> Self {
        self.fields.insert(field.to_owned(), value.to_string());
        self
    }

    /// The name of the request that failed, if a node has named it.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.fields.get(REQUEST).map(String::as_str)
    }

    /// What leads to the logs, for errors that a person at the client cannot understand alone.
    fn where_to_look(&self) -> String {
        let is_ours = matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::Internal);
        self.request().filter(|_| is_ours).map(|request| format!(" (request {request})")).unwrap_or_default()
    }

    /// Whether the same request may succeed when it is sent again, here or to another node.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::NotLeader)
    }
}

impl From<&OperationError> for Failure {
    fn from(error: &OperationError) -> Self {
        let (code, fields) = named(error);
        let fields = fields.into_iter().map(|(field, value)| (field.to_owned(), value)).collect();
        Self { kind: error.kind(), code: code.to_owned(), message: error.to_string(), fields }
    }
}

impl From<OperationError> for Failure {
    fn from(error: OperationError) -> Self {
        Self::from(&error)
    }
}

type Fields = Vec<(&'static str, String)>;

macro_rules! named {
    ($code:expr $(, $field:ident)*) => {
        ($code, vec![$((stringify!($field), $field.to_string())),*])
    };
}

/// The stable name of an error of the state machine, and what it names.
fn named(error: &OperationError) -> (&'static str, Fields) {
    match error {
        OperationError::NoInode { lin } => named!("no_inode", lin),
        OperationError::NoEntry { parent, name } => named!("no_entry", parent, name),
        OperationError::EntryExists { parent, name } => named!("entry_exists", parent, name),
        OperationError::NotDirectory { lin } => named!("not_directory", lin),
        OperationError::IsDirectory { lin } => named!("is_directory", lin),
        OperationError::NotEmpty { lin } => named!("not_empty", lin),
        OperationError::WrongKind { lin, .. } => named!("wrong_kind", lin),
        OperationError::Cycle { lin } => named!("cycle", lin),
        OperationError::TooManyLinks { lin } => named!("too_many_links", lin),
        OperationError::Name(_) => named!("bad_name"),
        OperationError::OutOfRange { what, value, limit } => named!("out_of_range", what, value, limit),
        OperationError::NoXattr { lin, name } => named!("no_xattr", lin, name),
        OperationError::XattrExists { lin, name } => named!("xattr_exists", lin, name),
        OperationError::MalformedExtents { reason } => named!("malformed_extents", reason),
        OperationError::NoSession { session } => named!(code::NO_SESSION, session),
        OperationError::OutsideWindow { session, sequence } => named!("outside_window", session, sequence),
        OperationError::StaleBlock { block } => named!(code::STALE_BLOCK, block),
        OperationError::StalePlacement { pg, given, current } => named!(code::STALE_PLACEMENT, pg, given, current),
        OperationError::TooFewCopies { block, acknowledged, needed } => {
            named!(code::TOO_FEW_COPIES, block, acknowledged, needed)
        }
        OperationError::NoRecord { what, name } => named!("no_record", what, name),
        OperationError::RecordExists { what, name } => named!("record_exists", what, name),
        OperationError::InUse { what, name, by } => named!("in_use", what, name, by),
        OperationError::Fenced { job, given, current } => named!("fenced", job, given, current),
        OperationError::WrongPhase { job, step, reason } => named!("wrong_phase", job, step, reason),
        OperationError::NoRecoveryKit { site } => named!("no_recovery_kit", site),
        OperationError::NoNode { node } => named!("no_node", node),
        OperationError::SessionFull { session, gaps } => named!(code::SESSION_FULL, session, gaps),
        OperationError::TooDeep { lin, limit } => named!("too_deep", lin, limit),
        OperationError::TimeNotAccepted { seconds } => named!("time_not_accepted", seconds),
        OperationError::NotCloneable { lin, reason } => named!("not_cloneable", lin, reason),
        OperationError::OverQuota { account, resource, used, needed, limit } => {
            named!("over_quota", account, resource, used, needed, limit)
        }
        OperationError::CrossesQuota { lin } => named!("crosses_quota", lin),
        OperationError::TooManyHolds { session, limit } => named!("too_many_holds", session, limit),
        OperationError::TailFull { lin, from } => named!(code::TAIL_FULL, lin, from),
        OperationError::RangeChanged { lin, offset } => named!(code::RANGE_CHANGED, lin, offset),
        OperationError::Locked { lin, taken } => {
            let (session, owner, mode) = (taken.session, taken.lock.owner, taken.lock.mode);
            let (start, end) = (taken.lock.range.start, taken.lock.range.end);
            named!("locked", lin, session, owner, start, end, mode)
        }
        OperationError::TooManyLocks { lin, limit } => named!("too_many_locks", lin, limit),
        OperationError::SnapshotPinned { name, session, label } => named!("snapshot_pinned", name, session, label),
        OperationError::TooManyPins { session, limit } => named!("too_many_pins", session, limit),
        OperationError::TooManyLocksOfSession { session, limit } => named!("too_many_locks_of_session", session, limit),
    }
}

impl From<Failure> for v1::Error {
    fn from(failure: Failure) -> Self {
        Self { kind: failure.kind.number(), code: failure.code, message: failure.message, fields: failure.fields }
    }
}

impl TryFrom<v1::Error> for Failure {
    type Error = InvalidMessage;

    fn try_from(error: v1::Error) -> Result<Self, InvalidMessage> {
        let kind = ErrorKind::from_number("error.kind", error.kind)?;
        Ok(Self { kind, code: error.code, message: error.message, fields: error.fields })
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let (code, message) = (grpc_code(failure.kind), failure.message.clone());
        Self::with_details(code, message, v1::Error::from(failure).encode_to_vec().into())
    }
}

/// What a status says. One that is not ours, such as a lost connection, gets its kind from the gRPC code.
impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let ours = v1::Error::decode(status.details()).ok().filter(|_| !status.details().is_empty());
        let failure = ours.and_then(|error| Self::try_from(error).ok()).unwrap_or_else(|| {
            let message = match std::error::Error::source(&status) {
                Some(source) => format!("{}: {source}", status.message()),
                None => status.message().to_owned(),
            };
            Self::new(error_kind(status.code()), code::TRANSPORT, message)
        });
        let named = status.metadata().get(REQUEST_HEADER).and_then(|name| name.to_str().ok());
        match named.and_then(RequestId::parse) {
            Some(request) => failure.with(REQUEST, request),
            None => failure,
        }
    }
}

/// For clients of other makes, which see no more than the gRPC code.
const fn grpc_code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidRequest => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Conflict => Code::FailedPrecondition,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::NotLeader | ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::NoSpace | ErrorKind::OverQuota => Code::ResourceExhausted,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The kind of an error that gRPC itself made.
const fn error_kind(code: Code) -> ErrorKind {
    match code {
        // hyper reports a connection that broke under a call as Unknown or Internal; Cancelled is a server that stops.
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled | Code::Unknown => {
            ErrorKind::Unavailable
        }
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidRequest,
        Code::NotFound => ErrorKind::NotFound,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::PermissionDenied | Code::Unauthenticated => ErrorKind::Denied,
        Code::ResourceExhausted => ErrorKind::NoSpace,
        Code::FailedPrecondition => ErrorKind::Conflict,
        Code::DataLoss => ErrorKind::Corrupt,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::Internal | Code::Ok => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use types::{BlockId, Lin, SessionId};

    use super::*;

    const KINDS: [ErrorKind; 12] = [
        ErrorKind::InvalidRequest,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::Conflict,
        ErrorKind::Denied,
        ErrorKind::NotLeader,
        ErrorKind::Unavailable,
        ErrorKind::NoSpace,
        ErrorKind::Corrupt,
        ErrorKind::Unsupported,
        ErrorKind::Internal,
        ErrorKind::OverQuota,
    ];

    #[test]
    fn every_kind_of_failure_crosses_the_wire_as_it_is() {
        for kind in KINDS {
            let failure = Failure::new(kind, "some_code", "what happened").with("lin", Lin(7)).with("name", "a");
            assert_eq!(Failure::from(Status::from(failure.clone())), failure);
        }
    }

    #[test]
    fn a_refused_operation_keeps_its_name_and_what_it_names() {
        let block = BlockId { session: SessionId(3), sequence: 9 };
        let failure = Failure::from(OperationError::TooFewCopies { block, acknowledged: 1, needed: 2 });
        assert_eq!((failure.kind, failure.code.as_str()), (ErrorKind::Conflict, code::TOO_FEW_COPIES));
        assert_eq!(failure.fields.get("block").map(String::as_str), Some("3-9"));
        assert_eq!(failure.fields.get("needed").map(String::as_str), Some("2"));
    }

    #[test]
    fn a_status_of_grpc_itself_gets_its_kind_from_the_code() {
        let lost = Failure::from(Status::unavailable("connection refused"));
        assert!(lost.is_transient());
        assert_eq!((lost.kind, lost.code.as_str()), (ErrorKind::Unavailable, code::TRANSPORT));
        assert_eq!(Failure::from(Status::unauthenticated("no")).kind, ErrorKind::Denied);
    }

    #[test]
    fn a_failure_tells_its_request_where_the_logs_help() {
        for (kind, told) in [(ErrorKind::Internal, "broken (request 0000000000aa-3)"), (ErrorKind::NotFound, "broken")]
        {
            let mut status = Status::from(Failure::new(kind, "some_code", "broken"));
            status.metadata_mut().insert(REQUEST_HEADER, "0000000000aa-3".parse().unwrap());
            let failure = Failure::from(status);
            assert_eq!(failure.request(), Some("0000000000aa-3"));
            assert_eq!(failure.to_string(), told);
        }
        let mut status = Status::unavailable("gone");
        status.metadata_mut().insert(REQUEST_HEADER, "no name".parse().unwrap());
        assert_eq!(Failure::from(status).request(), None, "what is no name is not told");
    }

    #[test]
    fn details_that_are_not_ours_are_not_trusted() {
        let status = Status::with_details(Code::NotFound, "gone", vec![0xff, 0x13, 0x37].into());
        assert_eq!(Failure::from(status).kind, ErrorKind::NotFound);
        let unknown = v1::Error { kind: 99, ..Default::default() }.encode_to_vec();
        assert_eq!(Failure::from(Status::with_details(Code::DataLoss, "x", unknown.into())).kind, ErrorKind::Corrupt);
    }
}
