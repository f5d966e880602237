//! Messages of openraft to other members.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, ready};
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use openraft::errors::ReplicationClosed;
use openraft::network::RPCOption;
use openraft::raft::SnapshotResponse;
use openraft::{BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use runtime::{Clock, File, blocking};
use tokio::sync::watch;
use types::NodeId;

use crate::message::{Answer, Message, decode_answer, encode_message};
use crate::metrics::Metrics;
use crate::options::Timing;
use crate::pipeline::{self, Patience};
use crate::raft_types::{
    AppendRequest, AppendResponse, Group, RpcError, Snapshot, StreamAppendResult, StreamingError, TransferRequest,
    TransferResponse, Unreachable, Vote, VoteRequest, VoteResponse,
};
use crate::state::{Checkpoint, Transfer};
use crate::{MessageKind, Transport};

/// Bytes of one piece of a state: small enough for any transport, large enough that its round trip does not count.
const CHUNK_BYTES: u64 = 1 << 20;

/// Makes the ways to other members.
#[derive(Clone)]
pub(crate) struct Network {
    transport: Arc<dyn Transport>,
    timing: Timing,
    clock: Clock,
    metrics: Metrics,
    /// Has news when another member has asked how far to read.
    asked: watch::Receiver<()>,
}

/// The way to one member.
pub(crate) struct Peer {
    network: Network,
    node: NodeId,
    address: String,
    /// What appends are: heartbeats have a channel of their own.
    appends: MessageKind,
}

impl RaftNetworkFactory<Group> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        self.peer(target, node, MessageKind::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> Peer {
        self.peer(target, node, MessageKind::Heartbeat)
    }
}

impl Network {
    /// Ways over a transport.
    pub fn new(
        transport: &Arc<dyn Transport>,
        timing: Timing,
        clock: &Clock,
        metrics: &Metrics,
        asked: watch::Receiver<()>,
    ) -> Self {
        Self { transport: Arc::clone(transport), timing, clock: clock.clone(), metrics: metrics.clone(), asked }
    }

    fn peer(&self, target: u64, node: &BasicNode, appends: MessageKind) -> Peer {
        Peer { network: self.clone(), node: NodeId(target), address: node.addr.clone(), appends }
    }
}

impl Peer {
    /// Sends a message and takes the one answer that fits; whatever goes wrong, openraft shall wait before it tries again.
    async fn call<T>(
        &self,
        kind: MessageKind,
        message: Message,
        deadline: Duration,
        expected: impl FnOnce(Answer) -> Option<T>,
    ) -> Result<T, Unreachable> {
        let bytes = encode_message(self.node, &message);
        let sent = self.network.transport.send(self.node, &self.address, kind, bytes, deadline).await;
        let answer = decode_answer(&sent.map_err(|error| Unreachable::new(&error))?);
        let answer = answer.map_err(|error| Unreachable::new(&error))?;
        expected(answer).ok_or_else(|| Unreachable::from_string(format!("node {} gave another answer", self.node)))
    }

    async fn append(&self, request: AppendRequest, option: &RPCOption) -> Result<AppendResponse, RpcError> {
        // Entries may be many: only a heartbeat has to be back within the time that openraft gives it.
        let deadline = match self.appends {
            MessageKind::Heartbeat => option.soft_ttl(),
            _ => self.network.timing.message_deadline,
        };
        let (carries_entries, began) = (!request.entries.is_empty(), self.network.clock.now());
        let expected = |answer| if let Answer::Append(response) = answer { Some(response) } else { None };
        let response = self.call(self.appends, Message::Append(request), deadline, expected).await?;
        if carries_entries {
            let took = self.network.clock.now().saturating_duration_since(began);
            self.network.metrics.replication_seconds.observe(took.as_secs_f64());
        }
        Ok(response)
    }

    async fn send_state(&self, vote: Vote, copy: &Arc<Checkpoint>) -> Result<Vote, Unreachable> {
        let described = Arc::clone(copy);
        let contents =
            blocking(move || described.contents().cloned()).await.map_err(|error| Unreachable::new(&error))?;
        let offer = Message::Offer { vote, contents: contents.clone() };
        let (transfer, have) = match self.call_snapshot(offer).await? {
            Answer::Offered { transfer, have } => (transfer, have),
            Answer::Installed(Some(higher)) => return Ok(higher),
            _ => return Err(Unreachable::from_string("the offered state was not answered")),
        };
        for (number, (entry, have)) in contents.files.iter().zip(have).enumerate() {
            let file = copy.open_file(&entry.name).map_err(|error| Unreachable::new(&error))?;
            self.send_file(transfer, number as u64, &file, have..entry.length).await?;
        }
        match self.call_snapshot(Message::Install { vote, transfer }).await? {
            Answer::Installed(Some(vote)) => {
                self.network.metrics.snapshots_sent.inc();
                Ok(vote)
            }
            _ => Err(Unreachable::from_string("the state was not installed: it has to be offered again")),
        }
    }

    async fn send_file(
        &self,
        transfer: u64,
        number: u64,
        file: &File,
        range: std::ops::Range<u64>,
    ) -> Result<(), Unreachable> {
        let mut offset = range.start;
        while offset < range.end {
            let (file, length) = (file.clone(), CHUNK_BYTES.min(range.end - offset));
            let read = blocking(move || file.read_exact_at(offset, length as usize)).await;
            let bytes = Bytes::from(read.map_err(|error| Unreachable::new(&error))?);
            let crc = crc32fast::hash(&bytes);
            let chunk = Message::Chunk { transfer, file: number, offset, crc, bytes };
            self.network.metrics.snapshot_bytes.inc_by(length);
            match self.call_snapshot(chunk).await? {
                Answer::Taken(true) => offset += length,
                _ => return Err(Unreachable::from_string("the transfer was cut off: it has to be offered again")),
            }
        }
        Ok(())
    }

    async fn call_snapshot(&self, message: Message) -> Result<Answer, Unreachable> {
        self.call(MessageKind::Snapshot, message, self.network.timing.snapshot_deadline, Some).await
    }
}

impl RaftNetworkV2<Group> for Peer {
    type SnapshotData = Transfer;

    async fn append_entries(&mut self, rpc: AppendRequest, option: RPCOption) -> Result<AppendResponse, RpcError> {
        self.append(rpc, &option).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamAppendResult, RpcError>>, RpcError>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        let peer = &*self;
        let patience = Patience::new(self.network.clock.clone(), self.network.asked.clone());
        let answers = pipeline::answers(input, patience, move |request| {
            let option = option.clone();
            async move { peer.append(request, &option).await }.boxed()
        });
        ready(Ok(answers.boxed())).boxed()
    }

    async fn vote(&mut self, rpc: VoteRequest, option: RPCOption) -> Result<VoteResponse, RpcError> {
        let expected = |answer| if let Answer::Vote(response) = answer { Some(response) } else { None };
        Ok(self.call(MessageKind::Heartbeat, Message::Vote(rpc), option.soft_ttl(), expected).await?)
    }

    async fn pre_vote(&mut self, rpc: VoteRequest, option: RPCOption) -> Result<VoteResponse, RpcError> {
        let expected = |answer| if let Answer::Vote(response) = answer { Some(response) } else { None };
        Ok(self.call(MessageKind::Heartbeat, Message::PreVote(rpc), option.soft_ttl(), expected).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_state(vote, &snapshot.snapshot) => Ok(SnapshotResponse::new(sent?)),
        }
    }

    async fn transfer_leader(&mut self, req: TransferRequest, option: RPCOption) -> Result<TransferResponse, RpcError> {
        let expected = |answer| if let Answer::TransferLeader(response) = answer { Some(response) } else { None };
        Ok(self.call(MessageKind::Heartbeat, Message::TransferLeader(req), option.soft_ttl(), expected).await?)
    }
}
