//! Cutting changes into requests that fit into the log.
//!
//! A request becomes part of one entry of the log and is never split, so it is bounded in number and in bytes. Most
//! changes are some hundred bytes long; one with many extended attributes may be as long as an entry, and longer.

use prost::Message as _;
use types::{Change, ErrorKind};
use wire::{Failure, InvalidMessage, code, v1};

use crate::session::CHANGES_MAX;

/// Bytes of a request of several changes: half of an entry, so that one slow request is not all that an entry holds.
const REQUEST_LENGTH: usize = 4 << 20;
/// Bytes of one change. An entry of the log has 8 MiB; the log's own encoding is a little shorter than ours, and there
/// is room left for the key of the request.
const CHANGE_LENGTH_MAX: usize = (8 << 20) - (64 << 10);

/// What is done with some changes, in their order.
#[derive(Debug, PartialEq)]
pub enum Batch {
    /// They go out together.
    Request(Vec<v1::Change>),
    /// One that no entry of the log can hold.
    TooLarge(Failure),
}

/// Cuts changes into requests.
///
/// # Errors
/// One of them does not travel.
pub fn batches(changes: Vec<Change>) -> Result<Vec<Batch>, InvalidMessage> {
    let mut batches = Vec::new();
    let (mut request, mut request_length) = (Vec::new(), 0);
    for change in changes {
        let change = v1::Change::try_from(change)?;
        let length = change.encoded_len();
        let is_full = request.len() >= CHANGES_MAX || request_length + length > REQUEST_LENGTH;
        if is_full && !request.is_empty() {
            batches.push(Batch::Request(std::mem::take(&mut request)));
            request_length = 0;
        }
        if length > CHANGE_LENGTH_MAX {
            batches.push(Batch::TooLarge(too_large(length)));
            continue;
        }
        request.push(change);
        request_length += length;
    }
    if !request.is_empty() {
        batches.push(Batch::Request(request));
    }
    Ok(batches)
}

fn too_large(length: usize) -> Failure {
    let text = format!(
        "its metadata is {length} bytes long, and one change may have {CHANGE_LENGTH_MAX}: it has too many or too long \
         extended attributes"
    );
    Failure::new(ErrorKind::InvalidRequest, code::TOO_LARGE, text).with("length", length)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use types::{Lin, XattrMode};

    use super::*;

    fn change(length: usize) -> Change {
        let (name, value) = (Bytes::from_static(b"user.a"), Bytes::from(vec![0; length]));
        Change::SetXattr { lin: Lin(1), name, value, mode: XattrMode::Any }
    }

    fn counts(lengths: &[usize]) -> Vec<usize> {
        let count = |batch| match batch {
            Batch::Request(changes) => changes.len(),
            Batch::TooLarge(_) => 0,
        };
        batches(lengths.iter().map(|&length| change(length)).collect()).unwrap().into_iter().map(count).collect()
    }

    #[test]
    fn requests_are_bounded_in_number() {
        assert_eq!(counts(&[10; 600]), [256, 256, 88]);
    }

    #[test]
    fn requests_are_bounded_in_bytes() {
        assert_eq!(counts(&[1 << 20; 8]), [3, 3, 2]);
    }

    #[test]
    fn a_long_change_goes_alone_and_one_that_is_too_long_keeps_its_place() {
        assert_eq!(counts(&[10, 7 << 20, 10, 9 << 20, 10]), [1, 1, 1, 0, 1]);
        let found = batches(vec![change(9 << 20)]).unwrap();
        assert!(matches!(&found[..], [Batch::TooLarge(failure)] if failure.code == code::TOO_LARGE), "{found:?}");
    }
}
