//! What this crate reads from outside, as functions of bytes: for the fuzzer (crate `fuzz`), and for nobody else.

use bytes::Bytes;
use openraft::BasicNode;
use openraft::entry::RaftEntry;
use types::NodeId;

use crate::ConsensusError;
pub use crate::log::decoders::{segment, segment_example, small_file_examples, small_files};
use crate::membership::Change;
use crate::message::{Answer, Message, Part, decode_answer, decode_message, encode_answer, encode_message};
use crate::payload::{self, EncodedRequests};
use crate::position::{self, MembershipRecord, Position};
use crate::raft_types::{
    AppendRequest, AppendResponse, Entry, EntryPayload, Membership, Payload, Results, TransferRequest, Vote,
    VoteRequest, VoteResponse,
};
use crate::route::Refusal;
use crate::state::{Contents, FileEntry};

/// Who gets the messages.
const NODE: NodeId = NodeId(2);
const TO_MEMBER: u8 = 0;
const ANSWER: u8 = 1;

/// What an entry carries: of a log, or of a message from another member.
pub fn payload(bytes: &[u8]) {
    if let Some(batch) = payload::decode(bytes) {
        let part = EncodedRequests::new(&batch.requests);
        assert_eq!(part.decode().as_ref(), Some(&batch.requests));
        let again = payload::assemble(batch.proposed_at, [part].iter());
        assert_eq!(payload::decode(&again), Some(batch), "a batch comes back as it was");
    }
    if let Some((count, bytes)) = bytes.split_first() {
        let _ = EncodedRequests { count: usize::from(*count) << 24, bytes: bytes.to_vec().into() }.decode();
    }
}

/// The payload of a batch.
#[must_use]
pub fn payload_example(batch: &types::Batch) -> Vec<u8> {
    payload::assemble(batch.proposed_at, [EncodedRequests::new(&batch.requests)].iter()).into()
}

/// Places in the log and memberships, as the state store keeps them.
pub fn position(bytes: &[u8]) {
    if let Some(found) = position::decode::<Position>(bytes) {
        assert_eq!(position::decode(&position::encode(&found)), Some(found));
    }
    if let Some(found) = position::decode::<MembershipRecord>(bytes) {
        assert_eq!(position::decode(&position::encode(&found)).as_ref(), Some(&found));
        let _ = found.membership();
    }
}

/// A place, and a membership in the middle of a change.
#[must_use]
pub fn position_examples() -> Vec<Vec<u8>> {
    let at = Position { term: 3, leader: 2, index: 700 };
    let nodes = (1..=3).map(|node| (node, format!("node-{node}:7400"))).collect();
    let record = MembershipRecord { at: Some(at), voters: vec![[1, 2].into(), [1, 2, 3].into()], nodes };
    vec![position::encode(&at), position::encode(&record)]
}

/// What members send each other. The first byte says whether it is a message or an answer.
pub fn message(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match *kind {
        TO_MEMBER => recoded(bytes, |bytes| decode_message(NODE, bytes).map(|message| encode_message(NODE, &message))),
        ANSWER => recoded(bytes, |bytes| decode_answer(bytes).map(|answer| encode_answer(&answer))),
        _ => {}
    }
}

/// What is accepted is the same when it is encoded and read again.
fn recoded(bytes: &[u8], recode: impl Fn(&[u8]) -> Result<Bytes, ConsensusError>) {
    if let Ok(once) = recode(bytes) {
        assert_eq!(recode(&once).ok(), Some(once), "a message comes back as it was");
    }
}

/// A message and an answer of each kind.
#[must_use]
pub fn message_examples(batch: &types::Batch) -> Vec<Vec<u8>> {
    let messages = messages(batch).into_iter().map(|message| (TO_MEMBER, encode_message(NODE, &message)));
    let answers = answers().into_iter().map(|answer| (ANSWER, encode_answer(&answer)));
    messages.chain(answers).map(|(kind, bytes)| [&[kind], &bytes[..]].concat()).collect()
}

fn at(index: u64) -> Position {
    Position { term: 3, leader: 1, index }
}

fn entries(batch: &types::Batch) -> Vec<Entry> {
    let nodes = [1, 2, 3].map(|node| (node, BasicNode::new(format!("node-{node}:7400"))));
    let voters = vec![[1, 2, 3].into()];
    let membership = Membership::new(voters, std::collections::BTreeMap::from(nodes)).expect("voters with addresses");
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Payload(payload_example(batch).into())),
        EntryPayload::Membership(membership),
    ];
    (7..).zip(payloads).map(|(index, payload)| Entry::new(at(index).into(), payload)).collect()
}

fn contents() -> Contents {
    let nodes = [(1, "node-1:7400".to_owned())].into();
    let file = FileEntry { name: "000012.sst".to_owned(), length: 70_000, digest: [4; 32] };
    let membership = Some(MembershipRecord { at: Some(at(2)), voters: vec![[1].into()], nodes });
    Contents { position: Some(at(7)), membership, files: vec![file] }
}

fn messages(batch: &types::Batch) -> Vec<Message> {
    let vote = Vote::new_committed(3, 1);
    let last = Some(at(6).into());
    let EncodedRequests { count, bytes } = EncodedRequests::new(&batch.requests);
    let part = Part { name: Some("a request".to_owned()), count: count as u64, bytes: bytes.clone() };
    vec![
        Message::Append(AppendRequest { vote, prev_log_id: last, entries: entries(batch), leader_commit: last }),
        Message::Vote(VoteRequest { vote: Vote::new(4, 3), last_log_id: last, leadership_transfer: false }),
        Message::PreVote(VoteRequest { vote: Vote::new(4, 3), last_log_id: None, leadership_transfer: true }),
        Message::TransferLeader(TransferRequest::new(vote, 3, last)),
        Message::Offer { vote, contents: contents() },
        Message::Chunk { transfer: 1, file: 0, offset: 9, crc: 5, bytes: Bytes::from_static(b"a piece") },
        Message::Install { vote, transfer: 1 },
        Message::Propose { count: count as u64, bytes },
        Message::ReadIndex,
        Message::Change(Change::AddLearner { node: NodeId(4), address: "node-4:7400".to_owned() }),
        Message::ReadLeased,
        Message::ProposeAll(vec![part]),
    ]
}

fn answers() -> Vec<Answer> {
    let results = Results(vec![Ok(types::Outcome::Done)]).0;
    let refusal = Refusal::NotLeader { leader: Some(NodeId(1)) };
    vec![
        Answer::Append(AppendResponse::Success),
        Answer::Append(AppendResponse::HigherVote(Vote::new(9, 2))),
        Answer::Vote(VoteResponse::new(Vote::new(9, 2), Some(at(3).into()), true)),
        Answer::Offered { transfer: 1, have: vec![0, 70_000] },
        Answer::Taken(true),
        Answer::Installed(Some(Vote::new(9, 2))),
        Answer::Proposed(Ok(results.clone())),
        Answer::ReadIndex(Ok(700)),
        Answer::Changed(Err(Refusal::Busy { reason: "another change".to_owned() })),
        Answer::ProposedAll(vec![Ok(results), Err(refusal)]),
    ]
}
