//! Messages of other members, and their answers.

use bytes::Bytes;
use futures::future::try_join_all;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::RaftError;
use runtime::blocking;

use crate::ConsensusError;
use crate::collect::Reply;
use crate::member::{Member, stopped};
use crate::message::{Answer, Message, Part, decode_message, encode_answer};
use crate::payload::EncodedRequests;
use crate::raft_types::{Group, Vote, VoteRequest, VoteResponse};
use crate::route::{Errand, Fetched, Proof, Refusal};
use crate::state::{Chunk, Contents, snapshot_of};

impl Member {
    /// Answers a message.
    pub async fn serve(&self, message: Bytes) -> Result<Bytes, ConsensusError> {
        let answer = match decode_message(self.options.node, &message)? {
            Message::Append(request) => Answer::Append(self.raft.append_entries(request).await.map_err(core)?),
            Message::Vote(request) | Message::PreVote(request) if self.may_have_promised(&request) => {
                Answer::Vote(VoteResponse::new(self.raft.metrics().borrow_watched().vote, None, false))
            }
            Message::Vote(request) => Answer::Vote(self.raft.vote(request).await.map_err(core)?),
            Message::PreVote(request) => Answer::Vote(self.raft.pre_vote(request).await.map_err(core)?),
            Message::TransferLeader(request) => {
                let handed = self.raft.handle_transfer_leader(request).await;
                Answer::TransferLeader(handed.map_err(|fatal| stopped(&fatal))?)
            }
            Message::Offer { vote, contents } => self.take_offer(vote, contents).await?,
            Message::Chunk { transfer, file, offset, crc, bytes } => {
                self.take_chunk(transfer, file as usize, offset, crc, bytes).await?
            }
            Message::Install { vote, transfer } => self.install(vote, transfer).await?,
            Message::Propose { count, bytes } => self.propose_for(count as usize, bytes).await?,
            Message::ReadIndex => self.read_index_for(Proof::Round).await?,
            Message::ReadLeased => self.read_index_for(Proof::Lease).await?,
            Message::Change(change) => Answer::Changed(self.forwarded(&Errand::Change(change)).await?.map(drop)),
            Message::ProposeAll(parts) => self.propose_all(parts).await?,
        };
        Ok(encode_answer(&answer))
    }

    async fn propose_for(&self, count: usize, bytes: Bytes) -> Result<Answer, ConsensusError> {
        Ok(Answer::Proposed(self.propose_part(proposal(count, bytes)?).await?))
    }

    /// Proposes for several callers, each of whom gets an answer of its own.
    async fn propose_all(&self, parts: Vec<Part>) -> Result<Answer, ConsensusError> {
        if parts.len() > self.options.batching.entry_requests {
            return Err(ConsensusError::Malformed { what: "list of proposals" });
        }
        for Part { name, count, .. } in &parts {
            // The call that brings them has a name of its own.
            tracing::debug!(request = name.as_deref(), count, "another node hands over requests");
        }
        let parts = parts.into_iter().map(|part| proposal(part.count as usize, part.bytes));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let replies = try_join_all(parts.into_iter().map(|part| self.propose_part(part))).await?;
        Ok(Answer::ProposedAll(replies))
    }

    async fn propose_part(&self, requests: EncodedRequests) -> Result<Reply, ConsensusError> {
        Ok(match self.forwarded(&Errand::Propose(requests)).await? {
            Ok(Fetched::Results(results)) => Ok(results),
            other => Err(refused(other)),
        })
    }

    async fn read_index_for(&self, proof: Proof) -> Result<Answer, ConsensusError> {
        let index = match self.forwarded(&Errand::ReadIndex(proof)).await? {
            Ok(Fetched::Index(index)) => Ok(index),
            other => Err(refused(other)),
        };
        // The member now waits until it has heard that this entry is committed.
        self.read_asked.send_replace(());
        Ok(Answer::ReadIndex(index))
    }

    /// Whether this node may have heard a leader before it started, which counts on its vote (see [`crate::lease`]). A
    /// leader that hands over does not.
    fn may_have_promised(&self, request: &VoteRequest) -> bool {
        !request.leadership_transfer && self.clock.now() < self.votes_from
    }

    async fn forwarded(&self, errand: &Errand) -> Result<Result<Fetched, Refusal>, ConsensusError> {
        self.check_running()?;
        Ok(self.do_forwarded(errand).await)
    }

    async fn take_offer(&self, vote: Vote, contents: Contents) -> Result<Answer, ConsensusError> {
        let own = self.raft.metrics().borrow_watched().vote;
        if own > vote {
            return Ok(Answer::Installed(Some(own)));
        }
        let incoming = self.incoming.clone();
        let (transfer, have) = blocking(move || incoming.offer(contents)).await?;
        Ok(Answer::Offered { transfer, have })
    }

    async fn take_chunk(
        &self,
        transfer: u64,
        file: usize,
        offset: u64,
        crc: u32,
        bytes: Bytes,
    ) -> Result<Answer, ConsensusError> {
        let incoming = self.incoming.clone();
        let taken = blocking(move || incoming.chunk(&Chunk { transfer, file, offset, crc, bytes: &bytes })).await?;
        Ok(Answer::Taken(taken))
    }

    async fn install(&self, vote: Vote, transfer: u64) -> Result<Answer, ConsensusError> {
        let incoming = self.incoming.clone();
        let Some(received) = blocking(move || incoming.finish(transfer)).await? else {
            return Ok(Answer::Installed(None));
        };
        let snapshot = snapshot_of(received)?;
        let installed = self.raft.install_full_snapshot(vote, snapshot).await.map_err(|fatal| stopped(&fatal))?;
        Ok(Answer::Installed(Some(installed.vote)))
    }
}

/// The requests of one caller, which come from another member and go into the log as they are.
fn proposal(count: usize, bytes: Bytes) -> Result<EncodedRequests, ConsensusError> {
    let requests = EncodedRequests { count, bytes };
    match requests.decode() {
        Some(_) => Ok(requests),
        None => Err(ConsensusError::Malformed { what: "proposal" }),
    }
}

/// Why an errand did not bring what it was sent for.
fn refused(fetched: Result<Fetched, Refusal>) -> Refusal {
    fetched.err().unwrap_or(Refusal::OutcomeUnknown)
}

/// The only error of these calls: the core has stopped.
fn core(error: RaftError<Group>) -> ConsensusError {
    ConsensusError::Stopped { reason: error.to_string() }
}
