//! What an entry carries: a version byte and a [`Batch`] in postcard.
//!
//! Requests are encoded once, by the task that proposes them; the proposer only joins the pieces, because a sequence in
//! postcard is its length followed by its elements.

use bytes::{Bytes, BytesMut};
use types::{Batch, Request, Timestamp};

/// The version of the encoding.
pub(crate) const VERSION: u8 = 1;

/// Requests that are encoded and not yet part of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodedRequests {
    pub count: usize,
    pub bytes: Bytes,
}

impl EncodedRequests {
    /// Encodes requests.
    pub fn new(requests: &[Request]) -> Self {
        let mut bytes = Vec::new();
        for request in requests {
            bytes = postcard::to_extend(request, bytes).expect("plain values always encode");
        }
        Self { count: requests.len(), bytes: bytes.into() }
    }

    /// Decodes them; `None` if the bytes are not that many requests and nothing else.
    pub fn decode(&self) -> Option<Vec<Request>> {
        let mut rest: &[u8] = &self.bytes;
        let mut requests = Vec::with_capacity(self.count.min(rest.len()));
        for _ in 0..self.count {
            let (request, after) = postcard::take_from_bytes(rest).ok()?;
            requests.push(request);
            rest = after;
        }
        rest.is_empty().then_some(requests)
    }
}

/// Joins encoded requests to an encoded batch.
pub(crate) fn assemble<'a>(proposed_at: Timestamp, parts: impl Iterator<Item = &'a EncodedRequests> + Clone) -> Bytes {
    let count: usize = parts.clone().map(|part| part.count).sum();
    let head = postcard::to_extend(&(proposed_at, count), vec![VERSION]).expect("plain values always encode");
    let mut bytes = BytesMut::with_capacity(head.len() + parts.clone().map(|part| part.bytes.len()).sum::<usize>());
    bytes.extend_from_slice(&head);
    for part in parts {
        bytes.extend_from_slice(&part.bytes);
    }
    bytes.freeze()
}

/// Decodes what [`assemble`] made; `None` if it is something else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Batch> {
    match bytes.split_first() {
        Some((&VERSION, body)) => {
            let (batch, rest) = postcard::take_from_bytes(body).ok()?;
            rest.is_empty().then_some(batch)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use types::Operation;

    use super::*;

    fn request(label: &str) -> Request {
        Request { key: None, operation: Operation::OpenSession { label: label.to_owned() } }
    }

    #[test]
    fn joined_pieces_are_a_batch_as_postcard_writes_it() {
        let proposed_at = Timestamp { seconds: -5, nanoseconds: 7 };
        let parts = [
            EncodedRequests::new(&[request("a"), request("b")]),
            EncodedRequests::new(&[]),
            EncodedRequests::new(&[request("c")]),
        ];
        let bytes = assemble(proposed_at, parts.iter());
        let batch = Batch { proposed_at, requests: vec![request("a"), request("b"), request("c")] };
        assert_eq!(decode(&bytes), Some(batch.clone()));
        assert_eq!(bytes[1..], postcard::to_stdvec(&batch).expect("encoded"));
    }

    #[test]
    fn requests_with_rubbish_behind_them_are_refused() {
        let encoded = EncodedRequests::new(&[request("a")]);
        assert_eq!(encoded.decode(), Some(vec![request("a")]));
        assert_eq!(EncodedRequests { count: 0, ..encoded.clone() }.decode(), None);
        assert_eq!(EncodedRequests { count: 2, ..encoded }.decode(), None);
    }

    #[test]
    fn foreign_payloads_are_refused() {
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[VERSION]), None);
        assert_eq!(decode(&[VERSION + 1, 0, 0, 0]), None);
        let mut longer = assemble(Timestamp::default(), [].iter()).to_vec();
        longer.push(0);
        assert_eq!(decode(&longer), None);
    }
}
