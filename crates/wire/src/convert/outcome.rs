use types::{OperationError, Outcome};

use crate::invalid::required;
use crate::v1::change_result::Result as Answer;
use crate::v1::outcome::Outcome as Kind;
use crate::{Failure, InvalidMessage, v1};

impl TryFrom<Outcome> for v1::Outcome {
    type Error = InvalidMessage;

    fn try_from(outcome: Outcome) -> Result<Self, InvalidMessage> {
        let kind = match outcome {
            Outcome::Done => Kind::Done(v1::Nothing {}),
            Outcome::Inode(attributes) => Kind::Inode(attributes.into()),
            Outcome::Snapshot(snapshot) => Kind::Snapshot(snapshot.into()),
            Outcome::Remaining(rows) => Kind::Remaining(rows),
            Outcome::Session(_) => return Err(InvalidMessage::NotCarried { what: "Session" }),
            Outcome::Node(_) => return Err(InvalidMessage::NotCarried { what: "Node" }),
            Outcome::Incarnation(_) => return Err(InvalidMessage::NotCarried { what: "Incarnation" }),
            Outcome::Site(_) => return Err(InvalidMessage::NotCarried { what: "Site" }),
            Outcome::Policy(_) => return Err(InvalidMessage::NotCarried { what: "Policy" }),
            Outcome::Job(_) => return Err(InvalidMessage::NotCarried { what: "Job" }),
        };
        Ok(Self { outcome: Some(kind) })
    }
}

impl TryFrom<v1::Outcome> for Outcome {
    type Error = InvalidMessage;

    fn try_from(outcome: v1::Outcome) -> Result<Self, InvalidMessage> {
        Ok(match required("outcome", outcome.outcome)? {
            Kind::Done(v1::Nothing {}) => Self::Done,
            Kind::Inode(attributes) => Self::Inode(attributes.try_into()?),
            Kind::Snapshot(snapshot) => Self::Snapshot(snapshot.try_into()?),
            Kind::Remaining(rows) => Self::Remaining(rows),
        })
    }
}

/// What the server sends for one change.
impl From<Result<Outcome, OperationError>> for v1::ChangeResult {
    fn from(result: Result<Outcome, OperationError>) -> Self {
        let answer = result
            .map_err(|refused| Failure::from(&refused))
            .and_then(|outcome| v1::Outcome::try_from(outcome).map_err(Failure::from));
        Self { result: Some(answer.map_or_else(|failure| Answer::Error(failure.into()), Answer::Outcome)) }
    }
}

/// What the client makes of it: the outer error is a broken message, the inner one a refused change.
impl TryFrom<v1::ChangeResult> for Result<Outcome, Failure> {
    type Error = InvalidMessage;

    fn try_from(result: v1::ChangeResult) -> Result<Self, InvalidMessage> {
        Ok(match required("result", result.result)? {
            Answer::Outcome(outcome) => Ok(outcome.try_into()?),
            Answer::Error(error) => Err(error.try_into()?),
        })
    }
}
