//! Messages between members: a version byte, the receiver's number, and the message in postcard.
//!
//! They contain openraft's own types, so their version goes with the pinned version of openraft: nodes of both releases
//! of an upgrade have to know both.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use types::NodeId;

use crate::ConsensusError;
use crate::collect::Reply;
use crate::membership::Change;
use crate::raft_types::{
    AppendRequest, AppendResponse, TransferRequest, TransferResponse, Vote, VoteRequest, VoteResponse,
};
use crate::route::Refusal;
use crate::state::Contents;

pub(crate) const VERSION: u8 = 2;

/// What one member asks of another.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    Append(AppendRequest),
    Vote(VoteRequest),
    PreVote(VoteRequest),
    TransferLeader(TransferRequest),
    /// A leader offers its state.
    Offer {
        vote: Vote,
        contents: Contents,
    },
    /// A piece of a file of an offered state.
    Chunk {
        transfer: u64,
        file: u64,
        offset: u64,
        crc: u32,
        bytes: Bytes,
    },
    /// All pieces were sent.
    Install {
        vote: Vote,
        transfer: u64,
    },
    /// Requests for the leader, encoded.
    Propose {
        count: u64,
        bytes: Bytes,
    },
    /// How far must a member have applied to read now?
    ReadIndex,
    /// A change of membership for the leader.
    Change(Change),
    /// The same as [`Message::ReadIndex`], on the leader's lease if that holds.
    ReadLeased,
    /// Requests of several callers for the leader.
    ProposeAll(Vec<Part>),
}

/// The requests of one caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// What the caller's own request is called, for the logs.
    pub name: Option<String>,
    /// How many they are.
    pub count: u64,
    /// Encoded.
    pub bytes: Bytes,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Append(AppendResponse),
    Vote(VoteResponse),
    TransferLeader(TransferResponse),
    /// How much of each file is there.
    Offered {
        transfer: u64,
        have: Vec<u64>,
    },
    /// Whether the piece was expected; else the state has to be offered again.
    Taken(bool),
    /// The receiver's vote after the installation; `None` if not all pieces are there.
    Installed(Option<Vote>),
    Proposed(Reply),
    ReadIndex(Result<u64, Refusal>),
    Changed(Result<(), Refusal>),
    /// What became of the requests of each caller.
    ProposedAll(Vec<Reply>),
}

/// A message with its receiver.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope<M> {
    to: u64,
    message: M,
}

/// Encodes a message to a member.
pub(crate) fn encode_message(to: NodeId, message: &Message) -> Bytes {
    encode(&Envelope { to: to.get(), message })
}

/// Decodes a message to `node`.
pub(crate) fn decode_message(node: NodeId, bytes: &[u8]) -> Result<Message, ConsensusError> {
    let Envelope { to, message } = decode::<Envelope<Message>>(bytes, "member")?;
    if to == node.get() { Ok(message) } else { Err(ConsensusError::WrongNode { to: NodeId(to), node }) }
}

/// Encodes an answer.
pub(crate) fn encode_answer(answer: &Answer) -> Bytes {
    encode(answer)
}

/// Decodes an answer.
pub(crate) fn decode_answer(bytes: &[u8]) -> Result<Answer, ConsensusError> {
    decode(bytes, "answer")
}

fn encode(value: &impl Serialize) -> Bytes {
    postcard::to_extend(value, vec![VERSION]).expect("plain values always encode").into()
}

fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, ConsensusError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|_| ConsensusError::Malformed { what }),
        Some((&version, _)) => Err(ConsensusError::UnknownVersion { version }),
        None => Err(ConsensusError::Malformed { what }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_only_its_receiver() {
        let bytes = encode_message(NodeId(2), &Message::ReadIndex);
        assert!(matches!(decode_message(NodeId(2), &bytes), Ok(Message::ReadIndex)));
        let wrong = decode_message(NodeId(3), &bytes);
        assert!(matches!(wrong, Err(ConsensusError::WrongNode { to: NodeId(2), node: NodeId(3) })));
    }

    #[test]
    fn foreign_bytes_are_typed_errors() {
        assert!(matches!(decode_message(NodeId(1), &[]), Err(ConsensusError::Malformed { .. })));
        assert!(matches!(decode_message(NodeId(1), &[9, 1]), Err(ConsensusError::UnknownVersion { version: 9 })));
        assert!(matches!(decode_answer(&[VERSION, 200, 200]), Err(ConsensusError::Malformed { .. })));
    }
}
