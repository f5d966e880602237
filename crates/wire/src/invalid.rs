//! What is wrong with a message that came in.

use bytes::Bytes;
use thiserror::Error;
use types::{ErrorKind, NameError, Timestamp};
use uuid::Uuid;

use crate::Failure;

/// A message does not mean anything. Fields have the names that they have in `/proto`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidMessage {
    /// A field that every such message has is missing.
    #[error("the field {field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A number of an enumeration that this program does not know.
    #[error("the field {field} has the unknown value {value}")]
    Unknown {
        /// The field.
        field: &'static str,
        /// Its number.
        value: i32,
    },
    /// A field of fixed length has another one.
    #[error("the field {field} is {found} bytes long, not {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// The length that it has.
        found: usize,
        /// The length that it must have.
        expected: usize,
    },
    /// A number is beyond what the field can mean.
    #[error("the field {field} is out of range: {value}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// A field is not a file name.
    #[error("the field {field} is not a name: {source}")]
    Name {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: NameError,
    },
    /// A field is not a UUID.
    #[error("the field {field} is not a UUID: {text:?}")]
    Uuid {
        /// The field.
        field: &'static str,
        /// What it is.
        text: String,
    },
    /// A value that this service does not carry.
    #[error("{what} does not travel in this message")]
    NotCarried {
        /// The value.
        what: &'static str,
    },
}

impl InvalidMessage {
    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidRequest
    }
}

impl From<InvalidMessage> for Failure {
    fn from(error: InvalidMessage) -> Self {
        Self::new(error.kind(), crate::code::INVALID_MESSAGE, error.to_string())
    }
}

impl From<InvalidMessage> for tonic::Status {
    fn from(error: InvalidMessage) -> Self {
        Failure::from(error).into()
    }
}

/// Takes a field that must be there.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, InvalidMessage> {
    value.ok_or(InvalidMessage::Missing { field })
}

/// Takes a field of 32 bytes.
pub fn bytes32(field: &'static str, value: &Bytes) -> Result<[u8; 32], InvalidMessage> {
    value[..].try_into().map_err(|_| InvalidMessage::Length { field, found: value.len(), expected: 32 })
}

/// Takes a field of at most sixteen bits.
pub fn small(field: &'static str, value: u32) -> Result<u16, InvalidMessage> {
    value.try_into().map_err(|_| InvalidMessage::Range { field, value: value.into() })
}

/// Takes a field that is a UUID in text.
pub fn uuid(field: &'static str, text: &str) -> Result<Uuid, InvalidMessage> {
    Uuid::parse_str(text).map_err(|_| InvalidMessage::Uuid { field, text: text.to_owned() })
}

/// Takes a field that is a file name.
pub fn name(field: &'static str, bytes: Bytes) -> Result<types::Name, InvalidMessage> {
    types::Name::new(bytes).map_err(|source| InvalidMessage::Name { field, source })
}

/// Takes a time that must be there.
pub fn time(field: &'static str, value: Option<crate::v1::Timestamp>) -> Result<Timestamp, InvalidMessage> {
    required(field, value)?.try_into()
}

/// Takes a time that may be there.
pub fn optional_time(value: Option<crate::v1::Timestamp>) -> Result<Option<Timestamp>, InvalidMessage> {
    value.map(Timestamp::try_from).transpose()
}

/// Converts each element of a repeated field.
///
/// # Errors
/// The first that does not mean anything.
pub fn each<From, To>(values: Vec<From>) -> Result<Vec<To>, InvalidMessage>
where
    To: TryFrom<From, Error = InvalidMessage>,
{
    values.into_iter().map(To::try_from).collect()
}
