//! What backups need of this node: the crate `backup` sees it through narrow traits, which are kept here.

use std::sync::Arc;
use std::time::Duration;

use backup::{
    BackupMetrics, BlockReadError, BlockSource, Handle, Keys, Options, PeerError, Peers, Pull, Pulled, Report, Runner,
    Sites, State, StateError, Surroundings,
};
use bytes::Bytes;
use consensus::ConsensusError;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use namespace::View;
use repo::{ObjectOptions, WriterKeys};
use runtime::OnError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use site::{Site, SiteError};
use types::{ErrorKind, Extent, Incarnation, JobOperation, NodeId, Operation, Outcome, RepositoryId};
use wire::{Connection, Failure, v1};

use crate::keyring::SharedSecret;
use crate::member::Member;
use crate::peers::Traffic;
use crate::{NodeError, replication};

/// The version of the payloads between workers and owners.
const PAYLOAD_VERSION: u8 = 1;

/// A node that is asked what keys it has answers from a small file.
const ASK_DEADLINE: Duration = Duration::from_secs(5);

/// A node that is asked whether it can use a site opens and probes it; a mount that hangs takes its time.
const TEST_DEADLINE: Duration = Duration::from_mins(2);

/// This node, as backups see it.
struct ThisNode {
    member: Arc<Member>,
}

/// Starts the runner of backups, which needs the number of this start for the names of what it uploads.
pub fn start(member: &Arc<Member>, incarnation: Incarnation, scratch: std::path::PathBuf) -> Handle {
    let this = Arc::new(ThisNode { member: Arc::clone(member) });
    let platform = member.platform.clone();
    let around = Surroundings {
        node: member.node(),
        incarnation,
        state: this.clone(),
        peers: this.clone(),
        blocks: this.clone(),
        keys: this.clone(),
        sites: this,
        clock: platform.clock,
        seed: platform.seed,
        files: platform.files,
        metrics: BackupMetrics::new(&platform.metrics),
        folder: scratch,
    };
    let capacity = (member.config.backup.object_mib as usize) << 20;
    let objects = ObjectOptions { capacity, ..ObjectOptions::default() };
    let (runner, handle) = Runner::new(around, Options { objects, ..Options::default() });
    let tasks = member.front.child("backup");
    member.front.spawn("backups", OnError::EndProcess, runner.run(tasks));
    handle
}

impl State for ThisNode {
    fn propose(&self, step: JobOperation) -> BoxFuture<'_, Result<Outcome, StateError>> {
        async move { self.member.propose(Operation::Job(step)).await.map_err(not_taken) }.boxed()
    }

    fn latest(&self) -> BoxFuture<'_, Result<View, StateError>> {
        let read = self.member.consensus.read();
        read.map(|view| view.map_err(|error| StateError::Unavailable { source: Box::new(error) })).boxed()
    }

    fn view(&self) -> Result<View, StateError> {
        self.member.consensus.local_view().map_err(|error| StateError::Unavailable { source: Box::new(error) })
    }

    fn is_leader(&self) -> bool {
        self.member.consensus.is_leader()
    }
}

impl Peers for ThisNode {
    fn pull(&self, owner: NodeId, pull: Pull) -> BoxFuture<'_, Result<Pulled, PeerError>> {
        async move {
            let message = v1::WorkMessage { payload: encode(&pull) };
            let answer = self.connection(owner)?.work().pull(message).await.map_err(|status| lost(owner, status))?;
            decode(&answer.into_inner().payload).map_err(|failure| peer_error(owner, failure))
        }
        .boxed()
    }

    fn report(&self, owner: NodeId, report: Report) -> BoxFuture<'_, Result<(), PeerError>> {
        async move {
            let message = v1::WorkMessage { payload: encode(&report) };
            self.connection(owner)?.work().report(message).await.map_err(|status| lost(owner, status))?;
            Ok(())
        }
        .boxed()
    }

    fn has_keys(&self, node: NodeId, site: types::Site) -> BoxFuture<'_, Result<bool, PeerError>> {
        async move {
            let mut client = self.connection(node)?.keys();
            let asked = client.list(v1::ListKeysRequest {});
            let late = |_| peer_error(node, Failure::new(ErrorKind::Unavailable, "no_answer", "it is late".to_owned()));
            let answer = self.member.platform.clock.timeout(ASK_DEADLINE, asked).await.map_err(late)?;
            let name = SharedSecret::Repository(site.repository).to_string();
            let keys = answer.map_err(|status| lost(node, status))?.into_inner().keys;
            Ok(keys.iter().any(|key| key.name == name && key.fingerprint == site.keys_fingerprint[..]))
        }
        .boxed()
    }

    fn site_problem(&self, node: NodeId, site: types::Site) -> BoxFuture<'_, Result<Option<String>, PeerError>> {
        async move {
            let silent = || Failure::new(ErrorKind::Unavailable, "no_answer", "it did not test the site".to_owned());
            let mut client = self.connection(node)?.sites();
            let asked = client.test(v1::TestSiteRequest { site: site.id.0 });
            let late = |_| peer_error(node, silent());
            let answer = self.member.platform.clock.timeout(TEST_DEADLINE, asked).await.map_err(late)?;
            let tests = answer.map_err(|status| lost(node, status))?.into_inner().nodes;
            let test = tests.into_iter().find(|test| test.node == node.0).ok_or_else(|| peer_error(node, silent()))?;
            Ok(Some(test.problem).filter(|problem| !problem.is_empty()))
        }
        .boxed()
    }

    fn is_alive(&self, node: NodeId) -> bool {
        node == self.member.node() || self.member.liveness.is_alive(node)
    }
}

impl ThisNode {
    fn connection(&self, node: NodeId) -> Result<Connection, PeerError> {
        let unknown = || Failure::new(ErrorKind::Unavailable, "no_node", format!("node {node} is not known here yet"));
        let known = self.member.registry.node(node).ok_or_else(|| peer_error(node, unknown()))?;
        let channel = self.member.peers.channel(node, &known.address, Traffic::Log);
        channel.map_err(|error| peer_error(node, error.into()))
    }
}

impl BlockSource for ThisNode {
    fn read(&self, extent: &Extent) -> BoxFuture<'_, Result<Bytes, BlockReadError>> {
        let (pg, block) = (extent.pg, extent.block);
        async move {
            let read = replication::fetch_one(&self.member, pg, block).await;
            let failed = |error: NodeError| BlockReadError { block, kind: error.kind(), reason: error.to_string() };
            Ok(read.map_err(failed)?.stored)
        }
        .boxed()
    }
}

impl Keys for ThisNode {
    fn writer_keys(&self, repository: RepositoryId) -> Option<WriterKeys> {
        match self.member.keystore.repository(repository) {
            Ok(keys) => keys.and_then(|keys| WriterKeys::from_bytes(keys.expose())),
            Err(error) => {
                tracing::error!(%repository, %error, "the keys of a repository cannot be read");
                None
            }
        }
    }
}

impl Sites for ThisNode {
    fn open(&self, site: &types::Site) -> Result<Site, SiteError> {
        Site::open(&site.url)
    }
}

/// Why a step was not taken, as the owner of its job sees it.
fn not_taken(error: NodeError) -> StateError {
    match error {
        NodeError::Operation(refused) => StateError::Refused(refused),
        NodeError::Consensus(ConsensusError::TooLarge { .. }) => StateError::TooLarge { source: Box::new(error) },
        other => StateError::Unavailable { source: Box::new(other) },
    }
}

fn lost(node: NodeId, status: tonic::Status) -> PeerError {
    peer_error(node, status.into())
}

fn peer_error(node: NodeId, failure: Failure) -> PeerError {
    PeerError { node, kind: failure.kind, reason: failure.message }
}

/// Writes a payload: its version, then the value in postcard.
pub fn encode<T: Serialize>(value: &T) -> Bytes {
    let payload = postcard::to_extend(value, vec![PAYLOAD_VERSION]);
    payload.expect("numbers, strings and lists of known length can be written to memory").into()
}

/// Reads a payload.
///
/// # Errors
/// It is of another version, or malformed.
pub fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Failure> {
    let malformed =
        || Failure::new(ErrorKind::InvalidRequest, "bad_payload", "the payload of the message is malformed");
    let (version, value) = payload.split_first().ok_or_else(malformed)?;
    if *version != PAYLOAD_VERSION {
        let text = format!("payloads of version {version} are not known here; both nodes need the same release");
        return Err(Failure::new(ErrorKind::Unsupported, "payload_version", text));
    }
    postcard::from_bytes(value).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use types::{Fence, JobId};

    use super::*;

    #[test]
    fn a_step_that_is_too_large_for_the_log_is_never_taken() {
        let step = not_taken(ConsensusError::TooLarge { bytes: 9 << 20, requests: 1 }.into());
        assert_eq!(step.kind(), ErrorKind::InvalidRequest, "{step}");
        let step = not_taken(ConsensusError::OutcomeUnknown.into());
        assert_eq!(step.kind(), ErrorKind::Unavailable, "{step}");
    }

    #[test]
    fn a_payload_comes_back_and_a_foreign_one_is_refused() {
        let worker = backup::WorkerId { node: NodeId(3), incarnation: Incarnation(9), start: 1 };
        let pull = Pull { job: JobId(7), fence: Fence(2), worker, number: 3 };
        let bytes = encode(&pull);
        assert_eq!(decode::<Pull>(&bytes).unwrap(), pull);
        assert_eq!(decode::<Pull>(&[PAYLOAD_VERSION + 1, 0, 0]).unwrap_err().kind, ErrorKind::Unsupported);
        assert_eq!(decode::<Pull>(&[]).unwrap_err().kind, ErrorKind::InvalidRequest);
        assert_eq!(decode::<Pull>(&bytes[..bytes.len() - 1]).unwrap_err().kind, ErrorKind::InvalidRequest);
    }
}
